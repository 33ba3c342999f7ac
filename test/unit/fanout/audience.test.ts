import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  classOf,
  isFor,
  isOnTapeOf,
  mayHoldOwn,
  mayReceive,
  namedIn,
  type Receiver,
  targetsOf,
} from '../../../src/fanout/audience.ts';
import { type Audience, type Entry, type Epoch, type Role, roles, type UserId } from '../../../src/model.ts';

const user = fc.constantFrom('ann', 'bob', 'cat').map((id) => id as UserId);
const tag = fc.constantFrom('gold', 'blue', 'red');
const receiver: fc.Arbitrary<Receiver> = fc.record({
  id: fc.option(user),
  role: fc.constantFrom(...roles),
  tags: fc.array(tag, { maxLength: 4 }),
});
const shared: fc.Arbitrary<Audience> = fc.oneof(
  fc.constantFrom<Audience>('all', 'staff', 'staff:nobody'),
  tag.map((name): Audience => `tag:${name}`),
);

test('what is for everyone is for those without a name too', () => {
  fc.assert(fc.property(receiver, (one) => assert.ok(mayReceive('all', one))));
});

test('what is for the staff is for moderators and up, and for nobody else', () => {
  const may = (role: Role): boolean => mayReceive('staff', { id: null, role, tags: ['staff', 'moderator'] });
  assert.deepEqual(roles.map(may), [false, true, true, true]);
});

test('what is for a tag is for its holders, whatever their role', () => {
  const may = (role: Role, ...tags: string[]): boolean => mayReceive('tag:gold', { id: null, role, tags });
  assert.ok(may('viewer', 'blue', 'gold'));
  assert.ok(!may('host', 'blue'));
  assert.ok(!may('service', 'tag:gold', 'golden'));
});

test('what is for named users is for nobody else, be it the host', () => {
  const audience: Audience = ['ann' as UserId];
  assert.ok(mayReceive(audience, { id: 'ann' as UserId, role: 'viewer', tags: [] }));
  assert.ok(!mayReceive(audience, { id: 'bob' as UserId, role: 'host', tags: ['ann'] }));
  assert.ok(!mayReceive(audience, { id: null, role: 'service', tags: [] }));
  assert.ok(!mayReceive([], { id: 'ann' as UserId, role: 'host', tags: [] }));
});

test('what is for the staff and one user is for these, and passes no class of viewers', () => {
  const audience: Audience = 'staff:ann';
  const may = (id: string | null, role: Role): boolean =>
    mayReceive(audience, { id: id as UserId, role, tags: ['ann'] });
  assert.deepEqual(
    roles.map((role) => may('bob', role)),
    [false, true, true, true],
  );
  assert.deepEqual([may('ann', 'viewer'), may(null, 'viewer'), may('an', 'viewer')], [true, false, false]);
  const entry: Entry = {
    epoch: 'e' as Epoch,
    offset: 7,
    at: 1,
    kind: 'mute',
    lane: 'must',
    audience,
    body: '{}',
  };
  assert.deepEqual(namedIn(entry), ['ann']);
  for (const role of roles) {
    const { receiver } = classOf({ id: 'ann' as UserId, role, tags: [] });
    assert.equal(isOnTapeOf(entry, receiver), role !== 'viewer');
    assert.equal(mayHoldOwn(audience, receiver), true);
  }
});

test('who is of one class may receive the same shared entries as the class itself', () => {
  fc.assert(
    fc.property(receiver, receiver, shared, (one, other, audience) => {
      assert.equal(mayReceive(audience, one), mayReceive(audience, classOf(one).receiver));
      if (classOf(one).key !== classOf(other).key) return;
      assert.equal(mayReceive(audience, one), mayReceive(audience, other));
    }),
    { numRuns: 1000 },
  );
});

test('nothing that is addressed to persons passes for a class', () => {
  fc.assert(
    fc.property(receiver, fc.array(user), (one, users) => assert.ok(!mayReceive(users, classOf(one).receiver))),
  );
});

test('only entries for named users have targets', () => {
  assert.equal(targetsOf('all'), null);
  assert.equal(targetsOf('tag:gold'), null);
  assert.deepEqual(targetsOf(['ann' as UserId, 'ann' as UserId]), new Set(['ann']));
});

test('what was retracted is for nobody, and keeps its place on the tapes of those who would have got it', () => {
  fc.assert(
    fc.property(receiver, fc.oneof(shared, fc.array(user, { minLength: 1 })), (one, audience) => {
      const tombstone: Entry = {
        epoch: 'e' as Epoch,
        offset: 7,
        at: 1,
        kind: 'comment',
        lane: 'chat',
        status: 'tombstone',
        audience,
        body: '{"by":"e.9"}',
      };
      assert.equal(isFor(tombstone, one), false);
      assert.equal(isOnTapeOf(tombstone, one), mayReceive(audience, one));
    }),
  );
});
