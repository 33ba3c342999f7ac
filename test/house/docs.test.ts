import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { actions } from '../../src/actions/index.ts';
import { refusals } from '../../src/errors.ts';
import { reservedNames } from '../../src/model.ts';
import { endings } from '../../src/stream/viewer.ts';
import { documents } from '../../tools/write-docs.ts';
import { filesUnder, root, textOf } from './sources.ts';

/** The rows of the table whose first header cell is this, by their first cell without its code marks. */
function tableIn(text: string, firstHeader: string): Map<string, readonly string[]> {
  const lines = text.split('\n');
  const head = lines.findIndex((line) => line.split('|')[1]?.trim() === firstHeader);
  assert.notEqual(head, -1, `there is no table of ${firstHeader}`);
  const body = lines.slice(head + 2);
  const end = body.findIndex((line) => !line.startsWith('|'));
  const rows = body.slice(0, end === -1 ? body.length : end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
  const byName = new Map(rows.map(([name = '', ...rest]) => [name.replaceAll('`', ''), rest]));
  assert.equal(byName.size, rows.length, `a ${firstHeader} is listed twice`);
  return byName;
}

/** Paths of ours that a text names; a pattern such as `src/x-*.ts` stands for its folder. */
function pathsIn(text: string): string[] {
  const found = text.matchAll(/(?<![\w./:-])(?:src|test|tools|docs|nginx|pages|bench|client)\/[\w./*<>{}-]*/g);
  return [...found].map(([path]) => {
    const plain = /[*<>{}]/.test(path) ? dirname(`${path.split(/[*<>{}]/, 1)[0]}x`) : path;
    return plain.replace(/[.]+$/, '');
  });
}

const protocol = textOf('docs/protocol.md');

for (const { path, write } of documents) {
  test(`${path} is what \`npm run docs\` writes`, async () => {
    assert.equal(textOf(path), await write(), 'run `npm run docs`');
  });
}

test('the protocol lists every refusal with its status, and none that is gone', () => {
  const listed = [...tableIn(protocol, 'code')].map(([code, [status]]) => [code, Number(status)]);
  assert.deepEqual(
    new Map(listed as [string, number][]),
    new Map<string, number>(Object.entries(refusals).map(([code, { status }]) => [code, status])),
  );
});

test('the protocol lists every ending with whether to come back and what is said last, and none that is gone', () => {
  const rows = [...tableIn(protocol, 'cause')];
  const listed = rows.map(([cause, [comeBack, lastEvent, meaning]]) => [cause, { comeBack, lastEvent, meaning }]);
  assert.deepEqual(Object.fromEntries(listed), endings);
});

test('the protocol lists every action with its least role, and none that is gone', () => {
  const listed = [...tableIn(protocol, 'kind')].map(([kind, [least]]) => [kind, least]);
  assert.deepEqual(
    Object.fromEntries(listed),
    Object.fromEntries([...actions].map(([kind, { least }]) => [kind, least])),
  );
});

test('the protocol lists every reserved name', () => {
  const paragraph = protocol.split('\n\n').find((text) => text.startsWith('`resume` '));
  assert.deepEqual(new Set([...(paragraph ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1])), reservedNames);
});

test('every path that a page names is there', () => {
  const pages = filesUnder('.').filter((path) => /^(?:[A-Z]+\.md|docs\/.*\.md)$/.test(path));
  const lost = pages.flatMap((page) =>
    pathsIn(textOf(page))
      .filter((path) => !existsSync(join(root, path)) && !existsSync(join(root, `${path}.ts`)))
      .map((path) => `${page} names ${path}`),
  );
  assert.deepEqual(lost, []);
});

test('every link from page to page leads somewhere', () => {
  const pages = filesUnder('.').filter((path) => path.endsWith('.md'));
  const lost = pages.flatMap((page) =>
    [...textOf(page).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)/g)]
      .filter(([, target = '']) => !existsSync(join(root, dirname(page), target)))
      .map(([, target]) => `${page} links to ${target}`),
  );
  assert.deepEqual(lost, []);
});

test('the rules above find what they look for', () => {
  assert.deepEqual(pathsIn('See `src/fanout/tape.ts`, src/log/redis-*.ts and docs/x.md. Not https://x.org/src/y.'), [
    'src/fanout/tape.ts',
    'src/log',
    'docs/x.md',
  ]);
  assert.deepEqual([...tableIn('| code | b |\n|---|---|\n| `x` | 1 |\n\n| `y` | 2 |', 'code')], [['x', ['1']]]);
});

test('each folder of src says its one reason, what enters, what leaves and what it does not know', () => {
  const folders = new Set(
    filesUnder('src')
      .filter((path) => path.endsWith('.ts'))
      .map((path) => dirname(path)),
  );
  folders.delete('src');
  for (const folder of folders) {
    const text = textOf(join(folder, 'README.md'));
    for (const part of ['- **Enters:** ', '- **Leaves:** ', '- **Does not know:** '])
      assert.ok(text.includes(part), `${folder}/README.md lacks ${part}`);
  }
});
