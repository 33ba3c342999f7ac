import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sources, textOf } from './sources.ts';

const fileLinesMax = 400;
const functionLinesMax = 60;
/** Files that are one table, which would not become clearer in pieces, and how long each may be. */
const tables: ReadonlyMap<string, number> = new Map([['src/settings-table.ts', 600]]);

interface Long {
  readonly line: number;
  readonly lines: number;
}

const indentOf = (line: string): number => line.length - line.trimStart().length;
const notFunctions =
  /^\s*(?:\}\s*)?(?:if|else|for|while|do|switch|try|catch|finally|case|class|interface|return)\b(?!.*=>)/;

/**
 * Finds functions by how the formatter lays them out: the line that opens a body ends with an open brace, and the line
 * that closes it starts with one at the same indentation. A head of several lines opens its body with `) … {`.
 */
function functionsIn(text: string): Long[] {
  const lines = text.split('\n');
  return lines.flatMap((line, index) => {
    if (!/[{([]$/.test(line)) return [];
    const head = /^\s*\)/.test(line) ? headAbove(lines, index) : index;
    const opens = /=>\s*(?:\(?[{[]|\()$/.test(line) || isDeclared(lines[head] ?? '', line);
    if (!opens || notFunctions.test(lines[head] ?? '')) return [];
    const indent = indentOf(line);
    const length = lines.slice(index + 1).findIndex((later) => indentOf(later) === indent && /^\s*[}\])]/.test(later));
    return length === -1 ? [] : [{ line: head + 1, lines: index + 1 + length - head + 1 }];
  });
}

function headAbove(lines: readonly string[], index: number): number {
  const indent = indentOf(lines[index] ?? '');
  return lines.findLastIndex(
    (line, at) => at < index && line !== '' && indentOf(line) === indent && !/^\s*\)/.test(line),
  );
}

/** A function, or a method: a name and parentheses, with a body after them. */
const isDeclared = (head: string, line: string): boolean =>
  line.endsWith('{') &&
  (/\bfunction\b/.test(head) ||
    (/^\s*(?:(?:async|static|get|set|private|protected|public|override)\s+)*\*?\s*[#\w$]+(?:<.*>)?\(/.test(head) &&
      /\)(?:: .+)? \{$/.test(line)));

test('a file has at most 400 lines', () => {
  const long = sources()
    .map((path) => ({ path, lines: textOf(path).split('\n').length - 1 }))
    .filter(({ path, lines }) => lines > (tables.get(path) ?? fileLinesMax));
  assert.deepEqual(long, []);
});

test('a function has at most 60 lines', () => {
  const long = sources().flatMap((path) =>
    functionsIn(textOf(path))
      .filter(({ lines }) => lines > functionLinesMax)
      .map(({ line, lines }) => `${path}:${line} has ${lines} lines`),
  );
  assert.deepEqual(long, []);
});

test('the scanner finds functions of every form, and nothing else', () => {
  const text = `export function a(b: number): void {
  if (b > 0) {
    c();
  }
}
const d = async (
  e: string,
): Promise<void> => {
  f();
};
class G {
  #h(): number {
    return 1;
  }
  constructor(i: string) {
    super(i);
  }
  static async *j<T>(
    k: T,
  ): AsyncGenerator<T> {
    yield k;
  }
}
if (
  a &&
  b
) {
  c();
}
const l = { m: 1 };
app.get('/x', (n) => {
  n();
});
const o = () => ({
  p: 1,
});
`;
  assert.deepEqual(functionsIn(text), [
    { line: 1, lines: 5 },
    { line: 6, lines: 5 },
    { line: 12, lines: 3 },
    { line: 15, lines: 3 },
    { line: 18, lines: 5 },
    { line: 31, lines: 3 },
    { line: 34, lines: 3 },
  ]);
});
