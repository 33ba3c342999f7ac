/**
 * `resume`: every viewer is cut each 15 s, at times of its own, stays away for 2 s, and comes back with its last id. All
 * that was written must reach all of them, once and in order; the replay time counts from the connect to the moment at
 * which a viewer has what anybody had when it came.
 */

import { type CrowdOptions, gatewayOptions, pause, shown } from './crowd-options.ts';
import { newWriter, watchWindow } from './fanout.ts';
import { percentileOf } from './latencies.ts';
import type { Row } from './row.ts';
import { startGatewayServer } from './servers/gateway.ts';
import { delayMs, Viewers } from './viewers.ts';

/** 120 comments in a minute to 10,000 clients is what others have published; here it is one machine's share of that. */
const usual = { viewers: 2_000, rate: 10, seconds: 45 };
const cut = { everyMs: 15_000, forMs: 2_000 };
const settleMs = 1_000;

export async function run(options: CrowdOptions): Promise<readonly Row[]> {
  const viewers = options.viewers ?? usual.viewers;
  const sized = { ...options, rate: options.rate ?? usual.rate };
  const server = await startGatewayServer({ nginx: options.nginx, ...gatewayOptions(options) });
  const crowd = new Viewers();
  try {
    await crowd.join({ target: server.stream, viewers });
    await pause(settleMs);
    const writer = newWriter(server, sized);
    writer.start();
    await crowd.cut(cut);
    const seen = await watchWindow(server, crowd, (options.seconds ?? usual.seconds) * 1000);
    const written = await writer.stop();
    await crowd.cut(null);
    const end = await crowd.settled(written.accepted);
    const expected = viewers * written.accepted;
    return [
      {
        server: server.name,
        'delivered %': shown((100 * end.allEvents) / expected),
        'lost without a word': Math.max(0, expected - end.allEvents - end.declared),
        declared: end.declared,
        doubled: end.repeated,
        returns: end.replaysMs.length,
        'replay p50 ms': shown(percentileOf(end.replaysMs, 0.5)),
        'replay p99 ms': shown(percentileOf(end.replaysMs, 0.99)),
        'live p99 ms': shown(delayMs(seen.window, 0.99)),
        'gateway cores': shown((seen.cpu.get('gateway') ?? 0) / seen.seconds),
        'other cores': shown(seen.othersPart),
      },
    ];
  } finally {
    await crowd.stop();
    await server.stop();
  }
}
