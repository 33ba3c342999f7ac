import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Distribution } from '../../src/distribution.ts';

test('what is added is counted under the least bound that it does not exceed', () => {
  const bounds = [0.001, 0.01, 1];
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 2, noNaN: true })), (all) => {
      const distribution = new Distribution(bounds);
      for (const seconds of all) distribution.add(seconds);
      const within = (from: number, to: number): number => all.filter((one) => one > from && one <= to).length;
      assert.deepEqual(distribution.counts, [
        within(Number.NEGATIVE_INFINITY, 0.001),
        within(0.001, 0.01),
        within(0.01, 1),
        within(1, Number.POSITIVE_INFINITY),
      ]);
      assert.ok(Math.abs(distribution.sum - all.reduce((sum, one) => sum + one, 0)) < 1e-9);
    }),
  );
});
