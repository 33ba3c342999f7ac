import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type Ancestor,
  formatPosition,
  judge,
  judgeFollowed,
  lineageMax,
  type Position,
  parsePosition,
  type Tail,
} from '../../../src/log/position.ts';
import type { Epoch } from '../../../src/model.ts';

const at = (epoch: string, offset: number): Position => ({ epoch: epoch as Epoch, offset });
const tail = (offset: number, first: number, lineage: readonly [string, number][] = []): Tail => ({
  epoch: 'now' as Epoch,
  offset,
  first,
  lineage: lineage.map(([epoch, last]): Ancestor => ({ epoch: epoch as Epoch, last })),
});

/** Runs a property; what it throws names the seed. */
const holds = <Values extends [unknown, ...unknown[]]>(
  ...property: [...{ [Index in keyof Values]: fc.Arbitrary<Values[Index]> }, (...values: Values) => void]
): void => fc.assert(fc.property(...property), { numRuns: 1000 });

const epochs = fc.stringMatching(/^[a-z0-9]{1,12}$/);
const offsets = fc.integer({ min: 0, max: 999_999_999_999_999 });

describe('an id', () => {
  test('is the epoch, a dot and the offset', () => {
    assert.equal(formatPosition(at('k3x9qa', 1042)), 'k3x9qa.1042');
    assert.deepEqual(parsePosition('k3x9qa.1042'), at('k3x9qa', 1042));
    assert.deepEqual(parsePosition('0.0'), at('0', 0));
  });

  test('that this service cannot have written is unreadable', () => {
    const wrong = ['', '.', 'a', 'a.', '.1', 'a.01', 'a.-1', 'a.+1', 'a.1.2', 'a.1 ', ' a.1', 'a.1\n', 'A.1', 'ä.1'];
    wrong.push('a.1e3', 'a.0x1', 'a.NaN', 'a.1,b.2', 'a b.1', 'abcdefghijklm.1', 'a.1234567890123456', 'a.١');
    for (const text of wrong) assert.equal(parsePosition(text), null, JSON.stringify(text));
  });

  test('survives being written and read, and needs no preflight', () => {
    holds(epochs, offsets, (epoch, offset) => {
      const text = formatPosition(at(epoch, offset));
      assert.match(text, /^[a-z0-9.]{3,32}$/);
      assert.deepEqual(parsePosition(text), at(epoch, offset));
    });
  });

  test('of any text is either unreadable or written the same again', () => {
    const almost = fc.tuple(fc.string({ maxLength: 13 }), fc.string({ maxLength: 17 })).map(([a, b]) => `${a}.${b}`);
    holds(fc.oneof(fc.string(), almost, fc.string({ unit: 'binary' })), (text) => {
      const position = parsePosition(text);
      if (position === null) return;
      assert.equal(formatPosition(position), text);
      assert.ok(Number.isSafeInteger(position.offset));
    });
  });
});

describe('a resume', () => {
  test('without an id is fresh, and goes on at the tail', () => {
    assert.deepEqual(judge(null, tail(7, 3)), { verdict: 'fresh', to: at('now', 7), missed: 0, cause: null });
  });

  test('with an id that means nothing here is a reset, and goes on at the tail', () => {
    const reset = { verdict: 'reset', to: at('now', 7), missed: null, cause: null };
    assert.deepEqual(judge('unreadable', tail(7, 3)), reset);
    assert.deepEqual(judge(at('other', 5), tail(7, 3)), reset);
    assert.deepEqual(judge(at('now', 8), tail(7, 3)), reset);
  });

  test('with an id of which everything after it is left is exact', () => {
    for (const offset of [2, 3, 6, 7]) {
      const exact = { verdict: 'exact', to: at('now', offset), missed: 0, cause: null };
      assert.deepEqual(judge(at('now', offset), tail(7, 3)), exact);
    }
    assert.equal(judge(at('now', 7), tail(7, 8)).verdict, 'exact');
    assert.equal(judge(at('now', 0), tail(0, 1)).verdict, 'exact');
  });

  test('with an id before what is left is told how many are gone', () => {
    assert.deepEqual(judge(at('now', 1), tail(7, 5)), {
      verdict: 'gap',
      to: at('now', 4),
      missed: 3,
      cause: 'trimmed',
    });
    assert.equal(judge(at('now', 0), tail(7, 8)).missed, 7);
  });

  test('with an id of an older epoch is as good as a new one, up to where that epoch came', () => {
    const history = tail(20, 3, [
      ['first', 6],
      ['second', 10],
    ]);
    const exact = { verdict: 'exact', to: at('now', 6), missed: 0, cause: null };
    assert.deepEqual(judge(at('first', 6), history), exact);
    assert.deepEqual(judge(at('second', 6), history), exact);
    const gap = { verdict: 'gap', missed: null, cause: 'failover' };
    assert.deepEqual(judge(at('first', 7), history), { ...gap, to: at('now', 6) });
    assert.deepEqual(judge(at('second', 99), history), { ...gap, to: at('now', 10) });
    assert.equal(judge(at('first', 1), history).cause, 'trimmed');
  });

  test('after a failover does not promise what has been trimmed since', () => {
    const judged = judge(at('old', 9), tail(20, 15, [['old', 6]]));
    assert.deepEqual(judged, { verdict: 'gap', to: at('now', 14), missed: null, cause: 'failover' });
  });
});

