import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Holes, usersMax } from '../../../src/hub/holes.ts';
import type { UserId } from '../../../src/signal.ts';

const [ann, bob] = ['ann' as UserId, 'bob' as UserId];

test("a user's own hole is its own, and one for all is for all", () => {
  const holes = new Holes();
  holes.addFor(ann, 5);
  assert.deepEqual([holes.before(ann), holes.before(bob)], [5, 0]);
  holes.add(7);
  assert.deepEqual([holes.before(ann), holes.before(bob)], [7, 7]);
  holes.addFor(bob, 9);
  assert.deepEqual([holes.before(ann), holes.before(bob)], [7, 9]);
  holes.clear();
  assert.deepEqual([holes.before(ann), holes.before(bob)], [0, 0]);
});

test('beyond its bound it forgets users and takes no risk for any of them', () => {
  const holes = new Holes();
  for (let offset = 1; offset <= usersMax + 1; offset += 1) holes.addFor(`u${offset}` as UserId, offset);
  assert.equal(holes.before('u1' as UserId), usersMax + 1);
  assert.equal(holes.before(ann), usersMax + 1);
});
