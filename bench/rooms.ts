/**
 * `rooms`: one node that follows many rooms over Redis. The same number of events is written, spread over 10, 100 and
 * 1,000 rooms with a viewer in each; what an event costs Redis must not depend on how many rooms are followed.
 */

import { startRedis } from '../test/helpers/redis-server.ts';
import type { Row } from './bench.ts';
import { type CrowdOptions, gatewayOptions, pause, shown } from './crowd-options.ts';
import { newWriter, watchWindow } from './fanout.ts';
import { startGatewayServer } from './servers/gateway.ts';
import type { Server } from './servers/server.ts';
import { delayMs, Viewers } from './viewers.ts';

/** `--viewers` is the largest number of rooms, with one viewer in each. */
const usual = { viewers: 1_000, rate: 200, seconds: 10 };
const settleMs = 2_000;

export async function run(options: CrowdOptions): Promise<readonly Row[]> {
  const most = options.viewers ?? usual.viewers;
  const rows = [];
  for (const rooms of [Math.ceil(most / 100), Math.ceil(most / 10), most]) {
    process.stderr.write(`rooms: ${rooms}\n`);
    rows.push(await measure(options, rooms));
  }
  return rows;
}

async function measure(options: CrowdOptions, rooms: number): Promise<Row> {
  const redis = await startRedis();
  const gateway = await startGatewayServer({ redisUrl: redis.url, ...gatewayOptions(options) });
  const server: Server = {
    ...gateway,
    processes: [...gateway.processes, { name: 'redis', pids: () => [redis.pid()] }],
  };
  const crowd = new Viewers();
  try {
    await crowd.join({ target: server.stream, viewers: rooms, rooms });
    await pause(settleMs);
    // Leases are renewed whether anybody writes or not; an idle second is known before events are counted.
    const idle = await watchWindow(server, crowd, settleMs * 2);
    const writer = newWriter(server, { ...options, rate: options.rate ?? usual.rate }, rooms);
    writer.start();
    await pause(settleMs);
    const seen = await watchWindow(server, crowd, (options.seconds ?? usual.seconds) * 1000);
    const written = await writer.stop();
    const end = await crowd.settled(Math.floor(written.accepted / rooms));
    const perSecond = (name: string): number => (seen.cpu.get(name) ?? 0) / seen.seconds;
    const idlePerSecond = (name: string): number => (idle.cpu.get(name) ?? 0) / idle.seconds;
    const events = seen.window.events / seen.seconds;
    return {
      rooms,
      'events/s': shown(events),
      'redis µs/event': shown((perSecond('redis') * 1e6) / events),
      'redis idle ms/s': shown(idlePerSecond('redis') * 1000),
      'gateway µs/event': shown((perSecond('gateway') * 1e6) / events),
      'gateway idle ms/s': shown(idlePerSecond('gateway') * 1000),
      'p50 ms': shown(delayMs(seen.window, 0.5)),
      'p99 ms': shown(delayMs(seen.window, 0.99)),
      lost: Math.max(0, written.accepted - end.allEvents - end.declared),
      doubled: end.repeated,
      'other cores': shown(seen.othersPart),
    };
  } finally {
    await crowd.stop();
    await server.stop();
    await redis.stop();
  }
}
