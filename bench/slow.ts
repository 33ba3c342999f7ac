/**
 * `slow`: what viewers that read nothing cost, and what the others notice of them. One gateway, one crowd of healthy
 * viewers, and by turns in the same run: alone, beside a thousand stalled ones, alone, beside a thousand.
 *
 * A kernel takes 256 KiB to several MiB for a viewer before anybody can notice that it does not read. So before each
 * turn is measured, long signals are written until what the kernel holds for the stalled ones grows no more: from then
 * on they are really stalled. The turns without them are given long signals, too. What they cost is the memory by which
 * the gateway grows when the first of them come, and what the kernel holds in the send queues of the gateway's side.
 */

import { type CrowdOptions, gatewayOptions, pause, shown } from './crowd-options.ts';
import { newWriter, watchWindow } from './fanout.ts';
import type { Row } from './row.ts';
import { openDoor, startGatewayServer } from './servers/gateway.ts';
import { residentBytes } from './servers/process-cost.ts';
import type { Server } from './servers/server.ts';
import { sendQueues, tcpMemoryBytes } from './servers/tcp-queues.ts';
import { randomFrom, type TraceItem } from './trace.ts';
import { delayMs, type Figures, Viewers } from './viewers.ts';
import { Writer } from './writer.ts';

const usual = { viewers: 1_000, rate: 50, seconds: 6, rounds: 2 };
const healthyViewers = 1_000;
const settleMs = 1_000;
/** Longer than any run, so that the stalled ones stay for all of it. */
const stuckMs = '3600000';
/** Small, so that the room's own past is not taken for what the stalled ones cost. */
const logBytesMax = '1048576';
/** What fills the kernel's buffers: so many signals of this size a second. */
const filling = { perSecond: 40, characters: 12_000 };
/** They are full when their bytes have not grown by a hundredth over so long. */
const steadyMs = 2_000;
const fillWithinMs = 60_000;

interface Turn {
  readonly figures: Figures;
  readonly signals: number;
  readonly residentBytes: number;
  readonly tcpBytes: number;
  readonly queuedBytes: number;
  /** Stalled viewers for which the kernel holds bytes. */
  readonly queued: number;
  readonly gatewayPart: number;
  readonly othersPart: number;
}

/** `--viewers` is the number of stalled ones; `--rounds` how often each of the two turns comes. */
export async function run(options: CrowdOptions): Promise<readonly Row[]> {
  const stalled = options.viewers ?? usual.viewers;
  const environment = { ...openDoor, VIEWER_STUCK_MS: stuckMs, LOG_BYTES_MAX: logBytesMax };
  const server = await startGatewayServer({ nginx: options.nginx, environment, ...gatewayOptions(options) });
  const crowd = new Viewers();
  const [alone, beside]: [Turn[], Turn[]] = [[], []];
  let accepted = 0;
  try {
    await crowd.join({ target: server.stream, viewers: healthyViewers, gzip: options.gzip });
    for (let round = 0; round < (options.rounds ?? usual.rounds); round += 1) {
      const signals = beside.at(-1)?.signals ?? Math.ceil((filling.perSecond * steadyMs) / 1000);
      process.stderr.write(`slow: ${healthyViewers} healthy viewers, round ${round + 1}\n`);
      const first = await turn(server, crowd, options, () => fill(server, options, { signals }));
      alone.push(first.turn);
      process.stderr.write(`slow: the same beside ${stalled} stalled ones, round ${round + 1}\n`);
      const second = await besideStalled(server, crowd, options, stalled);
      beside.push(second.turn);
      accepted += first.accepted + second.accepted;
    }
    const end = await crowd.settled(accepted);
    return rowsOf({ alone, beside, stalled, end, accepted });
  } finally {
    await crowd.stop();
    await server.stop();
  }
}

interface Taken {
  readonly turn: Turn;
  readonly accepted: number;
}

async function besideStalled(server: Server, crowd: Viewers, options: CrowdOptions, stalled: number): Promise<Taken> {
  const sleepers = new Viewers();
  try {
    const { gzip } = options;
    await sleepers.join({ target: server.stream, viewers: stalled, stalled: true, gzip });
    return await turn(server, crowd, options, () => fill(server, options, 'until stalled'));
  } finally {
    await sleepers.stop();
  }
}

