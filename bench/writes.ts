/**
 * What an accepted comment costs: writers post as fast as they are answered, and the CPU time of the gateway and of
 * Redis is divided by the comments that were accepted. Whatever is not answered 202 is named, and the log must hold
 * exactly what was accepted, or the figures would be of something else.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type RedisServer, startRedis } from '../test/rig/redis.ts';
import type { Row } from './row.ts';
import { startGatewayServer } from './servers/gateway.ts';
import { cpuSeconds } from './servers/process-cost.ts';
import { benchSecret, signToken } from './tokens.ts';
import type { Round, RoundResult } from './writes-load.ts';

export interface WritesOptions {
  readonly seconds: number;
  /** The compiled entry to measure, where it is not this repository's. */
  readonly entry?: string;
  /** A folder for a CPU profile of the gateway. */
  readonly profile?: string;
  /** `redis`, `embedded`, or both. */
  readonly logs: readonly Log[];
  /** Rooms that are written to in turn. Absent: 10. One shows what a single hot room's log can take. */
  readonly rooms?: number;
}
type Log = 'redis' | 'embedded';

const usualRooms = 10;
const users = 500;
const connections = 64;
/** Comments before anything is measured: compiled code is another program than code that was just loaded. */
const warmUp = 20_000;

export async function benchWrites(options: WritesOptions): Promise<Row[]> {
  const rows: Row[] = [];
  for (const log of options.logs) rows.push(await measure(log, options));
  return rows;
}

async function measure(log: Log, { seconds, entry, profile, rooms = usualRooms }: WritesOptions): Promise<Row> {
  const redis = log === 'redis' ? await startRedis({ appendOnly: true }) : null;
  const gateway = await startGatewayServer({
    // The rate of chat is judged, and nobody exceeds it: the log shall hold what was accepted and no declarations.
    environment: { LOG_ENTRIES_MAX: '1000000', DEMO: 'off', CHAT_PER_SECOND: '100000' },
    ...(redis === null ? {} : { redisUrl: redis.url }),
    ...(entry === undefined ? {} : { entry }),
    ...(profile === undefined ? {} : { nodeOptions: ['--cpu-prof', `--cpu-prof-dir=${profile}`] }),
  });
  const load = fork(fileURLToPath(new URL('./writes-load.ts', import.meta.url)));
  try {
    const { port } = gateway.stream;
    const first = await round(load, { port, amount: warmUp, connections, rooms, users });
    // By number and not by time, so that no write is under way when the round is over.
    const amount = Math.max(1000, Math.round((warmUp / first.seconds) * seconds));
    const pids = gateway.processes.flatMap((process) => process.pids());
    const before = [cpuSeconds(pids), redis ? cpuSeconds([redis.pid()]) : 0] as const;
    const result = await round(load, { port, amount, connections, rooms, users });
    const after = [cpuSeconds(pids), redis ? cpuSeconds([redis.pid()]) : 0] as const;
    const accepted = result.statuses['202'] ?? 0;
    await assertKept({ port, redis, rooms }, accepted + (first.statuses['202'] ?? 0));
    const micros = (index: 0 | 1): number => Math.round(((after[index] - before[index]) * 1e6) / accepted);
    return {
      log,
      rooms,
      'accepted/s': Math.round(accepted / result.seconds),
      accepted,
      'not accepted': others(result.statuses),
      'gateway µs': micros(0),
      'redis µs': redis ? micros(1) : '',
      'p50 ms': result.p50Ms,
      'p99 ms': result.p99Ms,
    };
  } finally {
    load.kill();
    await gateway.stop();
    await redis?.stop();
  }
}

async function round(load: ChildProcess, order: Round): Promise<RoundResult> {
  load.send(order);
  const [result] = (await Promise.race([
    once(load, 'message'),
    once(load, 'exit').then(() => assert.fail('the writers ended before they were done')),
  ])) as [RoundResult];
  return result;
}

const others = (statuses: RoundResult['statuses']): string =>
  Object.entries(statuses)
    .filter(([status]) => status !== '202')
    .map(([status, count]) => `${count} × ${status}`)
    .join(', ') || 'none';

interface Kept {
  readonly port: number;
  readonly redis: RedisServer | null;
  readonly rooms: number;
}

/** The offsets of all rooms, and the lengths of their streams, add up to what was accepted. */
async function assertKept({ port, redis, rooms }: Kept, accepted: number): Promise<void> {
  let [numbered, kept] = [0, 0];
  for (let room = 0; room < rooms; room += 1) {
    const answer = await fetch(`http://127.0.0.1:${port}/rooms/room-${room}/events`, {
      headers: { authorization: `Bearer ${signToken(benchSecret, 'counter', 'viewer')}` },
    });
    const { next } = (await answer.json()) as { next: string };
    numbered += Number(next.split('.')[1]);
    if (redis) kept += Number(await redis.cli('xlen', `rs:{room-${room}}:log`));
  }
  assert.equal(numbered, accepted, 'the log numbered more or fewer entries than were accepted');
  if (redis) assert.equal(kept, accepted, 'the log keeps more or fewer entries than were accepted');
}
