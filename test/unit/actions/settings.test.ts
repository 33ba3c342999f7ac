import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stateRate } from '../../../src/actions/action.ts';
import { decide, fits, nested, refusalOf, speaker } from './ask.ts';

test('settings are the state part of that name, and replace those before', () => {
  const { change, rate, mutable } = decide('settings', { data: { slow: true } }, speaker('host'));
  assert.deepEqual(change, { type: 'put', part: 'settings', value: '{"slow":true}', ifVersion: null });
  assert.deepEqual([rate, mutable], [stateRate, false]);
});

test('they are one object that nests as deep as a part may', () => {
  for (const body of [{}, { data: 1 }, { data: [] }, { data: null }, { data: {}, x: 1 }]) {
    assert.equal(fits('settings', body), false);
  }
  assert.equal(refusalOf('settings', { data: nested(31) }), null);
  assert.equal(refusalOf('settings', { data: nested(32) }), 'malformed');
});
