/** The contract of a room's log: how many watch it, over all nodes. */

import assert from 'node:assert/strict';
import { graceMs, leaseMs, type RoomLog, type ViewerCount } from '../../src/log/room-log.ts';
import type { UserId } from '../../src/model.ts';
import { waitFor } from '../rig/wait-for.ts';
import { type Ear, event, type OpenHarness, promise, type Stage, user } from './stage.ts';

/** Longer than what these tests take in real time, so that only the harness lets it pass; shorter than a lease. */
const viewerCountMs = 4_000;
const settings = { viewerCountMs };
/** How finely past numbers are kept: less is told so much later than the grace, at most. */
const stepMs = 1_000;
/** Within this a killed node is no longer counted. */
const ghostsGoneMs = 30_000;

const viewerCount = (viewers: number, users: number): ViewerCount => ({ viewers, users });
const told = async (stage: Stage, viewers: number, log: RoomLog = stage.log): Promise<ViewerCount | null> =>
  (await log.report(stage.room, viewers)).told;
const enter = (stage: Stage, log: RoomLog, ...names: string[]): Promise<unknown> =>
  Promise.all(names.map((name) => log.enter(stage.room, user(name))));
const leave = (stage: Stage, log: RoomLog, ...names: string[]): Promise<unknown> =>
  Promise.all(names.map((name) => log.leave(stage.room, user(name))));
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
  rates(open);
  falls(open);
  ghosts(open);
}

function sums(open: OpenHarness): void {
  const holds = (name: string, run: (stage: Stage) => Promise<void>) => promise(name, open, run, settings);

  holds('the first who watch are told of at once, to every node', async (stage) => {
    const two = await stage.harness.node('two');
    const [here, there] = [await stage.follow(), await stage.follow(two)];
    await enter(stage, stage.log, 'ann', 'ben');
    assert.deepEqual(await told(stage, 3), viewerCount(3, 2));
    for (const ear of [here, there]) await hears(ear, viewerCount(3, 2));
  });

  holds('a room that nobody ever watched has nothing to tell', async (stage) => {
    const ear = await stage.follow();
    assert.equal(await told(stage, 0), null);
    assert.equal((await stage.log.renew(stage.room)).told, null);
    await heardOnly(stage, ear);
  });

  holds('viewers without a name are viewers and no users', async (stage) => {
    await stage.log.enter(stage.room, null);
    assert.deepEqual(await told(stage, 4), viewerCount(4, 0));
  });

  holds('three tabs of one user are three viewers and one user, also on several nodes', async (stage) => {
    const two = await stage.harness.node('two');
    await enter(stage, stage.log, 'ann', 'ann');
    assert.deepEqual(await told(stage, 2), viewerCount(2, 1));
    await enter(stage, two, 'ann');
    await told(stage, 1, two);
    await stage.harness.tick(viewerCountMs);
    assert.deepEqual(await told(stage, 1, two), viewerCount(3, 1));
  });

  holds('the number is the sum over all nodes, whichever of them asks', async (stage) => {
    const nodes = await Promise.all(['two', 'three', 'four'].map((id) => stage.harness.node(id)));
    for (const [n, log] of nodes.entries()) {
      await enter(stage, log, `user-${n}`, 'everywhere');
      await told(stage, 10 ** n, log);
    }
    // The sum stood for so long when the last node had reported.
    await stage.harness.tick(viewerCountMs);
    await told(stage, 0);
    await stage.harness.tick(viewerCountMs);
    for (const [n, log] of nodes.entries()) assert.deepEqual(await told(stage, 10 ** n, log), viewerCount(111, 4));
    assert.deepEqual((await stage.log.renew(stage.room)).told, viewerCount(111, 4));
  });

  holds('a renewal is a report', async (stage) => {
    const ear = await stage.follow();
    assert.deepEqual((await stage.log.renew(stage.room, 7)).told, viewerCount(7, 0));
    await hears(ear, viewerCount(7, 0));
  });

  holds('two rooms are counted apart', async (stage) => {
    const other = await stage.harness.node('two');
    await told(stage, 5);
    assert.deepEqual((await other.report('another-room' as typeof stage.room, 2)).told, viewerCount(2, 0));
    assert.deepEqual(await told(stage, 5), viewerCount(5, 0));
  });
}

