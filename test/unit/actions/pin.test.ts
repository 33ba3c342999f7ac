import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stateRate } from '../../../src/actions/action.ts';
import { decide, fits, nested, refusalOf, speaker } from './ask.ts';

test('a pin is the state part of that name, with who pinned it', () => {
  const { change, rate } = decide('pin', { text: 'Goal!', id: 'k.7' }, speaker('host'));
  assert.ok(change.type === 'put');
  assert.deepEqual([change.part, change.ifVersion, rate], ['pin', null, stateRate]);
  const from = { id: 'ann', name: 'Ann', role: 'host' };
  assert.deepEqual(JSON.parse(change.value), { from, text: 'Goal!', id: 'k.7', data: {} });
});

test('an empty body takes the pin away, and one without a text is refused', () => {
  assert.deepEqual(decide('pin', {}).change, { type: 'remove', part: 'pin', ifVersion: null });
  assert.equal(refusalOf('pin', { id: 'k.7' }), 'malformed');
});

test('it has a text of 1 to 500 characters, and with its data it nests as deep as a part may', () => {
  assert.equal(fits('pin', { text: '😀'.repeat(500) }), true);
  for (const body of [{ text: '' }, { text: '😀'.repeat(501) }, { text: null }, { text: 'a', id: '7' }, { x: 1 }]) {
    assert.equal(fits('pin', body), false);
  }
  assert.equal(refusalOf('pin', { text: 'a', data: nested(31) }), null);
  assert.equal(refusalOf('pin', { text: 'a', data: nested(32) }), 'malformed');
});
