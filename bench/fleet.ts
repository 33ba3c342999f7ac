/**
 * `fleet`: viewers behind nginx with four gateways in two groups on one Redis, and what operators do to them while rooms
 * are written to. Each row is one such change: who had to come back, how fast, and whether anybody lost anything. The
 * tests do the same with fewer viewers, and hold it to zero.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Crowd } from '../test/rig/crowd.ts';
import { type Fleet, roomsOn, startFleet } from '../test/rig/fleet.ts';
import type { GroupsText } from '../test/rig/nginx.ts';
import { SteadyWriters } from '../test/rig/steady-writers.ts';
import { waitFor } from '../test/rig/wait-for.ts';
import { type CrowdOptions, pause, shown } from './crowd-options.ts';
import type { Row } from './row.ts';

const callProgram = promisify(execFile);
const usual = { viewers: 1_000, rate: 25, seconds: 10 };
const nodes = ['blue-1', 'blue-2', 'green-1', 'green-2'];
const added = ['red-1', 'red-2'];
const reloads = 10;
const pinnedRooms = 3;
/** Of all viewers, those in the hot room. */
const hotShare = 0.4;
const pace = 200;
const backWithinMs = 60_000;
const downMs = 10_000;
/** As an operator would have it, rather than as a test. */
const environment = { RETRY_MS: '2000', DRAIN_MS: '10000' };

interface Stage {
  readonly fleet: Fleet;
  readonly crowd: Crowd;
  readonly writers: SteadyWriters;
  readonly base: GroupsText;
  readonly hot: string;
}

type Change = (stage: Stage) => Promise<void>;

export async function run(options: CrowdOptions): Promise<readonly Row[]> {
  const fleet = await startFleet({ nodes, environment });
  const crowd = new Crowd(fleet.nginx.port);
  try {
    const stage = await seat(fleet, crowd, options);
    const rows: Row[] = [];
    for (const [name, change] of Object.entries(changes))
      rows.push(await measure(name, change, stage, options.seconds ?? usual.seconds));
    return rows;
  } finally {
    crowd.close();
    await fleet.close();
  }
}

async function seat(fleet: Fleet, crowd: Crowd, options: CrowdOptions): Promise<Stage> {
  const viewers = options.viewers ?? usual.viewers;
  const base = { unlimited: ['127.0.0.1'], groups: fleet.groupsOf(nodes) };
  const [hot = '', ...others] = roomsOn('blue', base, pinnedRooms + 1);
  const pinned = [...others, ...roomsOn('green', base, pinnedRooms)];
  await crowd.join(hot, Math.round(viewers * hotShare));
  for (const room of pinned) await crowd.join(room, Math.round((viewers * (1 - hotShare)) / pinned.length));
  const everyMs = 1000 / (options.rate ?? usual.rate);
  return {
    fleet,
    crowd,
    base,
    hot,
    writers: new SteadyWriters({ port: fleet.nginx.port, rooms: [hot, ...pinned], everyMs }),
  };
}

async function measure(change: string, make: Change, stage: Stage, seconds: number): Promise<Row> {
  const { crowd, writers } = stage;
  const before = { count: writers.count, failed: writers.failures.length };
  writers.start();
  const beganAt = performance.now();
  await make(stage);
  await waitFor(() => crowd.away === 0, { what: 'everybody to be back', timeoutMs: backWithinMs });
  const tookMs = performance.now() - beganAt;
  await pause(seconds * 1000);
  await writers.stop();
  await writers.allHave(crowd, backWithinMs);
  const { doubled, declared, strange, closedForGood } = crowd.counts;
  return {
    change,
    'took s': shown(tookMs / 1000),
    'came back': crowd.opensSince(beganAt),
    'most in 1 s': crowd.opensPerSecond(beganAt),
    writes: writers.count - before.count,
    'failed writes': writers.failures.length - before.failed,
    // All of these since the first change.
    lost: crowd.lost,
    doubled: doubled + strange,
    declared,
    'closed for good': closedForGood,
  };
}

const changes: Readonly<Record<string, Change>> = {
  nothing: async () => undefined,
  'ten reloads of nginx': async ({ fleet }) => {
    const [command = '', ...words] = fleet.nginx.words;
    for (let n = 0; n < reloads; n += 1) {
      await callProgram(command, [...words, '-s', 'reload']);
      await pause(500);
    }
  },
  'a room becomes hot': ({ fleet, base, hot }) => apply(fleet, { ...base, hotRooms: { [hot]: ['blue', 'green'] } }),
  'it cools': ({ fleet, base }) => apply(fleet, base),
  'a group is added': async ({ fleet, base }) => {
    await Promise.all(added.map((name) => fleet.start(name)));
    await apply(fleet, { ...base, groups: fleet.groupsOf([...nodes, ...added]) });
  },
  'it is taken away': async ({ fleet, base }) => {
    await apply(fleet, { ...base, groups: fleet.groupsOf([...nodes, ...added], { red: { weight: 0 } }) });
    await apply(fleet, base);
    for (const name of added) await fleet.stop(name);
  },
  'rolling restart of all four': async ({ fleet, crowd }) => {
    for (const name of nodes) {
      await fleet.stop(name);
      await fleet.start(name);
      await waitFor(() => crowd.away === 0, { what: `those of ${name} to be back`, timeoutMs: backWithinMs });
    }
  },
  'a gateway is killed': async ({ fleet, crowd }) => {
    await fleet.kill('blue-1');
    await waitFor(() => crowd.away > 0, { what: 'the loss to be noticed' });
    await waitFor(() => crowd.away === 0, { what: 'everybody to be back', timeoutMs: backWithinMs });
  },
  'all are killed, for 10 s': async ({ fleet, writers }) => {
    await fleet.start('blue-1');
    await writers.stop();
    await Promise.all(nodes.map((name) => fleet.kill(name)));
    await pause(downMs);
    await Promise.all(nodes.map((name) => fleet.start(name)));
    writers.start();
  },
};

async function apply(fleet: Fleet, groups: GroupsText): Promise<void> {
  await fleet.nginx.edit(groups);
  const { code, text } = await fleet.ringside('apply', '--pace', String(pace), '--yes');
  if (code !== 0) throw new Error(text);
}
