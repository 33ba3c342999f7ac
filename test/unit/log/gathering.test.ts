import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Refusal } from '../../../src/errors.ts';
import { type Attended, attendAtOnce, attendingMax, Gathering, type Step } from '../../../src/log/gathering.ts';
import type { Tail } from '../../../src/log/position.ts';
import type { Epoch, RoomId, UserId } from '../../../src/signal.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

const [room, other] = ['match-7', 'match-8'] as [RoomId, RoomId];
const [ann, bob, cat] = ['ann', 'bob', 'cat'] as [UserId, UserId, UserId];
const deadlineMs = 2000;
const tailAt = (offset: number): Tail => ({ epoch: 'e' as Epoch, offset, first: 1, lineage: [] });
const attended = (more: Partial<Attended> = {}): Attended => ({
  ...{ tail: tailAt(1), ended: false, lapsed: false, banned: new Set<Step>() },
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
let gathering = open();
beforeEach(() => {
  calls = [];
  clock = new FakeClock();
  gathering = open();
});

function open(): Gathering {
  const attend = (called: RoomId, steps: readonly Step[]) =>
    new Promise<Attended>((answer, fail) => void calls.push({ room: called, steps, answer, fail }));
  return new Gathering({ attend, clock, deadlineMs });
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
    const first = gathering.enter(room, ann);
    assert.deepEqual(calls.map(words), ['+ann']);
    const later = [gathering.enter(room, bob), gathering.enter(room, null), gathering.leave(room, ann)];
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
    assert.deepEqual([calls.length, gathering.attending, clock.timers], [2, 0, 0]);
  });

  it('asks without a step where nobody came or left', () => {
    void gathering.enter(room, null);
    assert.deepEqual(calls.map(words), ['']);
  });

  it('does not let one room wait for another', () => {
    void gathering.enter(room, ann);
    void gathering.enter(other, ann);
    assert.deepEqual(
      calls.map((made) => made.room),
      [room, other],
    );
  });

  it('keeps the order in which it was asked, over as many calls as it takes', async () => {
    void gathering.enter(room, ann);
    const expected = Array.from({ length: 2 * attendAtOnce + 1 }, (_, n) => {
      void (n % 2 === 0 ? gathering.enter(room, bob) : gathering.leave(room, bob));
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
    void gathering.enter(other, ann);
    void gathering.enter(room, null);
    const asked = [bob, null, cat, ann].map((each) => gathering.enter(room, each));
    const left = gathering.leave(room, bob);
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
    void gathering.enter(room, null).catch(() => undefined);
    const [one, two] = [gathering.enter(room, ann), gathering.leave(room, bob)];
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
    const later = gathering.enter(room, cat);
    call(2).answer(attended());
    assert.equal((await later).banned, false);
  });
});

describe('the limits of gathering', () => {
  it('nobody waits longer than the deadline, behind a call that is not answered either', async () => {
    const first = codeOf(gathering.enter(room, ann));
    clock.advance(deadlineMs / 2);
    const second = codeOf(gathering.enter(room, bob));
    clock.advance(deadlineMs / 2);
    assert.equal(await first, 'log-unavailable');
    assert.equal(gathering.attending, 1);
    clock.advance(deadlineMs / 2);
    assert.equal(await second, 'log-unavailable');
    const third = gathering.enter(room, cat);
    // What was given up is not sent any more when the call ends at last.
    call(0).answer(attended());
    await nextTurn();
    assert.deepEqual(calls.map(words), ['+ann', '+cat']);
    call(1).answer(attended());
    assert.equal((await third).banned, false);
    await nextTurn();
    assert.deepEqual([gathering.attending, clock.timers], [0, 0]);
  });

  it('so many may wait in all rooms, one more is refused at once', async () => {
    const refused: Promise<string>[] = [];
    for (let n = 0; n < attendingMax; n += 1) refused.push(codeOf(gathering.enter(n % 2 ? room : other, ann)));
    assert.equal(gathering.attending, attendingMax);
    assert.equal(await codeOf(gathering.enter(room, bob)), 'log-unavailable');
    gathering.close();
    assert.deepEqual(new Set(await Promise.all(refused)), new Set(['log-unavailable']));
    assert.equal(gathering.attending, 0);
  });

  it('closing refuses all who wait and all who come later, and leaves no timer', async () => {
    const asked = [gathering.enter(room, ann), gathering.enter(room, bob), gathering.leave(other, cat)].map(codeOf);
    gathering.close();
    assert.deepEqual(await Promise.all(asked), ['log-unavailable', 'log-unavailable', 'log-unavailable']);
    assert.equal(await codeOf(gathering.enter(room, ann)), 'log-unavailable');
    for (const made of calls) made.answer(attended());
    await nextTurn();
    assert.deepEqual([calls.length, clock.timers], [2, 0]);
  });
});
