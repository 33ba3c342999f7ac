import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Refusal } from '../../../../src/errors.ts';
import type { Tail } from '../../../../src/log/position.ts';
import {
  type Attended,
  attendAtOnce,
  attendingMax,
  PresenceBatch,
  type Step,
} from '../../../../src/log/redis/presence-batch.ts';
import type { Epoch, RoomId, UserId } from '../../../../src/model.ts';
import { FakeClock } from '../../../rig/fake-clock.ts';

const [room, other] = ['match-7', 'match-8'] as [RoomId, RoomId];
const [ann, bob, cat] = ['ann', 'bob', 'cat'] as [UserId, UserId, UserId];
const deadlineMs = 2000;
const tailAt = (offset: number): Tail => ({ epoch: 'e' as Epoch, offset, first: 1, lineage: [] });
const attended = (more: Partial<Attended> = {}): Attended => ({
  tail: tailAt(1),
  ended: false,
  lapsed: false,
  banned: new Set<Step>(),
  ...more,
});

/** A call that was made; the test answers it. */
interface Call {
  readonly room: RoomId;
  readonly steps: readonly Step[];
  readonly answer: (attended: Attended) => void;
  readonly fail: (error: Error) => void;
}

let calls: Call[] = [];
let clock = new FakeClock();
let presenceBatch = open();
beforeEach(() => {
  calls = [];
  clock = new FakeClock();
  presenceBatch = open();
});

function open(): PresenceBatch {
  const attend = (called: RoomId, steps: readonly Step[]) =>
    new Promise<Attended>((answer, fail) => void calls.push({ room: called, steps, answer, fail }));
  return new PresenceBatch({ attend, clock, deadlineMs });
}
const words = ({ steps }: Call): string => steps.map(({ user, comes }) => `${comes ? '+' : '-'}${user}`).join(' ');
const call = (n: number): Call => calls[n] ?? assert.fail(`there are ${calls.length} calls`);
const codeOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => 'an answer',
    (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
  );

describe('gathering', () => {
  it('sends the first at once, and those that come meanwhile together when it is answered', async () => {
    const first = presenceBatch.enter(room, ann);
    assert.deepEqual(calls.map(words), ['+ann']);
    const later = [presenceBatch.enter(room, bob), presenceBatch.enter(room, null), presenceBatch.leave(room, ann)];
    assert.equal(calls.length, 1);
    call(0).answer(attended({ tail: tailAt(4) }));
    assert.equal((await first).tail.offset, 4);
    await nextTurn();
    assert.deepEqual(calls.map(words), ['+ann', '+bob -ann']);
    call(1).answer(attended({ tail: tailAt(9) }));
    const [entered, asked] = await Promise.all(later);
    assert.deepEqual(entered, { tail: tailAt(9), ended: false, banned: false, lapsed: false });
    assert.deepEqual(asked, entered);
    await nextTurn();
    assert.deepEqual([calls.length, presenceBatch.attending, clock.timers], [2, 0, 0]);
  });

  it('asks without a step where nobody came or left', () => {
    void presenceBatch.enter(room, null);
    assert.deepEqual(calls.map(words), ['']);
  });

  it('does not let one room wait for another', () => {
    void presenceBatch.enter(room, ann);
    void presenceBatch.enter(other, ann);
    assert.deepEqual(
      calls.map((made) => made.room),
      [room, other],
    );
  });

  it('keeps the order in which it was asked, over as many calls as it takes', async () => {
    void presenceBatch.enter(room, ann);
    const expected = Array.from({ length: 2 * attendAtOnce + 1 }, (_, n) => {
      void (n % 2 === 0 ? presenceBatch.enter(room, bob) : presenceBatch.leave(room, bob));
      return n % 2 === 0 ? '+bob' : '-bob';
    });
    for (let n = 0; n < 4; n += 1) {
      call(n).answer(attended());
      await nextTurn();
    }
    assert.deepEqual(
      calls.map(({ steps }) => steps.length),
      [1, attendAtOnce, attendAtOnce, 1],
    );
    assert.deepEqual(calls.slice(1).map(words).join(' '), expected.join(' '));
  });

  it('tells each who is banned, and tells of a lapsed lease once', async () => {
    void presenceBatch.enter(other, ann);
    void presenceBatch.enter(room, null);
    const asked = [bob, null, cat, ann].map((each) => presenceBatch.enter(room, each));
    const left = presenceBatch.leave(room, bob);
    call(1).answer(attended());
    await nextTurn();
    const [first] = call(2).steps;
    assert.ok(first);
    call(2).answer(attended({ ended: true, lapsed: true, banned: new Set([first]) }));
    const answers = await Promise.all(asked);
    assert.deepEqual(
      answers.map(({ banned, lapsed, ended }) => [banned, lapsed, ended]),
      [
        [true, false, true],
        [false, false, true],
        [false, true, true],
        [false, false, true],
      ],
    );
    assert.equal(await left, undefined);
  });

  it('refuses each member of a call that failed with an error of its own, and goes on with the next', async () => {
    void presenceBatch.enter(room, null).catch(() => undefined);
    const [one, two] = [presenceBatch.enter(room, ann), presenceBatch.leave(room, bob)];
    call(0).fail(new Refusal('log-unavailable', 'Away.'));
    await nextTurn();
    call(1).fail(new Refusal('log-unavailable', 'Away.'));
    const errors = (await Promise.allSettled([one, two])).map((asked) => asked.status === 'rejected' && asked.reason);
    assert.deepEqual(
      errors.map(({ message }) => message),
      ['Away.', 'Away.'],
    );
    assert.notEqual(errors[0], errors[1]);
    await nextTurn();
    const later = presenceBatch.enter(room, cat);
    call(2).answer(attended());
    assert.equal((await later).banned, false);
  });
});

