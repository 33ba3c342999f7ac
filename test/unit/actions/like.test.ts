import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Epoch } from '../../../src/model.ts';
import { actionOf, decide, fits } from './ask.ts';

test('likes add to a counter, and cost as many tokens as they are', () => {
  const { change, rate, mutable } = decide('like', { count: 7 });
  assert.deepEqual(change, { type: 'count', counter: 'likes', by: 7 });
  assert.deepEqual(rate, { name: 'like', burst: 200, perSecond: 20, cost: 7 });
  assert.equal(mutable, true);
});

test('no request costs more than the bucket holds, or it could never pass', () => {
  const { rate } = decide('like', { count: 50 });
  assert.ok(rate && rate.cost <= rate.burst);
});

test('a count is a whole number from 1 to 50', () => {
  for (const count of [1, 50]) assert.equal(fits('like', { count }), true);
  for (const count of [0, -1, 51, 1.5, '5', null, Number.NaN, 1e300]) assert.equal(fits('like', { count }), false);
  assert.equal(fits('like', {}), false);
  assert.equal(fits('like', { count: 1, by: 1 }), false);
});

test('the answer says the sum', () => {
  const position = { epoch: 'k3x9qa' as Epoch, offset: 3 };
  const appended = {
    outcome: 'kept',
    position,
    at: 1,
    connected: 0,
    total: 12,
    pending: true,
    repeated: false,
  } as const;
  assert.deepEqual(actionOf('like').answer?.(appended), { total: 12 });
});
