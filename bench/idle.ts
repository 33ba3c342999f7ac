/**
 * `idle`: what a viewer costs in memory that only watches, with a token of its own. A first crowd comes and stays, so
 * that compiled code is not counted and no memory is that somebody has left; then the resident memory of each server
 * process is read before and after the crowd that is counted. Nothing is written meanwhile.
 */

import { type CrowdOptions, gatewayOptions, pause, shown } from './crowd-options.ts';
import type { Row } from './row.ts';
import { openDoor, startGatewayServer } from './servers/gateway.ts';
import { startPeer } from './servers/peers.ts';
import { residentBytes } from './servers/process-cost.ts';
import type { Server } from './servers/server.ts';
import { Viewers } from './viewers.ts';

const usual = { viewers: 8_000, rounds: 1 };
const firstViewers = 1_000;
/** A process returns memory some time after it has no more use for it. */
const settleMs = 4_000;

interface Contestant {
  readonly label: string;
  readonly gzip: boolean;
  start(): Promise<Server>;
}

export async function run(options: CrowdOptions): Promise<readonly Row[]> {
  const { nginx } = options;
  const start = (): Promise<Server> => startGatewayServer({ nginx, environment: openDoor, ...gatewayOptions(options) });
  const contestants: Contestant[] = [
    { label: 'ringside', gzip: false, start },
    ...(options.gzip ? [{ label: 'ringside, gzip', gzip: true, start }] : []),
    ...options.against.map((name) => ({ label: name, gzip: false, start: () => startPeer(name) })),
  ];
  const rounds = options.rounds ?? usual.rounds;
  const measured = new Map<Contestant, Map<string, number>[]>(contestants.map((one) => [one, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const contestant of contestants) {
      process.stderr.write(`idle: ${contestant.label}, round ${round + 1} of ${rounds}\n`);
      measured.get(contestant)?.push(await measure(contestant, options.viewers ?? usual.viewers));
    }
  }
  return contestants.map((contestant) => {
    const all = measured.get(contestant) ?? [];
    const names = [...(all[0]?.keys() ?? [])];
    const mean = (name: string): number => all.reduce((sum, one) => sum + (one.get(name) ?? 0), 0) / all.length;
    return {
      server: contestant.label,
      viewers: options.viewers ?? usual.viewers,
      ...Object.fromEntries(names.map((name) => [`KiB/viewer, ${name}`, shown(mean(name) / 1024)])),
    };
  });
}

/** Bytes per viewer by process. */
async function measure({ label, gzip, start }: Contestant, viewers: number): Promise<Map<string, number>> {
  const server = await start();
  const crowd = new Viewers();
  const read = (): Map<string, number> =>
    new Map(server.processes.map(({ name, pids }) => [name, residentBytes(pids())]));
  try {
    await crowd.join({ target: server.stream, viewers: firstViewers, gzip });
    await pause(settleMs);
    const before = read();
    const { open } = await crowd.join({ target: server.stream, viewers, gzip });
    const wanted = firstViewers + viewers;
    if (open < wanted) throw new Error(`${label}: only ${open} of ${wanted} viewers came in.`);
    await pause(settleMs);
    return new Map([...read()].map(([name, bytes]) => [name, (bytes - (before.get(name) ?? 0)) / viewers]));
  } finally {
    await crowd.stop();
    await server.stop();
  }
}
