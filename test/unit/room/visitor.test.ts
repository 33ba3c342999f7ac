import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Grant, Identity, UserId } from '../../../src/model.ts';
import { Visitor } from '../../../src/room/visitor.ts';

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
  const visitor = new Visitor(identity);
  const told: string[] = [];
  visitor.serveBy({
    prolonged: (expiresAtMs) => told.push(`until ${expiresAtMs}`),
    outdated: () => told.push('outdated'),
  });
  return { visitor, told };
}

test('a token of the same rights prolongs, in whatever order it names the tags', () => {
  const { visitor, told } = visit();
  visitor.renewed(same);
  assert.deepEqual(told, ['until 9000']);
  assert.deepEqual(visitor.identity, { ...ann, expiresAtMs: 9_000, issuedAtMs: 2_000 });
});

test('a token of the same rights that expires earlier changes nothing', () => {
  const { visitor, told } = visit();
  visitor.renewed({ ...same, expiresAtMs: 4_000 });
  assert.deepEqual([told, visitor.identity.expiresAtMs], [[], 5_000]);
});

test('a token of another role or of other tags ends a visit, also where it expires earlier, and once', () => {
  const others: readonly Partial<Grant>[] = [
    { role: 'viewer' },
    { role: 'host' },
    { tags: ['gold'] },
    { tags: [] },
    { tags: ['gold', 'vip', 'blue'] },
    { role: 'viewer', expiresAtMs: 2_000 },
  ];
  for (const other of others) {
    const { visitor, told } = visit();
    visitor.renewed({ ...same, ...other });
    visitor.renewed({ ...same, ...other });
    visitor.renewed(same);
    assert.deepEqual([told, visitor.isOutdated], [['outdated'], true], JSON.stringify(other));
    assert.equal(visitor.identity.expiresAtMs, 5_000, 'its time is not lengthened by what it is not');
  }
});

test('a token that was issued before the newest one says nothing of what the user is', () => {
  const { visitor, told } = visit();
  visitor.renewed(same);
  visitor.renewed({ ...same, role: 'viewer', issuedAtMs: 1_999 });
  assert.deepEqual(told, ['until 9000']);
  visitor.renewed({ ...same, role: 'viewer', issuedAtMs: 2_000 });
  assert.deepEqual(told, ['until 9000', 'outdated']);
});

test('where a token does not say when it was issued, the one that came later counts', () => {
  const { issuedAtMs: _, ...undated } = same;
  for (const [identity, grant] of [
    [ann, { ...undated, role: 'viewer' as const }],
    [
      { ...ann, ...undated },
      { ...same, role: 'viewer' as const, issuedAtMs: 1 },
    ],
  ] as const) {
    const { issuedAtMs: __, ...plain } = identity;
    const { visitor } = visit(identity === ann ? identity : plain);
    visitor.renewed(grant);
    assert.equal(visitor.isOutdated, true);
  }
});

test('a token that was given up ends a visit, whoever issued what and when', () => {
  const { visitor, told } = visit();
  visitor.renewed(null);
  assert.deepEqual([told, visitor.isOutdated], [['outdated'], true]);
});

test('what came before anybody served the visitor is known all the same', () => {
  const visitor = new Visitor(ann);
  visitor.renewed(same);
  assert.equal(visitor.identity.expiresAtMs, 9_000);
  visitor.renewed({ ...same, tags: [] });
  assert.equal(visitor.isOutdated, true);
});
