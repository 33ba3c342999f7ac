import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Grant, Identity, UserId } from '../../../src/model.ts';
import { renew, type Visitor } from '../../../src/room/visitor.ts';

const ann: Identity = {
  id: 'ann' as UserId,
  name: 'Ann',
  role: 'moderator',
  tags: ['gold', 'vip'],
  expiresAtMs: 5_000,
  issuedAtMs: 1_000,
};
const same: Grant = { role: 'moderator', tags: ['vip', 'gold'], expiresAtMs: 9_000, issuedAtMs: 2_000 };

function visit(identity: Identity = ann) {
  const notified: string[] = [];
  const visitor = {
    identity,
    prolonged: (prolonged: Identity) => {
      visitor.identity = prolonged;
      notified.push(`until ${prolonged.expiresAtMs}`);
    },
    outdated: () => {
      notified.push('outdated');
    },
    banned: () => assert.fail('a token bans nobody'),
  } satisfies Visitor;
  return { visitor, notified };
}

test('a token of the same rights prolongs, in whatever order it names the tags', () => {
  const { visitor, notified } = visit();
  renew(visitor, same);
  assert.deepEqual(notified, ['until 9000']);
  assert.deepEqual(visitor.identity, { ...ann, expiresAtMs: 9_000, issuedAtMs: 2_000 });
});

test('a token of the same rights that expires earlier cuts nothing short', () => {
  const { visitor, notified } = visit();
  renew(visitor, { ...same, expiresAtMs: 4_000 });
  assert.deepEqual([notified, visitor.identity.expiresAtMs], [['until 5000'], 5_000]);
});

test('a token of another role or of other tags ends a visit, also where it expires earlier', () => {
  const others: readonly Partial<Grant>[] = [
    { role: 'viewer' },
    { role: 'host' },
    { tags: ['gold'] },
    { tags: [] },
    { tags: ['gold', 'vip', 'blue'] },
    { role: 'viewer', expiresAtMs: 2_000 },
  ];
  for (const other of others) {
    const { visitor, notified } = visit();
    renew(visitor, { ...same, ...other });
    assert.deepEqual(notified, ['outdated'], JSON.stringify(other));
    assert.equal(visitor.identity.expiresAtMs, 5_000, 'its time is not lengthened by what it is not');
  }
});

test('a token that was issued before the newest one says nothing of what the user is', () => {
  const { visitor, notified } = visit();
  renew(visitor, same);
  renew(visitor, { ...same, role: 'viewer', issuedAtMs: 1_999 });
  assert.deepEqual(notified, ['until 9000']);
  renew(visitor, { ...same, role: 'viewer', issuedAtMs: 2_000 });
  assert.deepEqual(notified, ['until 9000', 'outdated']);
});

test('where a token does not say when it was issued, the one that came later counts', () => {
  const { issuedAtMs: _, ...undated } = same;
  const { issuedAtMs: __, ...plain } = ann;
  for (const [identity, grant] of [
    [ann, { ...undated, role: 'viewer' }],
    [plain, { ...same, role: 'viewer', issuedAtMs: 1 }],
  ] as const) {
    const { visitor, notified } = visit(identity);
    renew(visitor, grant);
    assert.deepEqual(notified, ['outdated']);
  }
});

test('a token that was given up ends a visit, whoever issued what and when', () => {
  const { visitor, notified } = visit();
  renew(visitor, null);
  assert.deepEqual(notified, ['outdated']);
});
