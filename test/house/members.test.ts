import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sources, textOf, withoutComments } from './sources.ts';

/** Members that src itself does not use: failures to inject, and figures by which a bound is held. */
const seams = new Set([
  'MemoryStore.snapshot',
  'MemoryStore.restore',
  'MemoryStore.demote',
  'MemoryStore.cut',
  'MemoryStore.heal',
  'MemoryStore.fail',
  'PresenceBatch.attending',
  'SharedPages.keptChars',
  'SharedState.keptChars',
]);

/** The public members of each class, as `Class.member`, by the formatter's indentation. */
function membersIn(code: string): string[] {
  return [...code.matchAll(/^(?:export )?class (\w+)[^\n]*\{\n([\s\S]*?)^\}/gm)].flatMap(([, name, body = '']) =>
    [...body.matchAll(/^ {2}(?:(?:static|readonly|override|async|get|set) |\*)*([a-z]\w*)[(<:;? ]/gm)]
      .map(([, member]) => `${name}.${member}`)
      .filter((member) => !member.endsWith('.constructor')),
  );
}

const isUsed = (code: string, member: string): boolean => new RegExp(`\\.${member}\\b|[{,]\\s*${member}\\b`).test(code);

test('every public member of a class is used by src, or is a seam for tests', () => {
  const code = sources().map((path) => withoutComments(textOf(path)));
  const all = code.join('\n');
  const dead = code.flatMap(membersIn).filter((member) => !isUsed(all, member.split('.')[1] ?? ''));
  assert.deepEqual(new Set(dead), seams);
});

test('members and their uses are found', () => {
  const code =
    'export class A<T> extends B {\n  readonly b = 1;\n  async c(): void {\n    d();\n  }\n  get e() {}\n}\n';
  assert.deepEqual(membersIn(code), ['A.b', 'A.c', 'A.e']);
  assert.deepEqual(
    [isUsed('a.b', 'b'), isUsed('const { c, b } = a;', 'b'), isUsed('b(); a.bc;', 'b')],
    [true, true, false],
  );
});