/** Any tail that a log can have, and any position. */
const tails = fc
  .record({ offset: fc.nat(50), kept: fc.nat(50), lasts: fc.array(fc.nat(50), { maxLength: lineageMax }) })
  .map(({ offset, kept, lasts }) =>
    tail(
      offset,
      offset - Math.min(kept, offset) + 1,
      lasts.toSorted((a, b) => a - b).map((last, n) => [`e${n}`, Math.min(last, offset)]),
    ),
  );
const positions = fc
  .record({
    epoch: fc.oneof(
      fc.constant('now'),
      fc.nat(lineageMax).map((n) => `e${n}`),
    ),
    offset: fc.nat(60),
  })
  .map(({ epoch, offset }) => at(epoch, offset));

describe('whatever the id and the log', () => {
  test('the rest goes on within what is left, in the present epoch', () => {
    holds(fc.oneof(positions, fc.constant(null), fc.constant('unreadable' as const)), tails, (from, present) => {
      const { to } = judge(from, present);
      assert.equal(to.epoch, present.epoch);
      assert.ok(to.offset >= present.first - 1 && to.offset <= present.offset);
    });
  });

  test('received and declared together are everything, unless nobody can know', () => {
    holds(positions, tails, (from, present) => {
      const { verdict, to, missed } = judge(from, present);
      if (verdict === 'reset' || missed === null) return;
      assert.equal(missed + (present.offset - to.offset), present.offset - from.offset);
      assert.equal(verdict === 'exact', missed === 0);
    });
  });

  test('going on from where a resume pointed is exact', () => {
    holds(positions, tails, (from, present) => {
      const { to } = judge(from, present);
      assert.deepEqual(judge(to, present), { verdict: 'exact', to, missed: 0, cause: null });
    });
  });

  test('an exact id stays exact when the store restarts and loses nothing', () => {
    holds(positions, tails, (from, present) => {
      const lineage = [...present.lineage, { epoch: present.epoch, last: present.offset }].slice(-lineageMax);
      const later: Tail = { ...present, epoch: 'later' as Epoch, lineage };
      const isForgotten = from.epoch !== 'now' && !lineage.some(({ epoch }) => epoch === from.epoch);
      if (isForgotten || judge(from, present).verdict !== 'exact') return;
      assert.deepEqual(judge(from, later), { verdict: 'exact', to: at('later', from.offset), missed: 0, cause: null });
    });
  });
});

describe('who has followed the room', () => {
  const followed = (epoch: string, offset: number, lineage: readonly [string, number][] = []) => ({
    ...at(epoch, offset),
    lineage: lineage.map(([old, last]): Ancestor => ({ epoch: old as Epoch, last })),
  });
  const gapTo = (offset: number) => ({ verdict: 'gap', to: at('now', offset), missed: null, cause: 'failover' });

  test('is judged like an id where the log knows the epoch', () => {
    const present = tail(20, 5, [['old', 12]]);
    for (const from of [at('old', 12), at('old', 15), at('old', 2), at('now', 20)]) {
      assert.deepEqual(judgeFollowed({ ...from, lineage: [] }, present, 100), judge(from, present));
    }
  });

  test('goes on from the beginning of a history that has nothing in common with its own', () => {
    assert.deepEqual(judgeFollowed(followed('lost', 30), tail(2, 1), 100), gapTo(0));
    assert.deepEqual(judgeFollowed(followed('lost', 30), tail(9, 4), 100), gapTo(3));
  });

  test('goes on from where two histories part', () => {
    assert.deepEqual(judgeFollowed(followed('lost', 30, [['old', 20]]), tail(25, 1, [['old', 18]]), 100), gapTo(18));
    assert.deepEqual(judgeFollowed(followed('lost', 30, [['old', 15]]), tail(25, 1, [['old', 18]]), 100), gapTo(15));
  });

  test('is not given more of an unknown history than a resume replays', () => {
    assert.deepEqual(judgeFollowed(followed('lost', 30), tail(500, 1), 100), gapTo(400));
  });

  test('goes on at the end where an epoch that both had may be forgotten', () => {
    const full = Array.from({ length: lineageMax }, (_, n): [string, number] => [`e${n}`, n + 1]);
    assert.deepEqual(judgeFollowed(followed('lost', 30, full), tail(25, 1), 100), gapTo(25));
  });
});
