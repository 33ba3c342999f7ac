/**
 * Runs the checks and then every test, and exits 0 only where all of it passed.
 *
 *     npm test                     everything
 *     npm test -- stream contract  the test files whose path holds one of the words
 *     npm test -- --coverage       with the coverage of src/ after the summary
 *     npm run test:quick           what needs Node alone, for the inner loop
 *
 * Files are named one by one, as Node 20 expands no patterns; one run holds them all, so that its summary counts all
 * and comes last.
 */

import { spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const bin = (...path) => join(root, 'node_modules', ...path);
/** Files at a time. Some start a Redis, a browser or several gateways, and judge times. */
const filesAtATime = 2;
/** For one test. The slowest ones let servers die and come back. */
const testTimeoutMs = 180_000;

const args = process.argv.slice(2);
const unknown = args.find((arg) => arg.startsWith('-') && arg !== '--coverage');
if (unknown !== undefined) stop(`There is no option ${unknown}; there is --coverage, and words that a path holds.`);
const words = args.filter((arg) => arg !== '--coverage');

const files = readdirSync(join(root, 'test'), { recursive: true })
  .map((name) => join('test', name))
  .filter((path) => path.endsWith('.test.ts') && (words.length === 0 || words.some((word) => path.includes(word))))
  .sort();
if (files.length === 0) stop(`No test file's path holds ${words.join(' or ') || 'anything'}.`);

check('The formatter and linter', [bin('@biomejs', 'biome', 'bin', 'biome'), 'check', '.']);
check('The type checker', [bin('typescript', 'bin', 'tsc'), '--noEmit']);
check('The search for dead code', [bin('knip', 'bin', 'knip.js'), '--no-progress']);
runTests();

function stop(sentence) {
  console.error(sentence);
  process.exit(1);
}

function check(name, command) {
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' });
  if (status !== 0) stop(`${name} found errors; no test was run.`);
}

function runTests() {
  const coverage = ['--src', 'src', '--include', 'src/**', '--all', '--reporter', 'text', '--reporter', 'lcov'];
  const command = [
    ...(args.includes('--coverage') ? [bin('c8', 'bin', 'c8.js'), ...coverage, process.execPath] : []),
    '--import',
    'tsx',
    '--test',
    `--test-concurrency=${filesAtATime}`,
    `--test-timeout=${testTimeoutMs}`,
    `--test-reporter=${process.stdout.isTTY ? 'spec' : './tools/report.mjs'}`,
    ...files,
  ];
  const child = spawn(process.execPath, command, { cwd: root, stdio: 'inherit' });
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal ?? 'SIGTERM']));
}
