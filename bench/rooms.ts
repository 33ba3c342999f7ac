/**
 * `rooms`: one node that follows many rooms over Redis, with a viewer in each. What an event costs Redis must not depend
 * on how many rooms are followed, so the same events are written, spread over 10, 100 and 1,000 rooms.
 *
 * What it costs depends on how events come, so each number of rooms is measured three times: at a low rate, where each
 * event wakes Redis for one call; with many writers at a time, as a Redis that has work to do serves them, several calls
 * at each waking; and the same with seven more readers of every room, which makes eight nodes. An event is all that
 * Redis does for it: the check of the token's user, the number, the entry, the remembered answer, and its publication.
 */

import { startRedis } from '../test/rig/redis.ts';
import { type CrowdOptions, gatewayOptions, pause, shown } from './crowd-options.ts';
import { newWriter, watchWindow } from './fanout.ts';
import { openReaders, type Readers } from './room-readers.ts';
import type { Row } from './row.ts';
import { openDoor, startGatewayServer } from './servers/gateway.ts';
import type { Server } from './servers/server.ts';
import { delayMs, Viewers } from './viewers.ts';

/** `--viewers` is the largest number of rooms, with one viewer in each; `--rate` that of many writers. */
const usual = { viewers: 1_000, rate: 2_000, seconds: 5 };
const lowRate = 200;
/** Compiled code is another program than code that was just loaded. */
const warmUp = { rate: 1_000, seconds: 2 };
const moreReaders = 7;
const settleMs = 1_500;

export async function run(options: CrowdOptions): Promise<readonly Row[]> {
  const most = options.viewers ?? usual.viewers;
  const rows: Row[] = [];
  for (const rooms of [Math.ceil(most / 100), Math.ceil(most / 10), most]) {
    process.stderr.write(`rooms: ${rooms}\n`);
    rows.push(...(await measure(options, rooms)));
  }
  return rows;
}

interface Stage {
  readonly server: Server;
  readonly crowd: Viewers;
  readonly options: CrowdOptions;
  readonly rooms: number;
  /** What was accepted so far. */
  accepted: number;
}

async function measure(options: CrowdOptions, rooms: number): Promise<Row[]> {
  const redis = await startRedis();
  let readers: Readers | null = null;
  let gateway: Server | null = null;
  const crowd = new Viewers();
  try {
    gateway = await startGatewayServer({ redisUrl: redis.url, environment: openDoor, ...gatewayOptions(options) });
    const processes = [...gateway.processes, { name: 'redis', pids: () => [redis.pid()] }];
    const stage: Stage = { server: { ...gateway, processes }, crowd, options, rooms, accepted: 0 };
    await crowd.join({ target: gateway.stream, viewers: rooms, rooms });
    await writeAt(stage, warmUp.rate, warmUp.seconds);
    await pause(settleMs);
    // Leases are renewed whether anybody writes or not.
    const idle = await watchWindow(stage.server, crowd, settleMs * 2);
    const idleMs = shown(((idle.cpu.get('redis') ?? 0) * 1000) / idle.seconds);
    const rate = options.rate ?? usual.rate;
    const low = await writeAt(stage, lowRate);
    const high = await writeAt(stage, rate);
    readers = await openReaders(redis.socketPath, rooms, moreReaders);
    const eight = await writeAt(stage, rate);
    const end = await crowd.settled(Math.floor(stage.accepted / rooms));
    const lost = Math.max(0, stage.accepted - end.allEvents - end.declared);
    const row = (nodes: number, figures: Row): Row => ({ rooms, nodes, ...figures, lost, doubled: end.repeated });
    return [
      { ...row(1, low), 'redis idle ms/s': idleMs },
      row(1, high),
      { ...row(1 + moreReaders, eight), 'messages to more readers': readers.heard() },
    ];
  } finally {
    readers?.close();
    await crowd.stop();
    await gateway?.stop();
    await redis.stop();
  }
}

async function writeAt(stage: Stage, rate: number, seconds = stage.options.seconds ?? usual.seconds): Promise<Row> {
  const { server, crowd, options, rooms } = stage;
  const writer = newWriter(server, { ...options, rate }, rooms);
  writer.start();
  await pause(settleMs);
  const seen = await watchWindow(server, crowd, seconds * 1000);
  const written = await writer.stop();
  stage.accepted += written.accepted;
  const events = seen.window.events;
  const perEvent = (name: string): number => shown(((seen.cpu.get(name) ?? 0) * 1e6) / events);
  return {
    'events/s': shown(events / seen.seconds),
    'redis µs/event': perEvent('redis'),
    'gateway µs/event': perEvent('gateway'),
    'p50 ms': shown(delayMs(seen.window, 0.5)),
    'p99 ms': shown(delayMs(seen.window, 0.99)),
    refused: written.refused,
    'other cores': shown(seen.othersPart),
  };
}
