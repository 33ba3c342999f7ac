/**
 * `restart`: a gateway with 5,000 viewers on it is killed and started again at once, on a log in Redis that outlives it.
 * The viewers come back as an EventSource does, after the `retry:` that they were told, and again after a refusal. Back
 * is who has its place in the room again; the time counts from its cut. Writing goes on all the while.
 */

import { startRedis } from '../test/rig/redis.ts';
import { type CrowdOptions, gatewayOptions, pause, shown } from './crowd-options.ts';
import { newWriter } from './fanout.ts';
import { percentileOf } from './latencies.ts';
import type { Row } from './row.ts';
import { startGatewayServer } from './servers/gateway.ts';
import { Viewers } from './viewers.ts';

const usual = { viewers: 5_000, rate: 20, seconds: 10 };
const settleMs = 2_000;
const seatedWithinMs = 20_000;

export async function run(options: CrowdOptions): Promise<readonly Row[]> {
  const viewers = options.viewers ?? usual.viewers;
  const sized = { ...options, rate: options.rate ?? usual.rate };
  const redis = await startRedis();
  const server = await startGatewayServer({ redisUrl: redis.url, nginx: options.nginx, ...gatewayOptions(options) });
  const crowd = new Viewers();
  try {
    await crowd.join({ target: server.stream, viewers, comesBack: true });
    // The door lets in so many a second; the others come back when they were told to.
    const seatedBy = performance.now() + seatedWithinMs;
    while ((await crowd.figures()).open < viewers && performance.now() < seatedBy) await pause(100);
    await pause(settleMs);
    const { open } = await crowd.figures();
    if (open < viewers) throw new Error(`Only ${open} of ${viewers} viewers came in.`);
    await crowd.forget();
    const writer = newWriter(server, sized);
    writer.start();
    await pause(settleMs);
    const killedAt = performance.now();
    await server.kill();
    await server.start();
    const downMs = performance.now() - killedAt;
    await pause((options.seconds ?? usual.seconds) * 1000);
    const written = await writer.stop();
    // What was cut before its answer may have been kept: then all viewers have it.
    const { mostEvents } = await crowd.settled(written.accepted);
    const kept = Math.max(written.accepted, mostEvents);
    const end = await crowd.settled(kept);
    return [
      {
        server: server.name,
        'down ms': shown(downMs),
        'back p50 s': shown(percentileOf(end.backsMs, 0.5) / 1000),
        'back p95 s': shown(percentileOf(end.backsMs, 0.95) / 1000),
        'back max s': shown(percentileOf(end.backsMs, 1) / 1000),
        'replay p99 ms': shown(percentileOf(end.replaysMs, 0.99)),
        'never back': viewers - end.open,
        lost: Math.max(0, viewers * kept - end.allEvents - end.declared),
        declared: end.declared,
        doubled: end.repeated,
        accepted: written.accepted,
        'refused while down': written.refused + written.unanswered,
      },
    ];
  } finally {
    await crowd.stop();
    await server.stop();
    await redis.stop();
  }
}
