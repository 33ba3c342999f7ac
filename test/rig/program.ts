/**
 * The program as `npm start` runs it: compiled, and built anew if a source has changed. It starts in a third of the
 * time that its sources take. Under coverage the sources run, because the report is about them.
 */

import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const fileOf = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const isCovered = process.env['NODE_V8_COVERAGE'] !== undefined;
let isBuilt = false;

/** The arguments of Node that run the gateway (`main`) or the command line (`cli`). */
export function programArgs(name: 'main' | 'cli'): readonly string[] {
  if (isCovered) return ['--import', import.meta.resolve('tsx'), fileOf(`src/${name}.ts`)];
  if (!isBuilt) execFileSync(process.execPath, [fileOf('tools/ensure.mjs'), 'build'], { stdio: 'inherit' });
  isBuilt = true;
  return [fileOf(`dist/${name}.js`)];
}
