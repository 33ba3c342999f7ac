/**
 * `fanout`: what it costs to give a room's events to many viewers. Viewers join, the memory of the idle ones is read;
 * then a writer writes at a fixed rate, and in a window of it the CPU time of each server process is divided by the
 * deliveries that the viewers counted. Every viewer is checked for loss, order and doubles at the end.
 */

import type { Row } from './bench.ts';
import { type CrowdOptions, gatewayOptions, pause, shown } from './crowd-options.ts';
import { startGatewayServer } from './servers/gateway.ts';
import { startPeer } from './servers/peers.ts';
import { cpuSeconds, machineSeconds, residentBytes } from './servers/process-cost.ts';
import type { Server } from './servers/server.ts';
import { trace } from './trace.ts';
import { delayMs, type Figures, Viewers } from './viewers.ts';
import { Writer, type Written } from './writer.ts';

const usual = { viewers: 2_000, rate: 200, seconds: 8 };
/** The writer runs this long before anything is counted. */
const warmMs = 2_000;
/** Viewers that come and go first, so that compiled code and first pages are not counted as memory per viewer. */
const firstViewers = 200;
const settleMs = 1_500;

interface Contestant {
  readonly label: string;
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

export async function run(options: CrowdOptions): Promise<readonly Row[]> {
  const all = contestants(options);
  const rounds = options.rounds ?? (all.length > 1 ? 2 : 1);
  const measured: Measured[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const contestant of all) {
      process.stderr.write(`fanout: ${contestant.label}, round ${round + 1} of ${rounds}\n`);
      measured.push(await measure(contestant, options));
    }
  }
  return all.map(({ label }) => rowOf(measured.filter((one) => one.label === label)));
}

function contestants(options: CrowdOptions): Contestant[] {
  const { nginx } = options;
  const start = (): Promise<Server> => startGatewayServer({ nginx, ...gatewayOptions(options) });
  const label = nginx ? 'ringside + nginx' : 'ringside';
  return [
    { label, gzip: false, start },
    ...(options.gzip ? [{ label: `${label}, gzip`, gzip: true, start }] : []),
    ...options.against.map((name) => ({ label: name, gzip: false, start: () => startPeer(name) })),
  ];
}

async function measure(contestant: Contestant, options: CrowdOptions): Promise<Measured> {
  const viewers = options.viewers ?? usual.viewers;
  const server = await contestant.start();
  const crowd = new Viewers();
  const pids = server.processes.flatMap((one) => one.pids());
  try {
    const { gzip, label } = contestant;
    await crowd.join({ target: server.stream, viewers: firstViewers, gzip });
    await crowd.leave();
    await pause(settleMs);
    const bytesBefore = residentBytes(pids);
    const joined = await crowd.join({ target: server.stream, viewers, gzip });
    if (joined.open < viewers) throw new Error(`${label}: only ${joined.open} of ${viewers} viewers came in.`);
    await pause(settleMs);
    const idleBytes = (residentBytes(pids) - bytesBefore) / viewers;
    const writer = newWriter(server, options);
    writer.start();
    await pause(warmMs);
    const seen = await watchWindow(server, crowd, (options.seconds ?? usual.seconds) * 1000);
    const written = await writer.stop();
    const end = await crowd.settled(written.accepted);
    const afterBytes = (residentBytes(pids) - bytesBefore) / viewers;
    // Of a gzip crowd only some are decoded, and stand for all.
    const deliveries = seen.window.events * (viewers / end.checked);
    const costs = new Map([...seen.cpu].map(([name, seconds]) => [name, (seconds * 1e6) / deliveries]));
    return { label, costs, deliveries, ...seen, end, written, idleBytes, afterBytes };
  } finally {
    await crowd.stop();
    await server.stop();
  }
}

export function newWriter(server: Server, options: CrowdOptions, rooms = 1): Writer {
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
  const parts = names.map((name) => `${name} ${mean(({ costs }) => costs.get(name) ?? 0)}`).join(', ');
  return {
    server: first?.label ?? '',
    'µs/delivery': mean(({ costs }) => [...costs.values()].reduce((sum, cost) => sum + cost, 0)),
    ...(names.length > 1 ? { 'of which': parts } : {}),
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
    'client cores': mean(({ clientPart }) => clientPart),
    'other cores': mean(({ othersPart }) => othersPart),
    'writer late ms': mean(({ written }) => written.lateMs),
  };
}

/** Events that a checked viewer neither had nor was told of. */
const lostOf = ({ end, written }: Pick<Measured, 'end' | 'written'>): number =>
  Math.max(0, end.checked * written.accepted - end.allEvents - end.declared);
