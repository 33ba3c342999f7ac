/**
 * `slow`: the same healthy viewers are measured twice, alone and beside a thousand that read nothing. What the stalled
 * ones cost is told by the gateway's memory and by what the kernel holds in its TCP buffers.
 */

import { readFileSync } from 'node:fs';
import type { Row } from './bench.ts';
import { type CrowdOptions, gatewayOptions, pause, shown } from './crowd-options.ts';
import { watchWindow } from './fanout.ts';
import { startGatewayServer } from './servers/gateway.ts';
import { residentBytes } from './servers/process-cost.ts';
import { trace } from './trace.ts';
import { delayMs, type Figures, Viewers } from './viewers.ts';
import { Writer } from './writer.ts';

const usual = { viewers: 1_000, rate: 50, seconds: 20 };
const healthyViewers = 1_000;
/** Long comments, so that the kernel's buffers are full soon. */
const charactersLeast = 480;
const settleMs = 1_500;
/** Longer than any run, so that the stalled ones stay for all of it. */
const stuckMs = '3600000';
const pageBytes = 4_096;

/** Bytes in the kernel's TCP buffers, of the whole machine. */
function tcpBytes(): number {
  const found = /^TCP:.*\bmem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'latin1'));
  return Number(found?.[1] ?? 0) * pageBytes;
}

interface Phase {
  readonly figures: Figures;
  readonly end: Figures;
  readonly accepted: number;
  readonly grownBytes: number;
  readonly grownKernelBytes: number;
  readonly gatewayPart: number;
}

/** `--viewers` is the number of stalled ones; there are as many healthy ones in both phases. */
export async function run(options: CrowdOptions): Promise<readonly Row[]> {
  const stalled = options.viewers ?? usual.viewers;
  const alone = await measure(options, 0);
  const beside = await measure(options, stalled);
  const perViewer = (of: (phase: Phase) => number): number => shown((of(beside) - of(alone)) / stalled / 1024);
  const row = (label: string, phase: Phase): Row => ({
    'healthy viewers': label,
    'p50 ms': shown(delayMs(phase.figures, 0.5)),
    'p99 ms': shown(delayMs(phase.figures, 0.99)),
    'p99 ratio': shown(delayMs(phase.figures, 0.99) / delayMs(alone.figures, 0.99)),
    lost: Math.max(0, healthyViewers * phase.accepted - phase.end.allEvents - phase.end.declared),
    doubled: phase.end.repeated,
    'gateway cores': shown(phase.gatewayPart),
    'KiB per stalled viewer': phase === alone ? '' : perViewer(({ grownBytes }) => grownBytes),
    'KiB in kernel': phase === alone ? '' : perViewer(({ grownKernelBytes }) => grownKernelBytes),
  });
  return [row('alone', alone), row(`beside ${stalled} stalled`, beside)];
}

async function measure(options: CrowdOptions, stalled: number): Promise<Phase> {
  const environment = { VIEWER_STUCK_MS: stuckMs };
  const server = await startGatewayServer({ nginx: options.nginx, environment, ...gatewayOptions(options) });
  const [crowd, sleepers] = [new Viewers(), new Viewers()];
  const pids = server.processes.flatMap((one) => one.pids());
  process.stderr.write(`slow: ${healthyViewers} healthy viewers beside ${stalled} stalled ones\n`);
  try {
    await crowd.join({ target: server.stream, viewers: healthyViewers });
    if (stalled > 0) await sleepers.join({ target: server.stream, viewers: stalled, stalled: true });
    await pause(settleMs);
    const bytesBefore = residentBytes(pids);
    const kernelBefore = tcpBytes();
    const items = trace({
      seed: options.seed,
      perSecond: options.rate ?? usual.rate,
      users: 5_000,
      arrivals: options.arrivals,
      charactersLeast,
    });
    const writer = new Writer({ target: server.publish, items, rooms: 1 });
    writer.start();
    const seen = await watchWindow(server, crowd, (options.seconds ?? usual.seconds) * 1000);
    const grownKernelBytes = tcpBytes() - kernelBefore;
    const { accepted } = await writer.stop();
    const end = await crowd.settled(accepted);
    const gatewayPart = (seen.cpu.get('gateway') ?? 0) / seen.seconds;
    const grownBytes = residentBytes(pids) - bytesBefore;
    return { figures: seen.window, end, accepted, grownBytes, grownKernelBytes, gatewayPart };
  } finally {
    await Promise.all([crowd.stop(), sleepers.stop()]);
    await server.stop();
  }
}