async function turn(
  server: Server,
  crowd: Viewers,
  options: CrowdOptions,
  prepare: () => Promise<number>,
): Promise<Taken> {
  const pids = server.processes.flatMap((one) => one.pids());
  const signals = await prepare();
  await pause(settleMs);
  const writer = newWriter(server, { ...options, rate: options.rate ?? usual.rate });
  writer.start();
  const seen = await watchWindow(server, crowd, (options.seconds ?? usual.seconds) * 1000);
  const { accepted } = await writer.stop();
  await pause(settleMs);
  const { queued, bytes } = sendQueues(server.stream.port);
  return {
    accepted: accepted + signals,
    turn: {
      figures: seen.window,
      signals,
      residentBytes: residentBytes(pids),
      tcpBytes: tcpMemoryBytes(),
      queuedBytes: bytes,
      queued,
      gatewayPart: (seen.cpu.get('gateway') ?? 0) / seen.seconds,
      othersPart: seen.othersPart,
    },
  };
}

/** Writes long signals: a number of them, or until the send queues grow no more. How many were accepted. */
async function fill(
  server: Server,
  options: CrowdOptions,
  howMany: { readonly signals: number } | 'until stalled',
): Promise<number> {
  const writer = new Writer({ target: server.publish, items: longSignals(options.seed), rooms: 1 });
  const until = performance.now() + fillWithinMs;
  writer.start();
  let [most, steadySince] = [0, performance.now()];
  for (;;) {
    await pause(100);
    const now = performance.now();
    if (now > until) throw new Error(`The stalled viewers still took bytes after ${fillWithinMs / 1000} s.`);
    if (howMany !== 'until stalled') {
      if (writer.accepted >= howMany.signals) break;
      continue;
    }
    const { bytes } = sendQueues(server.stream.port);
    if (bytes > most * 1.01) [most, steadySince] = [bytes, now];
    if (now - steadySince > steadyMs) break;
  }
  return (await writer.stop()).accepted;
}

function* longSignals(seed: number): Generator<TraceItem, never> {
  const random = randomFrom(seed);
  for (let number = 0; ; number += 1) {
    // Hardly to be compressed, so that gzip viewers stall as soon as the others.
    let text = '';
    while (text.length < filling.characters) text += random().toString(36).slice(2);
    yield { atMs: (number * 1000) / filling.perSecond, user: 0, kind: 'gift', text, count: 1 };
  }
}

interface Result {
  readonly alone: readonly Turn[];
  readonly beside: readonly Turn[];
  readonly stalled: number;
  readonly end: Figures;
  readonly accepted: number;
}

function rowsOf({ alone, beside, stalled, end, accepted }: Result): readonly Row[] {
  const mean = (turns: readonly Turn[], of: (turn: Turn) => number): number =>
    turns.reduce((sum, one) => sum + of(one), 0) / turns.length;
  const more = (of: (turn: Turn) => number): number => (mean(beside, of) - mean(alone, of)) / stalled / 1024;
  const p99 = (turns: readonly Turn[]): number => mean(turns, ({ figures }) => delayMs(figures, 0.99));
  const row = (label: string, turns: readonly Turn[]): Row => ({
    'healthy viewers': label,
    'p50 ms': shown(mean(turns, ({ figures }) => delayMs(figures, 0.5))),
    'p99 ms': shown(p99(turns)),
    'p99 by turns': turns.map(({ figures }) => delayMs(figures, 0.99)).join(', '),
    'p99 ratio': shown(p99(turns) / p99(alone)),
    'gateway cores': shown(mean(turns, ({ gatewayPart }) => gatewayPart)),
    'other cores': shown(mean(turns, ({ othersPart }) => othersPart)),
    'signals before': shown(mean(turns, ({ signals }) => signals)),
  });
  // Of the first turns alone: what a process has grown to it keeps for a while.
  const processKiB = ((beside[0]?.residentBytes ?? 0) - (alone[0]?.residentBytes ?? 0)) / stalled / 1024;
  const kernelKiB = more((one) => one.queuedBytes);
  return [
    row('alone', alone),
    {
      ...row(`beside ${stalled} stalled`, beside),
      'really stalled': shown(mean(beside, ({ queued }) => queued)),
      'KiB each, process': shown(processKiB),
      'KiB each, send queue': shown(kernelKiB),
      'KiB each': shown(processKiB + kernelKiB),
      'KiB each, TCP memory of both ends': shown(more((one) => one.tcpBytes)),
      lost: Math.max(0, end.checked * accepted - end.allEvents - end.declared),
      declared: end.declared,
      doubled: end.repeated,
    },
  ];
}