describe('the limits of gathering', () => {
  it('nobody waits longer than the deadline, behind a call that is not answered either', async () => {
    const first = codeOf(presenceBatch.enter(room, ann));
    clock.advance(deadlineMs / 2);
    const second = codeOf(presenceBatch.enter(room, bob));
    clock.advance(deadlineMs / 2);
    assert.equal(await first, 'log-unavailable');
    assert.equal(presenceBatch.attending, 1);
    clock.advance(deadlineMs / 2);
    assert.equal(await second, 'log-unavailable');
    const third = presenceBatch.enter(room, cat);
    // What was given up is not sent any more when the call ends at last.
    call(0).answer(attended());
    await nextTurn();
    assert.deepEqual(calls.map(words), ['+ann', '+cat']);
    call(1).answer(attended());
    assert.equal((await third).banned, false);
    await nextTurn();
    assert.deepEqual([presenceBatch.attending, clock.timers], [0, 0]);
  });

  it('so many may wait in all rooms, one more is refused at once', async () => {
    const refused: Promise<string>[] = [];
    for (let n = 0; n < attendingMax; n += 1) refused.push(codeOf(presenceBatch.enter(n % 2 ? room : other, ann)));
    assert.equal(presenceBatch.attending, attendingMax);
    assert.equal(await codeOf(presenceBatch.enter(room, bob)), 'log-unavailable');
    presenceBatch.close();
    assert.deepEqual(new Set(await Promise.all(refused)), new Set(['log-unavailable']));
    assert.equal(presenceBatch.attending, 0);
  });

  it('closing refuses all who wait and all who come later, and leaves no timer', async () => {
    const asked = [presenceBatch.enter(room, ann), presenceBatch.enter(room, bob), presenceBatch.leave(other, cat)].map(
      codeOf,
    );
    presenceBatch.close();
    assert.deepEqual(await Promise.all(asked), ['log-unavailable', 'log-unavailable', 'log-unavailable']);
    assert.equal(await codeOf(presenceBatch.enter(room, ann)), 'log-unavailable');
    for (const made of calls) made.answer(attended());
    await nextTurn();
    assert.deepEqual([calls.length, clock.timers], [2, 0]);
  });
});