function rates(open: OpenHarness): void {
  const holds = (name: string, run: (stage: Stage) => Promise<void>) => promise(name, open, run, settings);

  holds('what does not change is told once', async (stage) => {
    const ear = await stage.follow();
    for (let n = 0; n < 5; n += 1) {
      assert.deepEqual(await stage.log.report(stage.room, 3), { told: viewerCount(3, 0), againMs: 0 });
      await stage.harness.tick(leaseMs - 5000);
    }
    await heardOnly(stage, ear, viewerCount(3, 0));
  });

  holds('changes are told at most once per VIEWER_COUNT_MS, over all nodes, and the last one always', async (stage) => {
    const two = await stage.harness.node('two');
    const ear = await stage.follow();
    await told(stage, 1);
    for (let n = 2; n < 10; n += 1) {
      const { againMs } = await stage.log.report(stage.room, n);
      assert.ok(againMs > viewerCountMs / 2 && againMs <= viewerCountMs, `come again in ${againMs}`);
      await two.report(stage.room, 0);
    }
    await heardOnly(stage, ear, viewerCount(1, 0));
    await stage.harness.tick(viewerCountMs);
    assert.deepEqual(await told(stage, 0, two), viewerCount(9, 0));
    await heardOnly(stage, ear, viewerCount(1, 0), viewerCount(9, 0));
  });

  holds('who moves to another node is never counted on both', async (stage) => {
    const two = await stage.harness.node('two');
    const ear = await stage.follow();
    await told(stage, 100);
    // The other node is quicker to say that they came than this one is to say that they left.
    for (let moved = 20; moved <= 100; moved += 20) {
      await stage.harness.tick(1_000);
      await told(stage, moved, two);
      await stage.harness.tick(viewerCountMs - 2_000);
      await told(stage, 100 - moved);
      await stage.harness.tick(1_000);
      assert.deepEqual(await told(stage, moved, two), viewerCount(100, 0));
    }
    await heardOnly(stage, ear, viewerCount(100, 0));
  });

  holds('more on one of several nodes is told when it has stood for VIEWER_COUNT_MS', async (stage) => {
    const two = await stage.harness.node('two');
    await told(stage, 10);
    await stage.harness.tick(viewerCountMs);
    assert.deepEqual(await told(stage, 5, two), viewerCount(10, 0));
    await stage.harness.tick(viewerCountMs - 1_000);
    const early = await two.report(stage.room, 8);
    assert.deepEqual(early.told, viewerCount(10, 0));
    assert.ok(early.againMs > 0 && early.againMs <= 1_000, `come again in ${early.againMs}`);
    await stage.harness.tick(1_000);
    // The least that there was for so long.
    assert.deepEqual(await told(stage, 8, two), viewerCount(15, 0));
    await stage.harness.tick(viewerCountMs);
    assert.deepEqual(await told(stage, 8, two), viewerCount(18, 0));
  });
}

function falls(open: OpenHarness): void {
  const holds = (name: string, run: (stage: Stage) => Promise<void>) => promise(name, open, run, { viewerCountMs: 50 });

  holds('fewer are told when that has lasted for the grace, and the log says when to come', async (stage) => {
    const ear = await stage.follow();
    await enter(stage, stage.log, 'ann', 'ben');
    await told(stage, 2);
    await leave(stage, stage.log, 'ben');
    await stage.harness.tick(stepMs);
    const { told: before, againMs } = await stage.log.report(stage.room, 1);
    assert.deepEqual(before, viewerCount(2, 2));
    assert.ok(againMs > graceMs && againMs <= graceMs + stepMs, `come again in ${againMs}`);
    await stage.harness.tick(graceMs - 2_000);
    assert.deepEqual(await told(stage, 1), viewerCount(2, 2));
    await stage.harness.tick(2_000 + stepMs);
    assert.deepEqual(await told(stage, 1), viewerCount(1, 1));
    await heardOnly(stage, ear, viewerCount(2, 2), viewerCount(1, 1));
  });

  holds('a node that is replaced leaves no dent, neither in viewers nor in users', async (stage) => {
    const two = await stage.harness.node('two');
    const ear = await stage.follow();
    const names = ['ann', 'ben', 'cem'];
    await enter(stage, stage.log, ...names);
    await told(stage, 3);
    await leave(stage, stage.log, ...names);
    await told(stage, 0);
    await stage.harness.tick(graceMs - 1_000);
    await told(stage, 0);
    await enter(stage, two, ...names);
    await told(stage, 3, two);
    for (let n = 0; n < 8; n += 1) {
      await stage.harness.tick(graceMs / 2);
      assert.deepEqual((await two.renew(stage.room, 3)).told, viewerCount(3, 3));
    }
    await heardOnly(stage, ear, viewerCount(3, 3));
  });

  holds('who leaves just before a node is replaced does not end the grace of the others', async (stage) => {
    await told(stage, 100);
    await stage.harness.tick(stepMs);
    await told(stage, 99);
    await stage.harness.tick(graceMs - 2_000);
    await told(stage, 50);
    for (let waitedMs = 0; waitedMs < graceMs - 1_000; waitedMs += 1_000) {
      await stage.harness.tick(1_000);
      const viewers = (await told(stage, 50))?.viewers ?? 0;
      assert.ok(viewers >= 99, `told ${viewers} after ${waitedMs}`);
    }
    await stage.harness.tick(2_000 + stepMs);
    assert.deepEqual(await told(stage, 50), viewerCount(50, 0));
  });

  holds('of a long decline, each number is told a grace later', async (stage) => {
    await told(stage, 100);
    for (let second = 1; second <= 40; second += 1) {
      await stage.harness.tick(1_000);
      const viewers = (await told(stage, 100 - second))?.viewers ?? 0;
      const lateS = (graceMs + 2 * stepMs) / 1_000;
      assert.ok(viewers >= 100 - second && viewers <= 100 - second + lateS + 1, `told ${viewers} after ${second} s`);
    }
  });
}

