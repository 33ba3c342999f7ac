/**
 * A gateway in a process of its own that can be asked what it holds: connections, timers, descriptors, memory, and
 * bytes that wait for its viewers. For tests of what outsiders can make it hold. The number of files that it may open
 * can be bounded once it runs, as `ulimit -n` does.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startProcess } from './process.ts';
import { secret } from './tokens.ts';

export interface OwnFigures {
  readonly viewers: number;
  readonly rooms: number;
  /** Sockets and timers that Node itself counts as active. */
  readonly connections: number;
  readonly timers: number;
  /** Heap and native memory: what is still owned, where it was collected before. */
  readonly ownedBytes: number;
  /** Connections whose bytes wait in the process, and the most that wait for one of them. */
  readonly waiting: number;
  readonly waitingMostBytes: number;
  /** CPU time since the process began. */
  readonly cpuMs: number;
}

export interface Figures extends OwnFigures {
  /** Open files of the process, of every kind, as the kernel counts them. */
  readonly descriptors: number;
}

export type Order =
  | {
      readonly type: 'start';
      readonly environment: Readonly<Record<string, string>>;
      readonly requestTimeoutMs: number | null;
    }
  | { readonly type: 'figures'; readonly isCollected: boolean }
  | { readonly type: 'close' };

export type Reply =
  | { readonly type: 'started'; readonly port: number; readonly requestTimeoutMs: number }
  | { readonly type: 'figures'; readonly figures: OwnFigures }
  | { readonly type: 'closed' };

export interface CountedOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** Files that the process may have open, once it has started. */
  readonly descriptorsMax?: number;
  /** Instead of the gateway's own, which is too long for a test. */
  readonly requestTimeoutMs?: number;
}

export interface CountedGateway {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** How long a request may take by the gateway's own configuration. */
  readonly requestTimeoutMs: number;
  figures(): Promise<Figures>;
  /** The same after a collection of what nobody holds any more. */
  collected(): Promise<Figures>;
  /** What it printed so far. */
  printed(): string;
  /** Closes it as an operator's signal does, and fails the test where it does not end by itself. */
  close(): Promise<void>;
}

const run = promisify(execFile);
/** What bounds the number of writes and joins has tests of its own. */
const usualEnvironment = {
  LOG_LEVEL: 'warn',
  RATE_SCALE: '1000000',
  CHAT_PER_SECOND: '0',
  JOINS_PER_SECOND: '1000000',
  TOKEN_SECRET: secret,
};
const entry = fileURLToPath(new URL('./counted-gateway-process.ts', import.meta.url));

export async function startCountedGateway(options: CountedOptions = {}): Promise<CountedGateway> {
  const { environment = {}, descriptorsMax, requestTimeoutMs = null } = options;
  const gateway = startProcess({
    command: process.execPath,
    args: ['--expose-gc', '--import', import.meta.resolve('tsx'), entry],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const { child, pid, stderr } = gateway;
  const ended = gateway.exited.then(() => null);
  let queue: Promise<unknown> = Promise.resolve();
  const ask = <Type extends Reply['type']>(order: Order, type: Type): Promise<Extract<Reply, { type: Type }>> => {
    const asked = queue.then(async () => {
      const answered = once(child, 'message') as Promise<[Reply]>;
      child.send(order);
      const answer = await Promise.race([answered, ended]);
      assert.ok(answer !== null, `the gateway ended: ${stderr()}`);
      const [reply] = answer;
      assert.equal(reply.type, type);
      return reply as Extract<Reply, { type: Type }>;
    });
    queue = asked.catch(() => undefined);
    return asked;
  };
  const figures = async (isCollected: boolean): Promise<Figures> => {
    const reply = await ask({ type: 'figures', isCollected }, 'figures');
    return { ...reply.figures, descriptors: (await readdir(`/proc/${pid}/fd`)).length };
  };
  const started = await ask(
    { type: 'start', environment: { ...usualEnvironment, ...environment }, requestTimeoutMs },
    'started',
  );
  // Not before, as the sources are loaded many at a time.
  if (descriptorsMax !== undefined) await run('prlimit', [`--pid=${pid}`, `--nofile=${descriptorsMax}`]);
  return {
    url: `http://127.0.0.1:${started.port}`,
    port: started.port,
    pid,
    requestTimeoutMs: started.requestTimeoutMs,
    figures: () => figures(false),
    collected: () => figures(true),
    printed: stderr,
    async close() {
      if (!gateway.isAlive()) return;
      try {
        await ask({ type: 'close' }, 'closed');
      } finally {
        await gateway.end();
      }
    },
  };
}
