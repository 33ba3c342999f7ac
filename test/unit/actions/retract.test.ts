import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actionOf, dataOf, decide, fits, refusalOf, speaker } from './ask.ts';

test('it names one event, and everyone whom that was for is told which', () => {
  const { change, mutable, rate } = decide('retract', { id: 'k3x9qa.1042' }, speaker('moderator'));
  assert.deepEqual(
    { ...change, body: null },
    { type: 'retract', target: { epoch: 'k3x9qa', offset: 1042 }, body: null },
  );
  const from = { id: 'ann', name: 'Ann', role: 'moderator' };
  assert.deepEqual(dataOf(change), { from, id: 'k3x9qa.1042' });
  assert.equal(mutable, false);
  assert.deepEqual(rate, { name: 'retract', burst: 50, perSecond: 10, cost: 1 });
  assert.equal(actionOf('retract').needsKey, false, 'a second one changes nothing');
});

test('what is no id does not fit', () => {
  for (const id of ['', '1042', 'k3x9qa', 'k3x9qa.', 'k3x9qa.01', 'K.1', 'k.1234567890123456', 'k.1 ', 7, null]) {
    assert.equal(fits('retract', { id }), false, String(id));
  }
  assert.equal(fits('retract', {}), false);
  assert.equal(fits('retract', { id: 'k.1', reason: 'spam' }), false);
  assert.equal(refusalOf('retract', { id: 'k.0' }), null, 'whether it is there, the log knows');
});
