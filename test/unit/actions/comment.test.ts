import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataOf, decide, fits, refusalOf, speaker } from './ask.ts';

test('a comment becomes a chat event for everyone, with who wrote it', () => {
  const { change } = decide('comment', { text: 'Hello' }, speaker('moderator'));
  assert.equal(change.type, 'event');
  assert.deepEqual(
    { ...change, body: null },
    { type: 'event', kind: 'comment', lane: 'chat', audience: 'all', body: null },
  );
  assert.deepEqual(dataOf(change), { from: { id: 'ann', name: 'Ann', role: 'moderator' }, text: 'Hello' });
});

test('a mute refuses a comment, and five at once are the most', () => {
  const { mutable, rate } = decide('comment', { text: 'Hello' });
  assert.equal(mutable, true);
  assert.deepEqual(rate, { name: 'comment', burst: 5, perSecond: 1, cost: 1 });
});

test('a comment holds any character and comes out as it went in', () => {
  for (const text of ['a\r\nb', 'a\rdata: b', '\0', '\u2028\u2029\u0085', '😀', '{"from":"x"}', ' kept ', '\u202e']) {
    assert.equal(dataOf(decide('comment', { text }).change)['text'], text);
  }
});

test('a lone surrogate does not fit, wherever it stands', () => {
  for (const text of ['\ud800', 'a\udc00', '\ud83d\ud83d\ude00', '\ude00\ud83d'])
    assert.equal(fits('comment', { text }), false);
});

test('the length counts code points, from 1 to 500', () => {
  assert.equal(fits('comment', { text: '' }), false);
  assert.equal(fits('comment', { text: 'a' }), true);
  assert.equal(fits('comment', { text: '😀'.repeat(500) }), true);
  assert.equal(fits('comment', { text: '😀'.repeat(501) }), false);
});

test('a comment of nothing but white space is refused', () => {
  for (const text of [' ', '\t\r\n', '\u00a0\u3000', '\u2028\ufeff'])
    assert.equal(refusalOf('comment', { text }), 'malformed');
});

test('a comment is one field of text', () => {
  for (const body of [{}, { text: 1 }, { text: null }, { text: ['a'] }, { text: 'a', at: 1 }, [], null, 'a']) {
    assert.equal(fits('comment', body), false);
  }
});
