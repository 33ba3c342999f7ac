import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Epoch } from '../../../src/model.ts';
import { actionOf, dataOf, decide, fits } from './ask.ts';

const from = { id: 'ann', name: 'Ann', role: 'viewer' };

test('a gift is told to all, counted and receipted to the giver alone', () => {
  const { change } = decide('gift', { gift: 'rose', count: 3, message: 'For you' });
  assert.ok(change.type === 'tally');
  assert.deepEqual([change.kind, change.counter, change.by, change.receipt.to], ['gift', 'gifts', 3, 'ann']);
  const given = { gift: 'rose', count: 3, message: 'For you' };
  assert.deepEqual(dataOf(change), { from, ...given });
  assert.deepEqual(JSON.parse(change.receipt.body), { from, type: 'gift', data: given });
  assert.doesNotMatch(change.receipt.body, /[\r\n]/);
});

test('it must carry a key, for a second one would be paid for', () => {
  assert.equal(actionOf('gift').needsKey, true);
});

test('a mute refuses the message and not the gift', () => {
  assert.equal(decide('gift', { gift: 'rose', count: 1, message: 'Hello' }).mutable, true);
  const silent = decide('gift', { gift: 'rose', count: 1 });
  assert.equal(silent.mutable, false);
  assert.equal(dataOf(silent.change)['message'], null);
});

test('ten requests at once are the most, however many each gives', () => {
  assert.deepEqual(decide('gift', { gift: 'rose', count: 1000 }).rate, {
    name: 'gift',
    burst: 10,
    perSecond: 2,
    cost: 1,
  });
});

test('it names a gift, and gives 1 to 1,000 of it', () => {
  for (const count of [1, 1000]) assert.equal(fits('gift', { gift: 'rose', count }), true);
  for (const count of [0, -1, 1001, 1.5, '1', null]) assert.equal(fits('gift', { gift: 'rose', count }), false);
  for (const gift of ['', 'Rose', 'a b', '1a', 'a'.repeat(33), 1, null])
    assert.equal(fits('gift', { gift, count: 1 }), false);
  assert.equal(fits('gift', { gift: 'rose', count: 1, message: '😀'.repeat(200) }), true);
  for (const message of ['', '😀'.repeat(201), '\ud800', null])
    assert.equal(fits('gift', { gift: 'rose', count: 1, message }), false);
  assert.equal(fits('gift', { gift: 'rose', count: 1, to: 'bob' }), false);
});

test('the answer says the sum of the gifts of the room', () => {
  const position = { epoch: 'k3x9qa' as Epoch, offset: 3 };
  const rest = { outcome: 'kept', at: 1, connected: 1, pending: false, repeated: false } as const;
  assert.deepEqual(actionOf('gift').answer?.({ ...rest, position, total: 42 }), { total: 42 });
});
