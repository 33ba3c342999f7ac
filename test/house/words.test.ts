import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filesUnder, textOf } from './sources.ts';

/** Names that say nothing about what a file owns. */
const emptyWords = /^(?:manager|service|helper|util|utility|common|handle|handler|data|info|misc)s?$/i;
const isText = (path: string): boolean =>
  !/(?:^|\/)package-lock\.json$/.test(path) && !/\.(?:png|jpe?g|gif|ico|webp|woff2?|gz|pdf|mp4|zip)$/i.test(path);

/** Paths of one machine: true for whoever wrote them, wrong for everyone else. */
const machinePath = /(?<![\w.:~/*-])\/(?:work|home|root|Users)\/[\w.-]+/g;

test('a file in src is named after what it owns', () => {
  const found = filesUnder('src').filter((path) => path.split(/[/.-]/).some((word) => emptyWords.test(word)));
  assert.deepEqual(found, []);
});

test('a file is named in kebab-case', () => {
  const found = filesUnder('src').filter(
    (path) => !path.endsWith('/README.md') && !/^(?:[a-z0-9]+(?:-[a-z0-9]+)*[/.])+[a-z]+$/.test(path),
  );
  assert.deepEqual(found, []);
});

test('no text names a path of the machine that it was written on', () => {
  const found = filesUnder('.')
    .filter(isText)
    .flatMap((path) => [...textOf(path).matchAll(machinePath)].map((match) => `${path}: ${match[0]}`));
  assert.deepEqual(found, []);
});

interface Locked {
  readonly resolved?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}
const locked = (): Record<string, Locked> => JSON.parse(textOf('package-lock.json')).packages;

test('the lock file names the packages of every system, or `npm ci` would refuse it', () => {
  const packages = locked();
  const lost = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) => !(`node_modules/${name}` in packages || `${path}/node_modules/${name}` in packages),
    ),
  );
  assert.deepEqual(lost, []);
});

test('the lock file names no registry but the public one', () => {
  const addresses = Object.values(locked()).flatMap(({ resolved }) => (resolved ? [new URL(resolved).origin] : []));
  assert.deepEqual(
    [...new Set(addresses)].filter((origin) => origin !== 'https://registry.npmjs.org'),
    [],
  );
});

test('the patterns above find what they look for', () => {
  const machine = ['', 'home', 'ann', 'x.ts'].join('/');
  assert.equal([...`see ${machine} there`.matchAll(machinePath)].length, 1);
  assert.equal([...`https://example.org${machine} and ../src${machine}`.matchAll(machinePath)].length, 0);
  assert.ok(
    ['room-manager.ts', 'http/utils/x.ts', 'handler.ts'].every((path) =>
      path.split(/[/.-]/).some((word) => emptyWords.test(word)),
    ),
  );
  assert.ok(
    !['put-state.ts', 'redis-feed.ts'].some((path) => path.split(/[/.-]/).some((word) => emptyWords.test(word))),
  );
});
