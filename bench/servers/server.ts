/** What every server under test is to a benchmark: where to watch, where to write, and which processes it costs. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import type { StreamTarget } from '../viewers.ts';
import type { PublishTarget } from '../writer.ts';

export interface ServerProcess {
  /** `gateway`, `nginx`, `redis`, or a peer's name. */
  readonly name: string;
  readonly pids: () => readonly number[];
}

export interface Server {
  readonly name: string;
  readonly stream: StreamTarget;
  readonly publish: PublishTarget;
  /** In the order in which a delivery passes them; the first holds the viewers' state. */
  readonly processes: readonly ServerProcess[];
  stop(): Promise<void>;
}

const alive = new Set<ChildProcess>();
// A benchmark that fails or is interrupted must leave nothing behind.
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

export interface StartedProcess {
  readonly pid: number;
  end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void>;
}

export interface Command {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export function startProcess({ command, args, environment = {}, cwd }: Command): StartedProcess {
  const child = spawn(command, args, {
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    stdio: ['ignore', 'ignore', 'inherit'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  alive.add(child);
  const ended = once(child, 'exit').then(() => void alive.delete(child));
  return {
    pid: child.pid ?? 0,
    async end(signal) {
      if (alive.has(child)) child.kill(signal);
      await ended;
    },
  };
}

/** A port of the loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Asks until the answer has the status. */
export async function untilAnswers(url: string, status = 200, withinMs = 20_000): Promise<void> {
  const until = Date.now() + withinMs;
  for (;;) {
    const answer = await fetch(url).catch(() => null);
    await answer?.body?.cancel();
    if (answer?.status === status) return;
    if (Date.now() > until) throw new Error(`${url} did not answer ${status}.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
