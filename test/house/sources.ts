/** Reads the repository for the house rules: which files there are, and what they import. */

import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

const notOurs = new Set(['.git', 'node_modules', 'dist', 'coverage', '.env']);

/** Every file under a folder, by its path from the root, in order. */
export function filesUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => !notOurs.has(entry.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return filesUnder(path);
      return entry.isFile() ? [path] : [];
    })
    .sort();
}

export const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');

export const sources = (): string[] => filesUnder('src').filter((path) => path.endsWith('.ts'));

/** A source without its comments. A mark inside of a string would be mistaken for one, which here does no harm. */
export const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$|(?<=[;,{}()]) *\/\/.*$/gm, '');

/** What a source names in its imports, re-exports and `import()`s, as written. Types count like values. */
export function specifiersIn(text: string): string[] {
  const code = withoutComments(text);
  const statements = code.matchAll(/^(?:import|export)\b[^;'"]*?\bfrom\s+'([^']+)'|^import\s+'([^']+)'/gm);
  const calls = code.matchAll(/\bimport\(\s*'([^']+)'/g);
  return [...statements, ...calls].flatMap((match) => match[1] ?? match[2] ?? []);
}

/** The files of ours that a source imports, by their paths from the root. */
export const importsOf = (path: string): string[] =>
  specifiersIn(textOf(path))
    .filter((name) => name.startsWith('.'))
    .map((name) => join(dirname(path), name));
