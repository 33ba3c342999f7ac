import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Epoch } from '../../../src/model.ts';
import { actionOf, dataOf, decide, fits, nested, refusalOf, speaker } from './ask.ts';

const users = (count: number): string[] => Array.from({ length: count }, (_, index) => `user-${index}`);

test('a direct signal goes to the users that it names and does not tell one of the others', () => {
  const { change } = decide('direct', { to: ['bob', 'cy'], type: 'won', data: { prize: 1 } }, speaker('moderator'));
  assert.equal(change.type, 'event');
  assert.deepEqual(
    { ...change, body: null },
    { type: 'event', kind: 'direct', lane: 'must', audience: ['bob', 'cy'], body: null },
  );
  assert.deepEqual(dataOf(change), {
    from: { id: 'ann', name: 'Ann', role: 'moderator' },
    type: 'won',
    data: { prize: 1 },
  });
});

test('it names 1 to 100 different users', () => {
  const body = (to: unknown) => ({ to, type: 'won', data: {} });
  for (const to of [users(1), users(100), ['😀']]) assert.equal(fits('direct', body(to)), true);
  for (const to of [[], users(101), ['bob', 'bob'], 'bob', ['a b'], [''], [1], ['a\u2028']]) {
    assert.equal(fits('direct', body(to)), false, JSON.stringify(to));
  }
});

test('its type is a plain name, and may be one that events reserve', () => {
  assert.equal(refusalOf('direct', { to: ['bob'], type: 'gift', data: {} }), null);
  assert.equal(fits('direct', { to: ['bob'], type: 'a b', data: {} }), false);
});

test('its data nests at most 64 levels', () => {
  assert.equal(refusalOf('direct', { to: ['bob'], type: 'won', data: nested(64) }), null);
  assert.equal(refusalOf('direct', { to: ['bob'], type: 'won', data: nested(65) }), 'malformed');
});

test('the answer says how many of them are connected', () => {
  const position = { epoch: 'k3x9qa' as Epoch, offset: 3 };
  const appended = {
    outcome: 'kept',
    position,
    at: 1,
    connected: 2,
    total: 0,
    pending: false,
    repeated: false,
  } as const;
  assert.deepEqual(actionOf('direct').answer?.(appended), { connected: 2 });
});
