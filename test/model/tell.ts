/**
 * Tells stories of the model in a process of their own: in one that runs tests, node:test follows every promise, and
 * each story takes many times as long.
 */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Telling {
  readonly what: 'random' | 'orders' | 'told';
  readonly runs?: number;
  readonly seed?: number;
  /** Of the first failure, look for the shortest story (absent: yes). */
  readonly isShrunk?: boolean;
}

/** A mistake may make a story endless. */
const toldWithinMs = 150_000;

/** `root`: a copy of the repository (absent: this one). */
export function tell(
  { what, runs = 0, seed = 0, isShrunk = true }: Telling,
  root = fileURLToPath(new URL('../..', import.meta.url)),
): Promise<{ passed: boolean; output: string }> {
  const args = ['--import', 'tsx', 'test/model/tell-process.ts', what, String(runs), String(seed)];
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, SHRINK: isShrunk ? 'yes' : 'no' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: toldWithinMs,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (output += bytes));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ passed: code === 0, output }));
  });
}
