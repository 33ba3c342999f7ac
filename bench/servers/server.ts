/** What every server under test is to a benchmark: where to watch, where to write, and which processes it costs. */

import type { SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { EndedEarly, type StartedProcess } from '../../test/rig/process.ts';
import type { StreamTarget } from '../viewers.ts';
import type { PublishTarget } from '../writer.ts';

/** For whoever benches: a server's errors, and nothing else that it prints. */
export const quiet: NonNullable<SpawnOptions['stdio']> = ['ignore', 'ignore', 'inherit'];

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

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

/**
 * Below the ports that Linux gives to outgoing connections (32768 to 60999), so that none of the crowd's own can take a
 * server's port while that is down and about to come back.
 */
const ports = { least: 20_000, count: 12_000 };
const portTriesMax = 50;
/** Whatever else keeps a server from starting shows soon. */
const startsMax = 3;

/**
 * Starts something on a port of the loopback. That a port is free is known only by whoever opens it, so where the start
 * fails, another port is tried.
 */
export async function onFreePort<Started>(start: (port: number) => Promise<Started>): Promise<Started> {
  let starts = 0;
  for (let tries = 0; tries < portTriesMax; tries += 1) {
    const port = ports.least + Math.floor(Math.random() * ports.count);
    if (!(await isFree(port))) continue;
    starts += 1;
    try {
      return await start(port);
    } catch (error) {
      if (starts >= startsMax || !(error instanceof EndedEarly)) throw error;
    }
  }
  throw new Error('No port of the loopback is free.');
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}

/**
 * Asks until the answer has the status, as long as the process lives that is to give it.
 * @throws {EndedEarly} where it has ended.
 */
export async function untilAnswers(url: string, child: StartedProcess, status = 200): Promise<void> {
  const until = Date.now() + answersWithinMs;
  for (;;) {
    const answer = await fetch(url).catch(() => null);
    await answer?.body?.cancel();
    if (!child.isAlive()) throw new EndedEarly(`What was to answer on ${url} has ended.`);
    if (answer?.status === status) return;
    if (Date.now() > until) throw new Error(`${url} did not answer ${status}.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const answersWithinMs = 20_000;
