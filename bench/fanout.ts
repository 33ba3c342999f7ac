/**
 * `fanout`: what it costs to give a room's events to many viewers. Viewers join, the memory of the idle ones is read;
 * then a writer writes at a fixed rate, and in a window of it the CPU time of each server process is divided by the
 * deliveries that the viewers counted. Every viewer is checked for loss, order and doubles at the end.
 *
 * `flat` is the same for crowds of several sizes, each with as many deliveries a second as the others: sixteen times
 * the viewers are told a sixteenth as often. So what a process does beside its deliveries weighs the same for all, each
 * event is one write per viewer (at most 32 a second leave `FLUSH_MS` between them), and what differs is the size alone.
 */

import { type CrowdOptions, gatewayOptions, pause, shown } from './crowd-options.ts';
import type { Row } from './row.ts';
import { openDoor, startGatewayServer } from './servers/gateway.ts';
import { startPeer } from './servers/peers.ts';
import { cpuSeconds, machineSeconds, residentBytes } from './servers/process-cost.ts';
import type { Server } from './servers/server.ts';
import { trace } from './trace.ts';
import { delayMs, type Figures, Viewers } from './viewers.ts';
import { Writer, type Written } from './writer.ts';

const usual = { viewers: 2_000, rate: 200, seconds: 8 };
const flat = { sizes: [1_000, 2_000, 4_000, 8_000, 16_000], deliveriesPerSecond: 32_000 };
/** The writer runs this long before anything is counted. */
const warmMs = 2_000;
/** Of the viewers, who come first, so that compiled code and first pages are not counted as memory per viewer. */
const firstViewers = 200;
const settleMs = 1_500;

interface Contestant {
  readonly label: string;
  readonly viewers: number;
  readonly rate: number;
  readonly gzip: boolean;
  start(): Promise<Server>;
}

/** One contestant in one round. */
interface Measured {
  readonly label: string;
  /** Microseconds per process and delivery. */
  readonly costs: ReadonlyMap<string, number>;
  readonly deliveries: number;
  readonly seconds: number;
  readonly window: Figures;
  readonly end: Figures;
  readonly written: Written;
  readonly idleBytes: number;
  readonly afterBytes: number;
  readonly viewers: number;
  readonly rate: number;
  readonly clientPart: number;
  readonly othersPart: number;
}

/** What happened in a window. */
export interface Watched {
  readonly window: Figures;
  /** Seconds of CPU by process. */
  readonly cpu: ReadonlyMap<string, number>;
  readonly seconds: number;
  /** Cores that the viewers kept busy, and that all else on the machine did. */
  readonly clientPart: number;
  readonly othersPart: number;
}

export const run = (options: CrowdOptions): Promise<readonly Row[]> =>
  runAll(
    (options.sizes.length > 0 ? options.sizes : [usual.viewers]).flatMap((viewers) =>
      contestants(options, viewers, options.rate ?? usual.rate),
    ),
    options,
  );

/** `flat`: the same number of deliveries a second for crowds of all sizes. */
export async function runFlat(options: CrowdOptions): Promise<readonly Row[]> {
  const sizes = options.sizes.length > 0 ? options.sizes : flat.sizes;
  const [first] = sizes;
  const perSecond = options.rate === null ? flat.deliveriesPerSecond : options.rate * (first ?? 0);
  const rows = await runAll(
    sizes.flatMap((viewers) => contestants(options, viewers, perSecond / viewers)),
    options,
  );
  const costs = rows.map((row) => Number(row['µs/delivery']));
  return rows.map((row, index) => ({ ...row, 'to the first': shown((costs[index] ?? 0) / (costs[0] ?? 0)) }));
}

