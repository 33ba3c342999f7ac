import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { ViewerCount } from '../../../src/log/presence.ts';
import { graceMs, ShownViewerCount } from '../../../src/room/viewer-count.ts';
import { FakeClock } from '../../rig/fake-clock.ts';

const riseMs = 2_000;

let clock: FakeClock;
let count: ShownViewerCount;
let own: number;
/** What viewers were told, as `<viewers>/<users> @<ms since the start>`. */
let told: string[];

beforeEach(() => {
  clock = new FakeClock();
  own = 0;
  told = [];
  count = open();
});

function open(): ShownViewerCount {
  const startMs = clock.steady();
  const onNews = (): void => {
    const frames = [...one.news()].map((frame) => /data: (.*)\n/.exec(frame.toString())?.[1] ?? '');
    for (const { viewers, users } of frames.map((data) => JSON.parse(data) as ViewerCount)) {
      told.push(`${viewers}/${users} @${clock.steady() - startMs}`);
    }
  };
  const one = new ShownViewerCount({ clock, riseMs, ownViewers: () => own, onNews });
  return one;
}
const of = (viewers: number, users = 0): ViewerCount => ({ viewers, users });
/** The first renewal is answered, by a log that knows this sum and no node that shows one. */
const begin = (viewers: number, users = 0): void => count.renewed({ sum: of(viewers, users), shown: null });
const note = (viewers: number, users = 0): void => count.note(of(viewers, users));

describe('the viewer count that is shown', () => {
  it('begins with the first sum where no node shows one', () => {
    assert.equal(count.frame, '');
    begin(120, 80);
    assert.deepEqual(told, ['120/80 @0']);
    assert.equal(count.frame, 'event: audience\ndata: {"viewers":120,"users":80}\n\n');
  });

  it('goes on from what another node shows, and smooths from there', () => {
    count.renewed({ sum: of(20, 11), shown: of(30, 30) });
    assert.deepEqual(told, ['30/30 @0']);
    clock.advance(graceMs - 1);
    assert.equal(told.length, 1);
    clock.advance(1);
    assert.deepEqual(told.slice(1), ['20/11 @10000']);
  });

  it('shows nothing before the first answer, nor while nobody has ever watched', () => {
    note(7);
    assert.deepEqual([told, count.frame], [[], '']);
    begin(0);
    assert.deepEqual([told, count.frame], [[], '']);
    begin(1, 1);
    assert.deepEqual(told, ['1/1 @0']);
  });

  it('shows more at once while every viewer is here, at most once per interval', () => {
    own = 1;
    begin(1);
    for (let viewers = 2; viewers < 10; viewers += 1) {
      own = viewers;
      note(viewers);
      clock.advance(100);
    }
    clock.advance(riseMs);
    assert.deepEqual(told, ['1/0 @0', '9/0 @2000']);
    clock.advance(10_000);
    own = 12;
    note(12);
    assert.deepEqual(told.slice(2), ['12/0 @12800']);
  });

  it('shows more over several nodes when it has held for the interval', () => {
    own = 10;
    begin(10);
    clock.advance(5_000);
    note(15);
    clock.advance(riseMs - 500);
    note(18);
    clock.advance(499);
    assert.deepEqual(told, ['10/0 @0']);
    clock.advance(1);
    assert.deepEqual(told.slice(1), ['15/0 @7000'], 'the least that there was for so long');
    clock.advance(riseMs);
    assert.deepEqual(told.slice(2), ['18/0 @9000']);
  });

  it('never counts on both nodes who moves from one to the other', () => {
    own = 100;
    begin(100);
    // The other node is quicker to say that they came than this one is to say that they left.
    for (let moved = 20; moved <= 100; moved += 20) {
      clock.advance(500);
      note(120);
      clock.advance(riseMs - 100);
      own = 100 - moved;
      note(100);
    }
    clock.advance(60_000);
    assert.deepEqual(told, ['100/0 @0']);
  });

  it('shows fewer when that has lasted for the grace', () => {
    begin(2, 2);
    clock.advance(1_000);
    note(1, 1);
    clock.advance(graceMs - 1);
    assert.deepEqual(told, ['2/2 @0']);
    clock.advance(1);
    assert.deepEqual(told.slice(1), ['1/1 @11000']);
    assert.equal(clock.timers, 0);
  });

  it('has no dip where viewers reconnect within the grace, as when a node is replaced or the log was away', () => {
    begin(30, 25);
    for (const [viewers, users] of [[29, 25] as const, [10, 9] as const, [0, 0] as const, [18, 20] as const]) {
      clock.advance(2_000);
      note(viewers, users);
    }
    clock.advance(2_000);
    note(30, 25);
    clock.advance(60_000);
    assert.deepEqual(told, ['30/25 @0']);
  });

  it('keeps the grace of the others though some left before', () => {
    begin(100);
    clock.advance(1_000);
    note(99);
    clock.advance(graceMs - 2_000);
    note(50);
    clock.advance(graceMs - 1);
    assert.deepEqual(told, ['100/0 @0', '99/0 @11000']);
    clock.advance(1);
    assert.deepEqual(told.slice(2), ['50/0 @19000']);
  });

  it('shows each number of a long decline a grace later', () => {
    begin(100);
    for (let second = 1; second <= 40; second += 1) {
      clock.advance(1_000);
      note(100 - second);
      const viewers = count.shown?.viewers ?? 0;
      const lateS = (graceMs + riseMs) / 1_000;
      assert.ok(viewers > 100 - second && viewers <= 100 - second + lateS, `shown ${viewers} after ${second} s`);
    }
  });

  it('keeps no more than the sums of the grace, and no timer once it is closed', () => {
    begin(1);
    for (let n = 0; n < 50; n += 1) {
      note(n % 7);
      clock.advance(700);
    }
    assert.ok(clock.timers <= 1);
    count.close();
    assert.equal(clock.timers, 0);
    count.renewed({ sum: of(9), shown: null });
    note(3);
    assert.equal(clock.timers, 0, 'what is answered later changes nothing');
  });
});
