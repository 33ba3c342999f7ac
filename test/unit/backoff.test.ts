import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { backoffMs, jittered } from '../../src/backoff.ts';

describe('the pause before another try', () => {
  const bounds = { firstMs: 100, longestMs: 1500 };

  it('is twice the one before, up to a ceiling, however often it failed', () => {
    const pauses = [1, 2, 3, 4, 5, 6, 5000].map((failures) => backoffMs(failures, bounds, 0.5));
    assert.deepEqual(pauses, [100, 200, 400, 800, 1500, 1500, 1500]);
  });

  it('differs by half its length either way, and the ceiling does too', () => {
    assert.deepEqual([backoffMs(1, bounds, 0), backoffMs(1, bounds, 1)], [50, 150]);
    assert.deepEqual([backoffMs(9, bounds, 0), backoffMs(9, bounds, 1)], [750, 2250]);
    const seen = Array.from({ length: 1000 }, () => backoffMs(2, bounds));
    assert.ok(Math.min(...seen) >= 100 && Math.max(...seen) <= 300);
    assert.ok(new Set(seen).size > 900, 'no two wait equally long');
  });
});

describe('a period with jitter', () => {
  it('differs by a quarter either way', () => {
    assert.deepEqual([jittered(1000, 0), jittered(1000, 0.5), jittered(1000, 1)], [750, 1000, 1250]);
  });
});
