import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actions } from '../../../src/actions/index.ts';
import { isPlainName, reservedNames } from '../../../src/model.ts';
import { actionOf, dataOf, decide, fits, speaker } from './ask.ts';

test('each action stands under its own kind', () => {
  for (const [kind, action] of actions) {
    assert.equal(action.kind, kind);
    assert.ok(isPlainName(kind));
  }
});

test('no host can name an event or a part after an action', () => {
  for (const kind of actions.keys()) assert.ok(reservedNames.has(kind), `${kind} must be reserved`);
});

test('who may take an action is as the protocol says', () => {
  const least = Object.fromEntries([...actions].map(([kind, action]) => [kind, action.least]));
  assert.deepEqual(least, {
    comment: 'viewer',
    like: 'viewer',
    gift: 'viewer',
    notice: 'host',
    signal: 'host',
    direct: 'moderator',
    pin: 'host',
    settings: 'host',
    retract: 'moderator',
    ban: 'moderator',
    unban: 'moderator',
    mute: 'moderator',
    unmute: 'moderator',
    end: 'host',
  });
});

test('a field that holds its default decides what its absence does', () => {
  const bodies = { notice: { title: 'a' }, signal: { type: 'a', data: {} }, pin: { text: 'a' } };
  const known = [...actions.values()].flatMap(({ kind, defaults }) => (defaults === undefined ? [] : [kind]));
  assert.deepEqual(known.toSorted(), Object.keys(bodies).toSorted());
  for (const [kind, body] of Object.entries(bodies)) {
    for (const [field, value] of Object.entries(actionOf(kind).defaults ?? {})) {
      assert.deepEqual(decide(kind, { ...body, [field]: value }), decide(kind, body), `${kind} ${field}`);
    }
  }
});

test('the end is the last entry, as often as it takes', () => {
  const { change, rate, mutable } = decide('end', { reason: 'Good night' }, speaker('host'));
  assert.equal(change.type, 'end');
  const from = { id: 'ann', name: 'Ann', role: 'host' };
  assert.deepEqual(dataOf(change), { from, cause: 'ended', comeBack: 'no', reason: 'Good night' });
  assert.equal(rate, null);
  assert.equal(mutable, false);
  assert.equal(dataOf(decide('end', {}, speaker('host')).change)['reason'], null);
  assert.equal(fits('end', { reason: 'a'.repeat(201) }), false);
  assert.equal(fits('end', { reason: 'a', when: 1 }), false);
});
