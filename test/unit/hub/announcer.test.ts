import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Refusal } from '../../../src/errors.ts';
import { Announcer } from '../../../src/hub/announcer.ts';
import type { Crowd } from '../../../src/hub/rooms.ts';
import type { Reported, ViewerCount } from '../../../src/log/room-log.ts';
import type { RoomId } from '../../../src/model.ts';
import { FakeClock } from '../../rig/fake-clock.ts';
import { waitFor } from '../../rig/wait-for.ts';

const viewerCountMs = 2000;

/** A room whose size the test sets. */
class Hall implements Crowd {
  readonly id: RoomId;
  size = 0;
  readonly told: ViewerCount[] = [];

  constructor(id: string) {
    this.id = id as RoomId;
  }

  watched(viewerCount: ViewerCount): void {
    this.told.push(viewerCount);
  }
}

let clock: FakeClock;
let announcer: Announcer;
let hall: Hall;
/** What the log was told, as `<room> <viewers> @<ms since the start>`. */
let said: string[];
let faults: unknown[];
let answer: (viewers: number) => Promise<Reported>;

beforeEach(() => {
  clock = new FakeClock();
  const startMs = clock.now();
  said = [];
  faults = [];
  hall = new Hall('hall');
  answer = async (viewers) => ({ told: { viewers, users: 0 }, againMs: 0 });
  const report = async (room: RoomId, viewers: number): Promise<Reported> => {
    said.push(`${room} ${viewers} @${clock.now() - startMs}`);
    return answer(viewers);
  };
  announcer = new Announcer({ log: { report }, clock, viewerCountMs, report: (error) => faults.push(error) });
});

const pass = (ms: number): Promise<void> => clock.advanceGently(ms, 100);
/** What the log answered has arrived. */
const answered = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
function become(size: number, crowd: Hall = hall): void {
  crowd.size = size;
  announcer.changed(crowd);
}

describe('the announcer', () => {
  it('reports a first change at once, and what changes within VIEWER_COUNT_MS as one', async () => {
    for (let size = 1; size <= 50; size += 1) become(size);
    await pass(1000);
    for (let size = 51; size <= 100; size += 1) become(size);
    assert.deepEqual(said, ['hall 1 @0']);
    await pass(5000);
    assert.deepEqual(said, ['hall 1 @0', 'hall 100 @2000']);
    assert.deepEqual(hall.told, [
      { viewers: 1, users: 0 },
      { viewers: 100, users: 0 },
    ]);
  });

  it('waits for nothing where nothing changes, and says nothing where a change was taken back', async () => {
    become(1);
    become(2);
    become(1);
    await pass(10_000);
    assert.deepEqual(said, ['hall 1 @0']);
    assert.deepEqual([announcer.open, clock.timers], [0, 0]);
    become(2);
    await pass(0);
    assert.deepEqual(said, ['hall 1 @0', 'hall 2 @10000'], 'after a quiet time at once');
  });

  it('comes again when the log says so, as long as somebody watches here', async () => {
    answer = async () => ({ told: null, againMs: said.length < 3 ? 7000 : 0 });
    become(5);
    await answered();
    await pass(30_000);
    assert.deepEqual(said, ['hall 5 @0', 'hall 5 @7000', 'hall 5 @14000']);
    answer = async () => ({ told: null, againMs: 7000 });
    become(0);
    await pass(30_000);
    assert.deepEqual(said.slice(3), ['hall 0 @30000']);
    assert.equal(clock.timers, 0, 'a room that nobody watches here is let go');
  });

  it('takes what a renewal carried for said, and heeds when the log wants to hear again', async () => {
    hall.size = 4;
    announcer.renewed(hall, 4, 0);
    await pass(5000);
    assert.deepEqual(said, []);
    announcer.renewed(hall, 4, 500);
    await pass(5000);
    assert.deepEqual(said, ['hall 4 @5500']);
  });

  it('has one report of a room under way at a time, and then says the newest', async () => {
    let release: (() => void) | undefined;
    answer = (viewers) =>
      new Promise((resolve) => {
        release = () => resolve({ told: { viewers, users: 0 }, againMs: 0 });
      });
    become(1);
    await pass(5000);
    become(2);
    become(3);
    await pass(5000);
    assert.deepEqual(said, ['hall 1 @0']);
    answer = async (viewers) => ({ told: { viewers, users: 0 }, againMs: 0 });
    release?.();
    await waitFor(() => said.length === 2, { what: 'the next report' });
    assert.deepEqual(said, ['hall 1 @0', 'hall 3 @10000']);
  });

  it('does not try again by itself while the log is unavailable, and reports every other fault', async () => {
    answer = async () => {
      throw new Refusal('log-unavailable', 'Away.');
    };
    become(1);
    await pass(60_000);
    assert.deepEqual([said.length, faults, clock.timers], [1, [], 0]);
    answer = async () => {
      throw new TypeError('ours');
    };
    become(2);
    await pass(5000);
    assert.equal(faults.length, 1);
  });

  it('tells the log on closing who has left, and leaves no timer', async () => {
    const halls = Array.from({ length: 250 }, (_, n) => new Hall(`hall-${n}`));
    for (const each of halls) become(1, each);
    await pass(1000);
    said = [];
    for (const each of halls) become(0, each);
    await announcer.close();
    assert.equal(new Set(said).size, 250);
    assert.ok(said.every((line) => / 0 @1000$/.test(line)));
    become(7);
    await pass(10_000);
    assert.deepEqual([said.length, clock.timers, announcer.open], [250, 0, 0]);
  });

  it('does not wait for a log that is away when it closes', async () => {
    const halls = Array.from({ length: 250 }, (_, n) => new Hall(`hall-${n}`));
    for (const each of halls) become(1, each);
    await pass(1000);
    said = [];
    answer = async () => {
      throw new Refusal('log-unavailable', 'Away.');
    };
    for (const each of halls) become(0, each);
    await announcer.close();
    assert.equal(said.length, 100, 'one round was enough to know');
  });
});