async function runAll(all: readonly Contestant[], options: CrowdOptions): Promise<readonly Row[]> {
  const rounds = options.rounds ?? (all.length > 1 ? 2 : 1);
  const measured = new Map<Contestant, Measured[]>(all.map((one) => [one, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contestant of all) {
      const { label, viewers, rate } = contestant;
      process.stderr.write(`fanout: ${label}, ${viewers} × ${shown(rate)}/s, round ${round + 1} of ${rounds}\n`);
      measured.get(contestant)?.push(await measure(contestant, options));
    }
  }
  return [...measured.values()].map(rowOf);
}

function contestants(options: CrowdOptions, viewers: number, rate: number): Contestant[] {
  const { nginx } = options;
  const start = (): Promise<Server> => startGatewayServer({ nginx, environment: openDoor, ...gatewayOptions(options) });
  const label = nginx ? 'ringside + nginx' : 'ringside';
  const size = { viewers, rate };
  return [
    { label, gzip: false, ...size, start },
    ...(options.gzip ? [{ label: `${label}, gzip`, gzip: true, ...size, start }] : []),
    ...options.against.map((name) => ({ label: name, gzip: false, ...size, start: () => startPeer(name) })),
  ];
}

async function measure(contestant: Contestant, options: CrowdOptions): Promise<Measured> {
  const { viewers, rate, gzip, label } = contestant;
  const server = await contestant.start();
  const crowd = new Viewers();
  const pids = server.processes.flatMap((one) => one.pids());
  try {
    const first = Math.min(firstViewers, viewers - 1);
    await crowd.join({ target: server.stream, viewers: first, gzip });
    await pause(settleMs);
    const bytesBefore = residentBytes(pids);
    const joined = await crowd.join({ target: server.stream, viewers: viewers - first, gzip });
    if (joined.open < viewers) throw new Error(`${label}: only ${joined.open} of ${viewers} viewers came in.`);
    await pause(settleMs);
    const idleBytes = (residentBytes(pids) - bytesBefore) / (viewers - first);
    const writer = newWriter(server, { ...options, rate });
    writer.start();
    await pause(warmMs);
    const seen = await watchWindow(server, crowd, (options.seconds ?? usual.seconds) * 1000);
    const written = await writer.stop();
    const end = await crowd.settled(written.accepted);
    const afterBytes = (residentBytes(pids) - bytesBefore) / (viewers - first);
    // Of a gzip crowd only some are decoded, and stand for all.
    const deliveries = seen.window.events * (viewers / end.checked);
    const costs = new Map([...seen.cpu].map(([name, seconds]) => [name, (seconds * 1e6) / deliveries]));
    return { label, viewers, rate, costs, deliveries, ...seen, end, written, idleBytes, afterBytes };
  } finally {
    await crowd.stop();
    await server.stop();
  }
}

export function newWriter(
  server: Pick<Server, 'publish'>,
  options: Pick<CrowdOptions, 'rate' | 'seed' | 'arrivals'>,
  rooms = 1,
): Writer {
  const perSecond = options.rate ?? usual.rate;
  const items = trace({
    seed: options.seed,
    perSecond,
    users: 5_000,
    arrivals: options.arrivals,
    charactersLeast: 0,
  });
  return new Writer({ target: server.publish, items, rooms });
}

/** Counts for a while; the CPU seconds that each process used meanwhile. */
export async function watchWindow(server: Server, crowd: Viewers, ms: number): Promise<Watched> {
  const read = (): Map<string, number> => new Map(server.processes.map((one) => [one.name, cpuSeconds(one.pids())]));
  const begin = await crowd.window();
  const startedAt = performance.now();
  const before = read();
  const own = process.cpuUsage();
  const machineBefore = machineSeconds();
  await pause(ms);
  const after = read();
  const window = await crowd.figures();
  const seconds = (performance.now() - startedAt) / 1000;
  const cpu = new Map([...after].map(([name, used]) => [name, used - (before.get(name) ?? 0)]));
  const clientSeconds = (window.cpuMs - begin.cpuMs) / 1000;
  const { user, system } = process.cpuUsage(own);
  const ours = [...cpu.values()].reduce((sum, used) => sum + used, clientSeconds + (user + system) / 1e6);
  const othersPart = Math.max(0, machineSeconds() - machineBefore - ours) / seconds;
  return { window, cpu, seconds, clientPart: clientSeconds / seconds, othersPart };
}

/** The mean of the rounds where it is a mean that counts, and the worst of what must not happen. */
function rowOf(rounds: readonly Measured[]): Row {
  const mean = (of: (one: Measured) => number): number =>
    shown(rounds.reduce((sum, one) => sum + of(one), 0) / rounds.length);
  const worst = (of: (one: Measured) => number): number => Math.max(...rounds.map(of));
  const [first] = rounds;
  const names = [...(first?.costs.keys() ?? [])];
  return {
    server: first?.label ?? '',
    viewers: first?.viewers ?? 0,
    'events/s': shown(first?.rate ?? 0),
    'µs/delivery': mean(({ costs }) => [...costs.values()].reduce((sum, cost) => sum + cost, 0)),
    ...(names.length > 1
      ? Object.fromEntries(names.map((name) => [`${name} µs`, mean(({ costs }) => costs.get(name) ?? 0)]))
      : {}),
    'deliveries/s': mean(({ deliveries, seconds }) => deliveries / seconds),
    'p50 ms': mean(({ window }) => delayMs(window, 0.5)),
    'p99 ms': mean(({ window }) => delayMs(window, 0.99)),
    'bytes/delivery': mean(({ window, deliveries }) => window.bytes / deliveries),
    'events/read': mean(({ deliveries, window }) => deliveries / window.reads),
    'KiB idle': mean(({ idleBytes }) => idleBytes / 1024),
    'KiB after': mean(({ afterBytes }) => afterBytes / 1024),
    lost: worst(lostOf),
    declared: worst(({ end }) => end.declared),
    doubled: worst(({ end }) => end.repeated),
    refused: worst(({ written }) => written.refused),
    'client cores': mean(({ clientPart }) => clientPart),
    'other cores': mean(({ othersPart }) => othersPart),
    'writer late ms': mean(({ written }) => written.lateMs),
  };
}

/** Events that a checked viewer neither had nor was told of. */
const lostOf = ({ end, written }: Pick<Measured, 'end' | 'written'>): number =>
  Math.max(0, end.checked * written.accepted - end.allEvents - end.declared);
