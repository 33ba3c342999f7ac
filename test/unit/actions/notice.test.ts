import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataOf, decide, fits, nested, refusalOf, speaker } from './ask.ts';

const from = { id: 'ann', name: 'Ann', role: 'host' };

test('a notice goes to all in the lane that is never left out', () => {
  const { change, mutable, rate } = decide('notice', { title: 'Sale' }, speaker('host'));
  assert.deepEqual(
    { ...change, body: null },
    { type: 'event', kind: 'notice', lane: 'must', audience: 'all', body: null },
  );
  assert.deepEqual(dataOf(change), { from, title: 'Sale', text: null, link: null, data: {} });
  assert.equal(mutable, false);
  assert.deepEqual(rate, { name: 'notice', burst: 20, perSecond: 5, cost: 1 });
});

test('it says what it has, to whom it is for', () => {
  const body = { title: 'Sale', text: 'Today\nonly', link: 'https://shop.example/x?y=1', data: { sku: 7 } };
  const { change } = decide('notice', { ...body, audience: 'tag:gold' }, speaker('host'));
  assert.equal(change.type === 'event' && change.audience, 'tag:gold');
  assert.deepEqual(dataOf(change), { from, ...body });
});

test('a link is one that a page can show without harm', () => {
  for (const link of ['http://a', `https://a/${'x'.repeat(2038)}`])
    assert.equal(fits('notice', { title: 'a', link }), true);
  for (const link of [
    'javascript:alert(1)',
    ' https://a',
    'https://',
    'https://a b',
    '//a',
    `https://a/${'x'.repeat(2039)}`,
  ]) {
    assert.equal(fits('notice', { title: 'a', link }), false, link);
  }
});

test('it has a title of at most 200 characters, a text of at most 2,000, and data of 64 levels', () => {
  assert.equal(fits('notice', { title: '😀'.repeat(200), text: '😀'.repeat(2000) }), true);
  for (const body of [{}, { title: '' }, { title: 'a'.repeat(201) }, { title: 'a', text: '😀'.repeat(2001) }]) {
    assert.equal(fits('notice', body), false);
  }
  for (const more of [{ data: [] }, { audience: 'gold' }, { price: 1 }])
    assert.equal(fits('notice', { title: 'a', ...more }), false);
  assert.equal(refusalOf('notice', { title: 'a', data: nested(64) }), null);
  assert.equal(refusalOf('notice', { title: 'a', data: nested(65) }), 'malformed');
});
