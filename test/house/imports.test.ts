import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { filesUnder, importsOf, sources, specifiersIn, textOf, withoutComments } from './sources.ts';

/** What everybody may import. */
const common =
  /^src\/(?:model|errors|origin|misspelt|outputs|version|clock|backoff|single-flight-cache|token-bucket|settings|settings-table|log\/position)\.ts$/;

/** Which folders a folder may import from, beside its own; the way of the data, from its end to the requests. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'src/stream': [],
  'src/fanout': ['src/stream'],
  'src/log': [],
  'src/log/memory': ['src/log'],
  'src/redis': [],
  'src/log/redis': ['src/log', 'src/redis'],
  'src/room': ['src/log', 'src/fanout', 'src/stream'],
  'src/hub': ['src/log', 'src/room', 'src/fanout', 'src/stream'],
  'src/actions': ['src/log'],
  'src/auth': [],
  'src/ops': ['src/log', 'src/fanout'],
  'src/http': ['src/auth', 'src/actions', 'src/log', 'src/hub', 'src/room', 'src/stream'],
  'src/groups': [],
};

/** The files of `src/` itself that are no words for everybody, from the top down; `app.ts` puts the folders together. */
const tops = ['src/cli.ts', 'src/main.ts', 'src/app.ts', 'src/env-file.ts'];

function isAllowed(path: string, target: string): boolean {
  if (common.test(path)) return common.test(target);
  const folder = dirname(path);
  if (common.test(target) || (folder !== 'src' && folder === dirname(target))) return true;
  if (folder !== 'src') return mayImport[folder]?.includes(dirname(target)) === true;
  const above = tops.indexOf(path);
  if (dirname(target) === 'src') return above !== -1 && tops.indexOf(target) > above;
  return path === 'src/app.ts'
    ? dirname(target) !== 'src/groups'
    : path === 'src/cli.ts' && dirname(target) === 'src/groups';
}

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

test('every source has its place', () => {
  const lost = sources().filter(
    (path) => !common.test(path) && !tops.includes(path) && mayImport[dirname(path)] === undefined,
  );
  assert.deepEqual(lost, [], 'give the folder a place in `mayImport`, and say why in docs/decisions');
});

test('imports follow the way of the data, never up', () => {
  const wrong = sources().flatMap((path) =>
    importsOf(path)
      .filter((target) => !isAllowed(path, target))
      .map((target) => `${path} imports ${target}`),
  );
  assert.deepEqual(wrong, []);
});

test('no files import each other in a ring', () => {
  const files = ['src', 'test', 'bench', 'tools'].flatMap(filesUnder).filter((path) => /\.(?:ts|mjs)$/.test(path));
  const known = new Set(files);
  assert.equal(
    findRing((path) => importsOf(path).filter((target) => known.has(target)), files),
    null,
  );
});

test('fastify is known to the app, the routes and the admin port only', () => {
  const isFastify = (text: string) => specifiersIn(text).some((name) => /^(?:@fastify\/|fastify(?:$|[-/]))/.test(name));
  onlyIn(/^src\/(?:app\.ts|auth\/.*|http\/.*|ops\/admin[^/]*)$/, isFastify, 'fastify');
});

test('the plugin for event streams is known to the admin port only', () => {
  const isPlugin = (text: string) => specifiersIn(text).includes('fastify-sse-v2');
  onlyIn(/^src\/ops\/admin-stream\.ts$/, isPlugin, 'fastify-sse-v2');
});

test('ioredis is known to the folders of Redis only', () => {
  const isRedis = (text: string) => specifiersIn(text).some((name) => /^ioredis(?:$|\/)/.test(name));
  onlyIn(/^src\/(?:log\/)?redis\//, isRedis, 'ioredis');
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
  assert.equal(isAllowed('src/fanout/gap.ts', 'src/room/intake.ts'), false);
  assert.equal(isAllowed('src/redis/link.ts', 'src/log/redis/keys.ts'), false);
  assert.equal(isAllowed('src/room/intake.ts', 'src/fanout/gap.ts'), true);
});
