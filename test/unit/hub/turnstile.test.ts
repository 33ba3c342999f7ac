import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Turnstile } from '../../../src/hub/turnstile.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

test('as many as come in a second may come at once, and then so many a second', () => {
  const clock = new FakeClock();
  const turnstile = new Turnstile(clock, { joinsPerSecond: 10 });
  const come = (count: number): number =>
    Array.from({ length: count }, () => turnstile.pass(0)).filter((ms) => ms === null).length;
  assert.equal(come(25), 10);
  clock.advance(500);
  assert.equal(come(25), 5);
  clock.advance(10_000);
  assert.equal(come(25), 10);
});

test('each who is turned away is told a time of its own, no sooner than there is room', () => {
  const clock = new FakeClock();
  const turnstile = new Turnstile(clock, { joinsPerSecond: 10 });
  for (let count = 0; count < 10; count += 1) turnstile.pass(0);
  assert.deepEqual(
    Array.from({ length: 4 }, () => turnstile.pass(1_000)),
    [1_100, 1_200, 1_300, 1_400],
  );
});

test('nobody is sent away for longer than a minute and its own retry, however many come', () => {
  const turnstile = new Turnstile(new FakeClock(), { joinsPerSecond: 1 });
  const waits = Array.from({ length: 500 }, () => turnstile.pass(2_000) ?? 0);
  assert.equal(Math.max(...waits), 62_000);
});

test('in no stretch of time do more come in than the rate and one burst', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 200 }), (pauses) => {
      const clock = new FakeClock();
      const turnstile = new Turnstile(clock, { joinsPerSecond: 20 });
      const times: number[] = [];
      for (const pauseMs of pauses) {
        clock.advance(pauseMs);
        if (turnstile.pass(0) === null) times.push(clock.now());
      }
      times.forEach((from, first) => {
        for (let last = first; last < times.length; last += 1) {
          const seconds = ((times[last] ?? 0) - from) / 1_000;
          assert.ok(last - first + 1 <= 20 + 20 * seconds + 1);
        }
      });
    }),
  );
});
