import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importsOf, sources, specifiersIn, textOf, withoutComments } from './sources.ts';

/** The stations from the top down. Each may import its own files and those of the stations below it. */
const stations: readonly (readonly string[])[] = [
  ['src/cli.ts'],
  ['src/groups/'],
  ['src/main.ts'],
  ['src/app.ts'],
  ['src/http/'],
  ['src/ops/'],
  ['src/presence/'],
  ['src/actions/'],
  ['src/hub/'],
  ['src/log/'],
  ['src/stream/'],
  ['src/env-file.ts'],
  ['src/settings.ts'],
  [
    'src/signal.ts',
    'src/errors.ts',
    'src/origin.ts',
    'src/misspelt.ts',
    'src/outputs.ts',
    'src/version.ts',
    'src/clock.ts',
    'src/log/position.ts',
  ],
];

/** Where a file stands; the words are found first, as one of them lies in a folder of another station. */
const stationOf = (path: string): number =>
  stations.findLastIndex((places) =>
    places.some((place) => (place.endsWith('/') ? path.startsWith(place) : path === place)),
  );

/** Whether a file does nothing but hand on what others export. */
function isBarrel(text: string): boolean {
  const code = withoutComments(text);
  const rest = code
    .replace(/^(?:import\b[^;]*;|export\s+(?:type\s+)?\{[^}]*\}[^;]*;|export\s+(?:type\s+)?\*[^;]*;)/gm, '')
    .trim();
  return rest === '' && /^export\b/m.test(code);
}

/** Which of the paths are imported in a ring, as a sentence; null where there is no ring. */
function findRing(importsFrom: (path: string) => string[], paths: readonly string[]): string | null {
  const done = new Set<string>();
  const visit = (path: string, above: readonly string[]): string | null => {
    if (above.includes(path)) return [...above.slice(above.indexOf(path)), path].join(' → ');
    if (done.has(path)) return null;
    for (const next of importsFrom(path)) {
      const ring = visit(next, [...above, path]);
      if (ring !== null) return ring;
    }
    done.add(path);
    return null;
  };
  for (const path of paths) {
    const ring = visit(path, []);
    if (ring !== null) return ring;
  }
  return null;
}

/** Fails with every file outside of `allowed` whose code holds what the pattern looks for. */
function onlyIn(allowed: RegExp, isFound: (text: string) => boolean, what: string): void {
  const found = sources().filter((path) => !allowed.test(path) && isFound(textOf(path)));
  assert.deepEqual(found, [], `${what} belongs to ${allowed} only`);
}

test('every source has its place among the stations', () => {
  const lost = sources().filter((path) => stationOf(path) === -1);
  assert.deepEqual(lost, [], 'give the file a place in `stations`, and say why in docs/decisions');
});

test('imports lead down the stations, never up', () => {
  const wrong = sources().flatMap((path) =>
    importsOf(path)
      .filter((target) => stationOf(target) < stationOf(path))
      .map((target) => `${path} imports ${target}`),
  );
  assert.deepEqual(wrong, []);
});

test('the groups command stands apart: it knows settings and words, and only the command line knows it', () => {
  const allowed = /^src\/(?:groups\/.*|settings\.ts|signal\.ts|errors\.ts|clock\.ts|log\/position\.ts)$/;
  const wrong = sources().flatMap((path) =>
    importsOf(path)
      .filter((target) => (path.startsWith('src/groups/') ? !allowed.test(target) : target.startsWith('src/groups/')))
      .map((target) => `${path} imports ${target}`),
  );
  assert.deepEqual(
    wrong.filter((sentence) => !sentence.startsWith('src/cli.ts ')),
    [],
  );
});

test('no sources import each other in a ring', () => {
  assert.equal(findRing(importsOf, sources()), null);
});

test('fastify is known to the app, the routes and the admin port only', () => {
  const isFastify = (text: string) => specifiersIn(text).some((name) => /^(?:@fastify\/|fastify(?:$|[-/]))/.test(name));
  onlyIn(/^src\/(?:app\.ts|http\/.*|ops\/admin[^/]*)$/, isFastify, 'fastify');
});

test('ioredis is known to the app and to what is named after Redis only', () => {
  const isRedis = (text: string) => specifiersIn(text).some((name) => /^ioredis(?:$|\/)/.test(name));
  onlyIn(/^src\/(?:app\.ts|(?:log|presence)\/redis-[^/]*)$/, isRedis, 'ioredis');
});

test('the environment is read by the settings and the entry only', () => {
  const isReading = (text: string) =>
    /\bprocess\s*\.\s*env\b|\benv\b[^;]*from 'node:process'/.test(withoutComments(text));
  onlyIn(/^src\/(?:settings|main)\.ts$/, isReading, 'process.env');
});

test('an import names the real file: there are no barrels', () => {
  assert.deepEqual(
    sources().filter((path) => isBarrel(textOf(path))),
    [],
  );
});

test('the rules above find what they look for', () => {
  assert.deepEqual(
    specifiersIn(`
import type { A } from './a.ts';
import {
  b, // a remark; with a mark
} from './b.ts';
export * from './c.ts';
import './d.ts';
// import './not.ts';
const e = await import('./e.ts');`),
    ['./a.ts', './b.ts', './c.ts', './d.ts', './e.ts'],
  );
  assert.equal(isBarrel("/** All. */\nexport { a } from './a.ts';\nexport type * from './b.ts';\n"), true);
  assert.equal(isBarrel("import { a } from './a.ts';\nexport { a };\n"), true);
  assert.equal(isBarrel("import { a } from './a.ts';\nexport const all = [a];\n"), false);
  const ring: Record<string, string[]> = { a: ['b'], b: ['c', 'd'], c: [], d: ['b'] };
  assert.equal(
    findRing((path) => ring[path] ?? [], ['a']),
    'b → d → b',
  );
  assert.ok(stationOf('src/log/position.ts') > stationOf('src/stream/frame.ts'));
  assert.ok(stationOf('src/log/keys.ts') < stationOf('src/stream/frame.ts'));
});
