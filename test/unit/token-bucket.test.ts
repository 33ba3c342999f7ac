import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fullAgainAt, waitForTokens } from '../../src/token-bucket.ts';
import { FakeClock } from '../rig/fake-clock.ts';

describe('a token bucket', () => {
  /** Takes a token where there is one: five at once, and one more every 200 ms. Answers how long to wait. */
  const open = () => {
    const clock = new FakeClock();
    let fullAt: number | undefined;
    const take = (tokens = 1): number => {
      const waitMs = waitForTokens(fullAt, clock.now(), tokens * 200, 1000);
      if (waitMs === 0) fullAt = fullAgainAt(fullAt, clock.now(), tokens * 200);
      return waitMs;
    };
    return { clock, take };
  };

  it('gives what it holds at once, and then what trickles in', () => {
    const { clock, take } = open();
    assert.deepEqual([take(), take(), take(), take(), take()], [0, 0, 0, 0, 0]);
    assert.equal(take(), 200);
    clock.advance(150);
    assert.equal(take(), 50, 'who was refused has taken nothing');
    clock.advance(50);
    assert.deepEqual([take(), take()], [0, 200]);
  });

  it('holds no more than a whole, however long nobody came', () => {
    const { clock, take } = open();
    take();
    clock.advance(3_600_000);
    assert.deepEqual([take(4), take(2), take(1), take(1)], [0, 200, 0, 200]);
  });

  it('says how long it takes until there are as many as are asked for', () => {
    const { clock, take } = open();
    take(5);
    assert.equal(take(3), 600);
    clock.advance(600);
    assert.equal(take(3), 0);
  });
});
