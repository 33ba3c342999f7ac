import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { Refusal } from '../../../src/errors.ts';
import { type Renewable, Renewals } from '../../../src/hub/renewals.ts';
import { FakeClock } from '../../rig/fake-clock.ts';
import { waitFor } from '../../rig/wait-for.ts';

const viewerCountMs = 2000;

/** A room whose size the test sets. */
class Hall implements Renewable {
  readonly name: string;
  size = 0;

  constructor(name: string) {
    this.name = name;
  }

  renew(): Promise<number> {
    told.push(`${this.name} ${this.size} @${clock.now() - startMs}`);
    return answer();
  }
}

let clock: FakeClock;
let startMs: number;
let renewals: Renewals;
let hall: Hall;
/** What the log was told, as `<room> <viewers> @<ms since the start>`. */
let told: string[];
let faults: unknown[];
/** How soon the log wants the next renewal. */
let answer: () => Promise<number>;

beforeEach(() => {
  clock = new FakeClock();
  startMs = clock.now();
  told = [];
  faults = [];
  hall = new Hall('hall');
  answer = async () => 0;
  renewals = new Renewals({ clock, viewerCountMs, report: (error) => faults.push(error) });
});

const pass = (ms: number): Promise<void> => clock.advanceGently(ms, 100);
/** What the log answered has arrived. */
const answered = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
function become(size: number, room: Hall = hall): void {
  room.size = size;
  renewals.sizeChanged(room);
}

describe('renewals', () => {
  it('tell a first change at once, and what changes within VIEWER_COUNT_MS as one', async () => {
    for (let size = 1; size <= 50; size += 1) become(size);
    await pass(1000);
    for (let size = 51; size <= 100; size += 1) become(size);
    assert.deepEqual(told, ['hall 1 @0']);
    await pass(5000);
    assert.deepEqual(told, ['hall 1 @0', 'hall 100 @2000']);
  });

  it('wait for nothing where nothing changes, and tell nothing where a change was taken back', async () => {
    become(1);
    become(2);
    become(1);
    await pass(10_000);
    assert.deepEqual(told, ['hall 1 @0']);
    assert.deepEqual([renewals.open, clock.timers], [0, 0]);
    become(2);
    await pass(0);
    assert.deepEqual(told, ['hall 1 @0', 'hall 2 @10000'], 'after a quiet time at once');
  });

  it('come again when the log says so, as long as somebody watches here', async () => {
    answer = async () => (told.length < 3 ? 7000 : 0);
    become(5);
    await answered();
    await pass(30_000);
    assert.deepEqual(told, ['hall 5 @0', 'hall 5 @7000', 'hall 5 @14000']);
    answer = async () => 7000;
    become(0);
    await pass(30_000);
    assert.deepEqual(told.slice(3), ['hall 0 @30000']);
    assert.equal(clock.timers, 0, 'a room that nobody watches here is let go');
  });

  it('at the usual pace tell the number too, and heed when the log wants to hear again', async () => {
    hall.size = 4;
    renewals.renew(hall);
    await pass(5000);
    assert.deepEqual(told, ['hall 4 @0']);
    answer = async () => (told.length < 3 ? 500 : 0);
    renewals.renew(hall);
    await answered();
    await pass(5000);
    assert.deepEqual(told.slice(1), ['hall 4 @5000', 'hall 4 @5500']);
  });

  it('have one of a room under way at a time, and then tell the newest', async () => {
    let release: (() => void) | undefined;
    answer = () =>
      new Promise((resolve) => {
        release = () => resolve(0);
      });
    become(1);
    await pass(5000);
    become(2);
    become(3);
    await pass(5000);
    assert.deepEqual(told, ['hall 1 @0']);
    answer = async () => 0;
    release?.();
    await waitFor(() => told.length === 2, { what: 'the next report' });
    assert.deepEqual(told, ['hall 1 @0', 'hall 3 @10000']);
  });

  it('do not try again by themselves while the log is unavailable, and report every other fault', async () => {
    answer = async () => {
      throw new Refusal('log-unavailable', 'Away.');
    };
    become(1);
    await pass(60_000);
    assert.deepEqual([told.length, faults, clock.timers], [1, [], 0]);
    answer = async () => {
      throw new TypeError('ours');
    };
    become(2);
    await pass(5000);
    assert.equal(faults.length, 1);
  });

  it('tell the log on closing who has left, and leave no timer', async () => {
    const halls = Array.from({ length: 250 }, (_, n) => new Hall(`hall-${n}`));
    for (const each of halls) become(1, each);
    await pass(1000);
    told = [];
    for (const each of halls) become(0, each);
    await renewals.close();
    renewals.renew(hall);
    assert.equal(new Set(told).size, 250);
    assert.ok(told.every((line) => / 0 @1000$/.test(line)));
    become(7);
    await pass(10_000);
    assert.deepEqual([told.length, clock.timers, renewals.open], [250, 0, 0]);
  });

  it('do not wait for a log that is unavailable when it closes', async () => {
    const halls = Array.from({ length: 250 }, (_, n) => new Hall(`hall-${n}`));
    for (const each of halls) become(1, each);
    await pass(1000);
    told = [];
    answer = async () => {
      throw new Refusal('log-unavailable', 'Away.');
    };
    for (const each of halls) become(0, each);
    await renewals.close();
    assert.equal(told.length, 100, 'one round was enough to know');
  });
});