function ghosts(open: OpenHarness): void {
  const holds = (name: string, run: (stage: Stage) => Promise<void>) => promise(name, open, run, { viewerCountMs: 50 });

  /** Lets time pass while these nodes, and no other, go on renewing. */
  async function live(stage: Stage, ms: number, nodes: readonly (readonly [RoomLog, number])[]): Promise<void> {
    for (let passedMs = 0; passedMs < ms; passedMs += 5_000) {
      await stage.harness.tick(Math.min(5_000, ms - passedMs));
      for (const [log, viewers] of nodes) await log.renew(stage.room, viewers);
    }
  }

  holds('a node that was killed is not counted any more within 30 seconds, nor are its users', async (stage) => {
    const two = await stage.harness.node('two');
    await enter(stage, stage.log, 'ann', 'both');
    await enter(stage, two, 'ben', 'both');
    await stage.log.renew(stage.room, 2);
    await two.renew(stage.room, 20);
    await stage.harness.tick(50);
    await told(stage, 20, two);
    assert.deepEqual(await told(stage, 2), viewerCount(22, 3));
    await live(stage, leaseMs + graceMs - 5_000, [[stage.log, 2]]);
    assert.deepEqual(await told(stage, 2), viewerCount(22, 3), 'it may come back');
    await live(stage, ghostsGoneMs - leaseMs - graceMs + 5_000, [[stage.log, 2]]);
    assert.deepEqual(await told(stage, 2), viewerCount(2, 2));
  });

  holds('users of a killed node are taken out a bounded number at a time', async (stage) => {
    const two = await stage.harness.node('two');
    const crowd: UserId[] = Array.from({ length: 2_500 }, (_, n) => user(`user-${n}`));
    await Promise.all(crowd.map((each) => two.enter(stage.room, each)));
    await two.renew(stage.room, crowd.length);
    await enter(stage, stage.log, 'ann');
    await live(stage, leaseMs + graceMs - 2_000, [[stage.log, 1]]);
    await stage.harness.tick(3_000);
    let steps = 0;
    for (let users = Infinity; users > 1; steps += 1) {
      assert.ok(steps < 30, `${users} users after ${steps} steps`);
      const answer = await stage.log.report(stage.room, 1);
      const next = answer.told?.users ?? 0;
      assert.ok(next <= users);
      users = next;
      if (users > 1) assert.ok(answer.againMs > 0 && answer.againMs <= 1_000, `come again in ${answer.againMs}`);
      await stage.harness.tick(50);
    }
    assert.ok(steps >= 3, `${steps} steps for ${crowd.length} users`);
    assert.deepEqual(await told(stage, 1), viewerCount(1, 1));
  });

  holds('a node that comes back in time has never been away', async (stage) => {
    const two = await stage.harness.node('two');
    const ear = await stage.follow();
    await enter(stage, two, 'ben');
    await told(stage, 5, two);
    await enter(stage, stage.log, 'ann');
    await live(stage, leaseMs + 5_000, [[stage.log, 0]]);
    await enter(stage, two, 'ben');
    await two.renew(stage.room, 5);
    await live(stage, 3 * leaseMs, [
      [stage.log, 0],
      [two, 5],
    ]);
    assert.deepEqual(ear.audiences.at(-1), viewerCount(5, 2));
    assert.ok(ear.audiences.every(({ viewers }) => viewers === 5));
  });

  holds('after a time without the log nobody is taken for dead before they had time to say so', async (stage) => {
    const two = await stage.harness.node('two');
    const ear = await stage.follow();
    await enter(stage, stage.log, 'ann');
    await enter(stage, two, 'ben');
    await told(stage, 1);
    await told(stage, 1, two);
    await stage.harness.tick(50);
    assert.deepEqual(await told(stage, 1, two), viewerCount(2, 2));
    await hears(ear, viewerCount(1, 2), viewerCount(2, 2));
    await stage.harness.tick(leaseMs + graceMs + 2_000);
    await stage.log.renew(stage.room, 1);
    await live(stage, 5_000, [[stage.log, 1]]);
    await two.renew(stage.room, 1);
    await live(stage, 3 * leaseMs, [
      [stage.log, 1],
      [two, 1],
    ]);
    assert.deepEqual(await told(stage, 1), viewerCount(2, 2));
    await heardOnly(stage, ear, viewerCount(1, 2), viewerCount(2, 2));
  });
}
