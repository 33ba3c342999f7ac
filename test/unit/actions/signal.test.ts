import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reservedNames } from '../../../src/model.ts';
import { dataOf, decide, fits, nested, refusalOf, speaker } from './ask.ts';

test('a signal becomes an event of the name that the host gave it', () => {
  const { change, mutable } = decide('signal', { type: 'goal.home', data: { minute: 12 } }, speaker('host'));
  assert.equal(change.type, 'event');
  assert.deepEqual(
    { ...change, body: null },
    { type: 'event', kind: 'goal.home', lane: 'must', audience: 'all', body: null },
  );
  assert.deepEqual(dataOf(change), { from: { id: 'ann', name: 'Ann', role: 'host' }, data: { minute: 12 } });
  assert.equal(mutable, false);
});

test('a signal goes to the audience that it names', () => {
  for (const audience of ['all', 'staff', 'tag:gold', 'tag:Tier-1.x']) {
    const { change } = decide('signal', { type: 'goal', data: {}, audience });
    assert.equal(change.type === 'event' && change.audience, audience);
  }
});

test('nothing but the three forms is an audience', () => {
  for (const audience of [
    '',
    'ALL',
    'everyone',
    'tag:',
    'tag:a b',
    'tag:-a',
    `tag:${'a'.repeat(33)}`,
    'all\n',
    'xall',
    null,
    ['ann'],
  ]) {
    assert.equal(fits('signal', { type: 'goal', data: {}, audience }), false, JSON.stringify(audience));
  }
});

test('a reserved name is refused', () => {
  for (const type of reservedNames) assert.equal(refusalOf('signal', { type, data: {} }), 'reserved-name');
});

test('a name that could forge a line of the stream does not fit', () => {
  for (const type of ['', 'Goal', '1', 'a b', 'a\n', 'a\rid: 1', 'a:b', 'é', 'a'.repeat(33)]) {
    assert.equal(fits('signal', { type, data: {} }), false, JSON.stringify(type));
  }
  assert.equal(fits('signal', { type: 'a'.repeat(32), data: {} }), true);
});

test('data is any JSON object, and only that', () => {
  for (const data of [
    {},
    { 'a\nb': [1, null, 'x\r\n'] },
    { from: 1, at: 2 },
    JSON.parse('{"toJSON":1,"constructor":2}'),
  ]) {
    assert.deepEqual(dataOf(decide('signal', { type: 'goal', data }).change)['data'], data);
  }
  for (const data of [null, 1, 'a', [], [1], undefined]) assert.equal(fits('signal', { type: 'goal', data }), false);
});

test('data nests at most 64 levels, so that no parser runs out of stack', () => {
  assert.equal(refusalOf('signal', { type: 'goal', data: nested(64) }), null);
  assert.equal(refusalOf('signal', { type: 'goal', data: nested(65) }), 'malformed');
  const data = { in: JSON.parse('['.repeat(8000) + ']'.repeat(8000)) };
  assert.equal(refusalOf('signal', { type: 'goal', data }), 'malformed');
});
