import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JoinLimiter } from '../../../src/hub/join-limiter.ts';
import { FakeClock } from '../../rig/fake-clock.ts';

let users = 0;
/** A user who was never here before. */
const user = () => {
  users += 1;
  return { key: `u${users}`, isNamed: true, isPlatform: false };
};
const from = (address: string) => ({ key: `@${address}`, isNamed: false, isPlatform: false });
const open = (clock: FakeClock, joinsPerSecond: number, userStreamsMax = 100) =>
  new JoinLimiter(clock, { joinsPerSecond, userStreamsMax });

test('as many as come in a second may come at once, and then so many a second', () => {
  const clock = new FakeClock();
  const joinLimiter = open(clock, 10);
  const come = (count: number): number =>
    Array.from({ length: count }, () => joinLimiter.pass(user(), 0)).filter((ms) => ms === null).length;
  assert.equal(come(25), 10);
  clock.advance(500);
  assert.equal(come(25), 5);
  clock.advance(10_000);
  assert.equal(come(25), 10);
});

test('each who is turned away is told a time of its own, no sooner than there is room', () => {
  const clock = new FakeClock();
  const joinLimiter = open(clock, 10);
  for (let count = 0; count < 10; count += 1) joinLimiter.pass(user(), 0);
  assert.deepEqual(
    Array.from({ length: 4 }, () => joinLimiter.pass(user(), 1_000)),
    [1_100, 1_200, 1_300, 1_400],
  );
});

test('nobody is sent away for longer than a minute and its own retry, however many come', () => {
  const joinLimiter = open(new FakeClock(), 1);
  const waits = Array.from({ length: 500 }, () => joinLimiter.pass(user(), 2_000) ?? 0);
  assert.equal(Math.max(...waits), 62_000);
});

test('in no stretch of time do more come in than the rate and one burst', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 200 }), (pauses) => {
      const clock = new FakeClock();
      const joinLimiter = open(clock, 20);
      const times: number[] = [];
      for (const pauseMs of pauses) {
        clock.advance(pauseMs);
        if (joinLimiter.pass(user(), 0) === null) times.push(clock.now());
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

test('clients without a name get what users leave, and never hold up a user', () => {
  const clock = new FakeClock();
  const joinLimiter = open(clock, 100);
  let passed = 0;
  for (let n = 0; n < 400; n += 1) if (joinLimiter.pass(from(`10.0.0.${n}`), 0) === null) passed += 1;
  assert.equal(passed, 50, 'half of the bucket');
  for (let second = 0; second < 20; second += 1) {
    for (let n = 0; n < 50; n += 1) {
      assert.equal(joinLimiter.pass(user(), 0), null, 'half of the rate is there for users at any moment');
    }
    clock.advance(1_000);
    for (let n = 0; n < 400; n += 1) joinLimiter.pass(from(`10.0.1.${n}`), 0);
  }
});

test('those who were turned away without a name take no time of coming back from users', () => {
  const clock = new FakeClock();
  const joinLimiter = open(clock, 10);
  for (let n = 0; n < 500; n += 1) joinLimiter.pass(from(`10.0.0.${n}`), 0);
  for (let n = 0; n < 5; n += 1) assert.equal(joinLimiter.pass(user(), 0), null);
  assert.equal(joinLimiter.pass(user(), 1_000), 1_100);
});

test('one address without tokens opens a quarter of what may be opened, and others the rest', () => {
  const clock = new FakeClock();
  const joinLimiter = open(clock, 100);
  const count = (address: string): number =>
    Array.from({ length: 100 }, () => joinLimiter.pass(from(address), 0)).filter((ms) => ms === null).length;
  assert.deepEqual([count('10.0.0.1'), count('10.0.0.1'), count('10.0.0.2')], [25, 0, 25]);
  clock.advance(1_000);
  assert.equal(count('10.0.0.1'), 25);
});

test('one user opens as many streams in ten seconds as it may have, and leaves the rest to others', () => {
  const clock = new FakeClock();
  const joinLimiter = open(clock, 1_000, 20);
  const ann = user();
  const come = (): number =>
    Array.from({ length: 500 }, () => joinLimiter.pass(ann, 0)).filter((ms) => ms === null).length;
  assert.equal(come(), 20);
  assert.ok((joinLimiter.pass(ann, 100) ?? 0) >= 600, 'and is told when');
  assert.equal(joinLimiter.pass(user(), 0), null);
  clock.advance(5_000);
  assert.equal(come(), 10);
  const platform = { ...user(), isPlatform: true };
  for (let n = 0; n < 100; n += 1) assert.equal(joinLimiter.pass(platform, 0), null, 'the platform is trusted');
});

test('at a limit of one stream per second everybody gets its turn', () => {
  const clock = new FakeClock();
  const joinLimiter = open(clock, 1, 1);
  assert.equal(joinLimiter.pass(from('10.0.0.1'), 0), null);
  clock.advance(1_000);
  assert.equal(joinLimiter.pass(user(), 0), null);
});
