import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataOf, decide, fits, refusalOf, speaker } from './ask.ts';

const from = { id: 'ann', name: 'Ann', role: 'moderator' };

for (const kind of ['ban', 'mute'] as const) {
  test(`a ${kind} lasts as long as it says, and says why`, () => {
    const { change, mutable } = decide(kind, { user: 'bob', seconds: 60, reason: 'spam' }, speaker('moderator'));
    assert.equal(change.type, 'rule');
    assert.deepEqual(
      { ...change, body: null },
      { type: 'rule', kind, rule: kind, user: 'bob', seconds: 60, body: null },
    );
    assert.deepEqual(dataOf(change), { from, user: 'bob', seconds: 60, reason: 'spam' });
    assert.equal(mutable, false);
  });

  test(`a ${kind} without seconds is for good`, () => {
    const { change } = decide(kind, { user: 'bob' }, speaker('moderator'));
    assert.equal(change.type === 'rule' && change.seconds, 0);
    assert.deepEqual(dataOf(change), { from, user: 'bob', seconds: null, reason: null });
  });

  test(`a ${kind} lasts from a second to a year`, () => {
    for (const seconds of [1, 31_536_000]) assert.equal(fits(kind, { user: 'bob', seconds }), true);
    for (const seconds of [0, -1, 31_536_001, 1.5, '60', null])
      assert.equal(fits(kind, { user: 'bob', seconds }), false);
  });

  test(`un${kind} lifts it and says so`, () => {
    const { change } = decide(`un${kind}`, { user: 'bob', reason: 'sorry' }, speaker('moderator'));
    assert.deepEqual(
      { ...change, body: null },
      { type: 'rule', kind: `un${kind}`, rule: kind, user: 'bob', seconds: null, body: null },
    );
    assert.deepEqual(dataOf(change), { from, user: 'bob', reason: 'sorry' });
    assert.equal(fits(`un${kind}`, { user: 'bob', seconds: 1 }), false);
  });
}

test('nobody sets a rule on oneself, and anybody may ask to have one lifted', () => {
  for (const kind of ['ban', 'mute']) {
    assert.equal(refusalOf(kind, { user: 'ann' }), 'not-this-role');
    assert.equal(decide(`un${kind}`, { user: 'ann' }, speaker('moderator')).change.type, 'rule');
  }
});

test('a rule names one user, and gives a reason of at most 200 code points', () => {
  for (const kind of ['ban', 'unban', 'mute', 'unmute']) {
    assert.equal(fits(kind, { user: 'bob', reason: '😀'.repeat(200) }), true);
    assert.equal(fits(kind, { user: 'bob', reason: '😀'.repeat(201) }), false);
    assert.equal(fits(kind, { user: 'bob', reason: '\ud800' }), false);
    for (const user of ['', 'a b', 'a\n', 'a'.repeat(65), ['bob'], null]) assert.equal(fits(kind, { user }), false);
    assert.equal(fits(kind, {}), false);
  }
});
