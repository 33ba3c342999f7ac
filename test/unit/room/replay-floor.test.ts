import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UserId } from '../../../src/model.ts';
import { ReplayFloor, usersMax } from '../../../src/room/replay-floor.ts';

const [ann, bob] = ['ann' as UserId, 'bob' as UserId];

test("a user's own hole is its own, and one for all is for all", () => {
  const replayFloor = new ReplayFloor();
  replayFloor.addFor(ann, 5);
  assert.deepEqual([replayFloor.before(ann), replayFloor.before(bob)], [5, 0]);
  replayFloor.add(7);
  assert.deepEqual([replayFloor.before(ann), replayFloor.before(bob)], [7, 7]);
  replayFloor.addFor(bob, 9);
  assert.deepEqual([replayFloor.before(ann), replayFloor.before(bob)], [7, 9]);
  replayFloor.clear();
  assert.deepEqual([replayFloor.before(ann), replayFloor.before(bob)], [0, 0]);
});

test('beyond its bound it forgets users and takes no risk for any of them', () => {
  const replayFloor = new ReplayFloor();
  for (let offset = 1; offset <= usersMax + 1; offset += 1) replayFloor.addFor(`u${offset}` as UserId, offset);
  assert.equal(replayFloor.before('u1' as UserId), usersMax + 1);
  assert.equal(replayFloor.before(ann), usersMax + 1);
});
