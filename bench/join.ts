/**
 * `join`: how fast viewers come in. Each brings a token of its own, which the gateway checks; the peers check nothing.
 * The joins are counted per second and core of the server: its CPU time says what they cost, whatever else the machine
 * does meanwhile.
 */

import { type CrowdOptions, gatewayOptions, pause, shown } from './crowd-options.ts';
import { percentileOf } from './latencies.ts';
import type { Row } from './row.ts';
import { openDoor, startGatewayServer } from './servers/gateway.ts';
import { startPeer } from './servers/peers.ts';
import { cpuSeconds, residentBytes } from './servers/process-cost.ts';
import type { Server } from './servers/server.ts';
import { Viewers } from './viewers.ts';

const usual = { viewers: 5_000 };
/** They come and go first, as code that was never run is compiled by then. */
const firstViewers = 1_000;
const atOnce = 128;
/** What a join leaves to be done after its answer, such as the directory, is done by then. */
const settleMs = 1_000;

interface Joined {
  readonly label: string;
  readonly viewers: number;
  readonly cpuSeconds: number;
  readonly tookMs: number;
  readonly p99Ms: number;
  readonly bytesPerViewer: number;
}

export async function run(options: CrowdOptions): Promise<readonly Row[]> {
  const { nginx } = options;
  const contestants: { label: string; start: () => Promise<Server> }[] = [
    {
      label: nginx ? 'ringside + nginx' : 'ringside',
      start: () => startGatewayServer({ nginx, environment: openDoor, ...gatewayOptions(options) }),
    },
    ...options.against.map((name) => ({ label: name, start: () => startPeer(name) })),
  ];
  const viewers = options.viewers ?? usual.viewers;
  const rounds = options.rounds ?? 2;
  const joined: Joined[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (const { label, start } of contestants) {
      process.stderr.write(`join: ${label}, round ${round + 1} of ${rounds}\n`);
      joined.push(await measure(label, await start(), viewers));
    }
  }
  return contestants.map(({ label }) => rowOf(joined.filter((one) => one.label === label)));
}

async function measure(label: string, server: Server, viewers: number): Promise<Joined> {
  const crowd = new Viewers();
  const pids = server.processes.flatMap((one) => one.pids());
  try {
    await crowd.join({ target: server.stream, viewers: firstViewers, atOnce });
    await crowd.leave();
    await pause(settleMs);
    const before = cpuSeconds(pids);
    const bytesBefore = residentBytes(pids);
    const figures = await crowd.join({ target: server.stream, viewers, atOnce });
    await pause(settleMs);
    if (figures.open < viewers) throw new Error(`${label}: only ${figures.open} of ${viewers} viewers came in.`);
    return {
      label,
      viewers,
      cpuSeconds: cpuSeconds(pids) - before,
      tookMs: figures.joinedInMs,
      p99Ms: percentileOf(figures.joinsMs, 0.99),
      bytesPerViewer: (residentBytes(pids) - bytesBefore) / viewers,
    };
  } finally {
    await crowd.stop();
    await server.stop();
  }
}

function rowOf(rounds: readonly Joined[]): Row {
  const mean = (of: (one: Joined) => number): number =>
    shown(rounds.reduce((sum, one) => sum + of(one), 0) / rounds.length);
  return {
    server: rounds[0]?.label ?? '',
    'joins/s and core': mean((one) => one.viewers / one.cpuSeconds),
    'µs CPU/join': mean((one) => (one.cpuSeconds * 1e6) / one.viewers),
    'joins/s': mean((one) => (one.viewers * 1000) / one.tookMs),
    'p99 ms': mean((one) => one.p99Ms),
    'KiB/viewer': mean((one) => one.bytesPerViewer / 1024),
  };
}
