/** Programs that a test or a benchmark runs beside itself: servers, gateways, clients. None of them outlives it. */

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  /** Beside PATH. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** What it gets where this process ends before it: SIGKILL, or what lets it take its own children with it. */
  readonly lastSignal?: NodeJS.Signals;
  /** Absent: what it prints is kept. */
  readonly stdio?: NonNullable<SpawnOptions['stdio']>;
}

export interface StartedProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  /** The exit code once it has ended; null where a signal ended it. */
  readonly exited: Promise<number | null>;
  isAlive(): boolean;
  /** What it printed so far. */
  stdout(): string;
  stderr(): string;
  /** Has it end, also where it was stopped. Settles when it has; harmless to repeat. */
  end(signal?: 'SIGKILL' | 'SIGTERM'): Promise<void>;
}

/** A server that was to listen has ended instead. */
export class EndedEarly extends Error {}

const alive = new Map<ChildProcess, NodeJS.Signals>();
// A test that fails or is interrupted must leave nothing behind.
process.on('exit', () => {
  for (const [child, signal] of alive) child.kill(signal);
});

export function startProcess(options: Command): StartedProcess {
  const { command, args, environment = {}, cwd, lastSignal = 'SIGKILL', stdio = ['ignore', 'pipe', 'pipe'] } = options;
  const child = spawn(command, args, {
    ...(cwd === undefined ? {} : { cwd }),
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    stdio,
    serialization: 'advanced',
  });
  const printed = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (bytes: Buffer) => {
      printed[name] += bytes.toString();
    });
  }
  alive.set(child, lastSignal);
  const exited = once(child, 'close').then(
    ([code]) => code as number | null,
    (error: Error) => {
      printed.stderr += error.message;
      return null;
    },
  );
  void exited.then(() => alive.delete(child));
  return {
    child,
    pid: child.pid ?? 0,
    exited,
    isAlive: () => alive.has(child),
    stdout: () => printed.stdout,
    stderr: () => printed.stderr,
    async end(signal = 'SIGKILL') {
      if (alive.has(child)) child.kill(signal);
      // A stopped process gets no other signal than SIGKILL before it goes on.
      if (alive.has(child)) child.kill('SIGCONT');
      await exited;
    },
  };
}
