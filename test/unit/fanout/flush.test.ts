import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flush, periodMsMax, sliceViewers } from '../../../src/fanout/flush.ts';
import { FakeClock } from '../../rig/fake-clock.ts';

/** A sweep over so many viewers; each slice takes `sliceMs` of work. */
function build({ gatherMs = 20, viewers = 1, sliceMs = 0 } = {}) {
  const clock = new FakeClock({ soon: 'by-hand' });
  const startMs = clock.now();
  const begun: number[] = [];
  const slices: number[] = [];
  const flush = new Flush(clock, gatherMs, function* sweep() {
    begun.push(clock.now() - startMs);
    for (let done = 0; done < viewers; done += 1) {
      if (done % sliceViewers === 0) {
        slices.push(clock.now() - startMs);
        clock.advance(sliceMs);
      }
      yield;
    }
  });
  /** Time passes and entries keep coming, one each millisecond. */
  const traffic = (ms: number): void => {
    for (const endMs = clock.now() + ms; clock.now() < endMs; clock.advance(1)) {
      flush.request();
      clock.runSoon();
    }
  };
  return { clock, flush, begun, slices, traffic };
}

test('the first entry after a quiet time goes out at once', () => {
  const { clock, flush, begun } = build();
  flush.request();
  clock.runSoon();
  assert.deepEqual(begun, [0]);
  clock.advance(500);
  flush.request();
  clock.runSoon();
  assert.deepEqual(begun, [0, 500]);
});

test('while traffic lasts, entries are gathered for the gathering time', () => {
  const { begun, traffic } = build();
  traffic(101);
  assert.deepEqual(begun, [0, 20, 40, 60, 80, 100]);
});

test('many requests before a flush make one flush', () => {
  const { clock, flush, begun } = build();
  for (let count = 0; count < 5; count += 1) flush.request();
  clock.runSoon();
  assert.deepEqual(begun, [0]);
});

test('a flush gives the event loop back after each slice, and the next begins only after it has ended', () => {
  const { clock, flush, begun, slices } = build({ viewers: 3 * sliceViewers });
  flush.request();
  clock.runSoon();
  assert.deepEqual([begun.length, slices.length], [1, 1]);
  flush.request();
  clock.runSoon();
  assert.deepEqual([begun.length, slices.length], [1, 2]);
  clock.runSoon();
  clock.runSoon();
  assert.deepEqual([begun.length, slices.length], [1, 3]);
  clock.advance(100);
  clock.runSoon();
  assert.equal(begun.length, 2, 'what was asked for while it ran is not forgotten');
});

test('after a quiet time the slices follow each other, and under traffic they are spread over the time there is', () => {
  const { begun, slices, traffic } = build({ viewers: 4 * sliceViewers - 1, sliceMs: 5 });
  traffic(300);
  // The clock of this test moves between two slices too.
  assert.deepEqual(slices.slice(0, 4), [0, 6, 12, 18]);
  const period = (begun[3] ?? 0) - (begun[2] ?? 0);
  assert.ok(period >= 62 && period <= periodMsMax + 2, `${periodMsMax} ms for 20 ms of work, not ${period}`);
  const [a = 0, b = 0, c = 0, d = 0] = slices.slice(8);
  for (const pause of [b - a, c - b, d - c]) assert.ok(Math.abs(pause - period / 4) <= 2, `${pause} of ${period}`);
});

test('a room whose flushes take long is flushed less often, up to a bound', () => {
  const { begun, traffic } = build({ sliceMs: 10 });
  traffic(100);
  assert.deepEqual(begun.slice(0, 3), [0, 40, 80]);
  const long = build({ sliceMs: 30 });
  long.traffic(200);
  assert.deepEqual(long.begun.slice(0, 3), [0, periodMsMax, 2 * periodMsMax]);
  const longest = build({ sliceMs: 50 });
  longest.traffic(250);
  assert.deepEqual(longest.begun.slice(0, 3), [0, 100, 200], 'half of the process is left to others');
});

test('nothing is flushed after closing, and no timer is left', () => {
  const { clock, flush, begun } = build();
  flush.request();
  clock.runSoon();
  flush.request();
  flush.close();
  flush.request();
  clock.advance(1_000);
  clock.runSoon();
  assert.deepEqual(begun, [0]);
  assert.equal(clock.timers, 0);
});

test('a flush that was closed while it ran goes no further and asks for no other', () => {
  const { clock, flush, begun, slices } = build({ viewers: 3 * sliceViewers });
  flush.request();
  clock.runSoon();
  flush.request();
  flush.close();
  clock.advance(1_000);
  clock.runSoon();
  assert.deepEqual([begun.length, slices.length], [1, 1]);
});
