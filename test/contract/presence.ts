/** The contract of a room's log: how many watch it, over all nodes. */

import assert from 'node:assert/strict';
import { leaseMs, type ViewerCount } from '../../src/log/presence.ts';
import type { NodeLog } from '../rig/joined.ts';
import { waitFor } from '../rig/wait-for.ts';
import { type Ear, event, type OpenHarness, promise, type Stage, user } from './stage.ts';

const viewerCount = (viewers: number, users: number): ViewerCount => ({ viewers, users });
const sum = async (stage: Stage, viewers: number, log: NodeLog = stage.log): Promise<ViewerCount> =>
  (await log.renew(stage.room, viewers)).sum;
const enter = (stage: Stage, log: NodeLog, ...names: string[]): Promise<unknown> =>
  Promise.all(names.map((name) => log.enter(stage.room, user(name))));
const hears = (ear: Ear, ...all: ViewerCount[]): Promise<unknown> =>
  waitFor(() => ear.audiences.length >= all.length, { what: `${all.length} numbers` }).then(() =>
    assert.deepEqual(ear.audiences, all),
  );
/** Nothing more than this was published: what comes after it on the same channel has arrived. */
async function heardOnly(stage: Stage, ear: Ear, ...all: ViewerCount[]): Promise<void> {
  const { position } = await stage.keep(event());
  await waitFor(() => ear.offsets.includes(position.offset), { what: 'the last entry' });
  assert.deepEqual(ear.audiences, all);
}

export function presenceContract(open: OpenHarness): void {
  sums(open);
  ghosts(open);
}

function sums(open: OpenHarness): void {
  const holds = (name: string, run: (stage: Stage) => Promise<void>) => promise(name, open, run);

  holds('the first who watch are told of at once, to every node', async (stage) => {
    const two = await stage.harness.node('two');
    const [here, there] = [await stage.follow(), await stage.follow(two)];
    await enter(stage, stage.log, 'ann', 'ben');
    assert.deepEqual(await sum(stage, 3), viewerCount(3, 2));
    for (const ear of [here, there]) await hears(ear, viewerCount(3, 2));
  });

  holds('a room that nobody ever watched has nothing to tell', async (stage) => {
    const ear = await stage.follow();
    assert.deepEqual(await sum(stage, 0), viewerCount(0, 0));
    assert.equal((await stage.log.renew(stage.room)).shown, null);
    await heardOnly(stage, ear);
  });

  holds('viewers without a name are viewers and no users', async (stage) => {
    await stage.log.enter(stage.room, null);
    assert.deepEqual(await sum(stage, 4), viewerCount(4, 0));
  });

  holds('three tabs of one user are three viewers and one user, also on several nodes', async (stage) => {
    const two = await stage.harness.node('two');
    await enter(stage, stage.log, 'ann', 'ann');
    assert.deepEqual(await sum(stage, 2), viewerCount(2, 1));
    await enter(stage, two, 'ann');
    assert.deepEqual(await sum(stage, 1, two), viewerCount(3, 1));
    await two.leave(stage.room, user('ann'));
    assert.deepEqual(await sum(stage, 0, two), viewerCount(2, 1));
  });

  holds('the number is the sum over all nodes, whichever of them asks', async (stage) => {
    const nodes = await Promise.all(['two', 'three', 'four'].map((id) => stage.harness.node(id)));
    for (const [n, log] of nodes.entries()) {
      await enter(stage, log, `user-${n}`, 'everywhere');
      await sum(stage, 10 ** n, log);
    }
    for (const [n, log] of nodes.entries()) assert.deepEqual(await sum(stage, 10 ** n, log), viewerCount(111, 4));
    assert.deepEqual(await sum(stage, 0), viewerCount(111, 4));
  });

  holds('two rooms are counted apart', async (stage) => {
    const other = await stage.harness.node('two');
    await sum(stage, 5);
    assert.deepEqual((await other.renew('another-room' as typeof stage.room, 2)).sum, viewerCount(2, 0));
    assert.deepEqual(await sum(stage, 5), viewerCount(5, 0));
  });

  holds('what changes is told as it is, and what does not change is told once', async (stage) => {
    const two = await stage.harness.node('two');
    const ear = await stage.follow();
    for (let n = 0; n < 5; n += 1) {
      await sum(stage, 3);
      await stage.harness.tick(leaseMs - 5000);
    }
    await hears(ear, viewerCount(3, 0));
    await sum(stage, 4, two);
    await sum(stage, 1);
    await heardOnly(stage, ear, viewerCount(3, 0), viewerCount(7, 0), viewerCount(5, 0));
  });

  holds('a node that comes is told what another one shows', async (stage) => {
    const two = await stage.harness.node('two');
    assert.equal((await stage.log.renew(stage.room, 5)).shown, null);
    assert.deepEqual((await stage.log.renew(stage.room, 5, null, viewerCount(7, 3))).shown, viewerCount(7, 3));
    const { sum: now, shown } = await two.renew(stage.room, 1);
    assert.deepEqual([now, shown], [viewerCount(6, 0), viewerCount(7, 3)]);
    await two.renew(stage.room, 1, null, viewerCount(6, 0));
    assert.deepEqual((await stage.log.renew(stage.room, 5)).shown, viewerCount(6, 0));
  });
}

function ghosts(open: OpenHarness): void {
  const holds = (name: string, run: (stage: Stage) => Promise<void>) => promise(name, open, run);

  holds('a node that was killed is counted until its lease ends, and so are its users', async (stage) => {
    const two = await stage.harness.node('two');
    const ear = await stage.follow();
    await enter(stage, stage.log, 'ann', 'both');
    await enter(stage, two, 'ben', 'both');
    await sum(stage, 2);
    assert.deepEqual(await sum(stage, 20, two), viewerCount(22, 3));
    await stage.harness.tick(leaseMs - 5_000);
    assert.deepEqual(await sum(stage, 2), viewerCount(22, 3), 'it may be alive');
    await stage.harness.tick(6_000);
    assert.deepEqual(await sum(stage, 2), viewerCount(2, 2));
    await heardOnly(stage, ear, viewerCount(2, 3), viewerCount(22, 3), viewerCount(2, 2));
  });

  holds('a node that was silent for too long is counted again when it is back', async (stage) => {
    const two = await stage.harness.node('two');
    await enter(stage, two, 'ben');
    await sum(stage, 5, two);
    await enter(stage, stage.log, 'ann');
    await stage.harness.tick(leaseMs + 1_000);
    assert.deepEqual(await sum(stage, 1), viewerCount(1, 1));
    const { lapsed, sum: back } = await two.renew(stage.room, 5);
    assert.deepEqual([lapsed, back], [true, viewerCount(6, 1)], 'it is told to put its users on record again');
    await enter(stage, two, 'ben');
    assert.deepEqual(await sum(stage, 5, two), viewerCount(6, 2));
  });
}
