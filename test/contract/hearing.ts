/** The contract of a room's log: numbers, order, and who hears what. */

import assert from 'node:assert/strict';
import { leaseMs } from '../../src/log/presence.ts';
import type { Grant } from '../../src/model.ts';
import { event, freshRoom, type OpenHarness, promise, put, user } from './stage.ts';

const [bob, cat, dan] = [user('bob'), user('cat'), user('dan')];

export function hearingContract(open: OpenHarness): void {
  promise('offsets of a room rise by one per entry, whichever node writes', open, async (stage) => {
    const two = await stage.harness.node('two');
    const answers = [
      await stage.keep(event('a')),
      await stage.keep(put('title', 'b'), {}, two),
      await stage.keep(event('c', 'staff')),
      await stage.keep(event('d', [bob]), {}, two),
    ];
    assert.deepEqual(
      answers.map(({ position }) => position.offset),
      [1, 2, 3, 4],
    );
    assert.equal(new Set(answers.map(({ position }) => position.epoch)).size, 1);
  });

  promise(
    'writes of two nodes at once are heard by both nodes, once each and in the same order',
    open,
    async (stage) => {
      const two = await stage.harness.node('two');
      const ears = [await stage.follow(), await stage.follow(two)];
      const writes = Array.from({ length: 100 }, (_, n) => stage.keep(event(`${n}`), {}, n % 2 ? stage.log : two));
      const answered = (await Promise.all(writes)).map(({ position }) => position.offset);
      const expected = Array.from({ length: 100 }, (_, n) => n + 1);
      assert.deepEqual(
        answered.toSorted((a, b) => a - b),
        expected,
      );
      for (const ear of ears) {
        await ear.has(100);
        assert.deepEqual(ear.offsets, expected);
      }
      assert.deepEqual(ears[0]?.entries, ears[1]?.entries);
    },
  );

  promise('whatever is appended after a follow is settled is heard', open, async (stage) => {
    const two = await stage.harness.node('two');
    for (let n = 1; n <= 10; n += 1) {
      const ear = await stage.follow(two);
      await stage.keep(event(`${n}`));
      await ear.has(1);
      assert.deepEqual(ear.offsets, [n]);
      await two.unfollow(stage.room);
    }
  });

  promise('an entry is heard as it is answered and as it is read', open, async (stage) => {
    const ear = await stage.follow();
    const before = (await stage.log.read(stage.room, null, 1)).tail;
    const text = 'a "quote", a \\, \u2028, \u0000, 🎈, {"type":"entry"} and  two spaces';
    const { position, at } = await stage.keep(event(text, 'tag:gold'));
    await stage.keep(event(text, [bob, cat]));
    await stage.keep(event(text, 'staff'));
    await ear.has(2);
    const { entries } = await stage.log.read(stage.room, { epoch: before.epoch, offset: 0 }, 10);
    assert.deepEqual(entries[0], {
      ...position,
      at,
      kind: 'comment',
      lane: 'chat',
      audience: 'tag:gold',
      body: JSON.stringify({ text }),
    });
    assert.deepEqual(entries[1]?.audience, ['bob', 'cat']);
    assert.deepEqual(ear.entries, [entries[0], entries[2]]);
  });

  promise('each entry names the last one before it that every node was told', open, async (stage) => {
    const ear = await stage.follow();
    await stage.log.enter(stage.room, bob);
    for (const audience of ['all', 'staff', [bob], [cat], 'tag:gold'] as const) await stage.keep(event('x', audience));
    await ear.has(4);
    assert.deepEqual(
      ear.heardEntries.map(({ entry, previous }) => [entry.offset, previous]),
      [
        [1, 0],
        [2, 1],
        [3, 2],
        [5, 2],
      ],
    );
  });

  promise('a node that follows no more hears nothing', open, async (stage) => {
    const two = await stage.harness.node('two');
    const [ear, witness] = [await stage.follow(two), await stage.follow()];
    await stage.keep(event('heard'));
    await ear.has(1);
    await two.unfollow(stage.room);
    await stage.keep(event('not heard'));
    await witness.has(2);
    const again = await stage.follow(two);
    await stage.keep(event('heard again'));
    await again.has(1);
    assert.deepEqual([ear.offsets, again.offsets], [[1], [3]]);
    await two.unfollow(stage.room);
    await two.unfollow(stage.room);
  });

  promise('rooms have their own numbers and do not hear each other', open, async (stage) => {
    const ear = await stage.follow();
    const other = await stage.keep(event('elsewhere'), { room: freshRoom() });
    await stage.keep(event('here'));
    await ear.has(1);
    assert.equal(other.position.offset, 1);
    assert.deepEqual(ear.offsets, [1]);
    assert.equal(ear.entries[0]?.body, '{"text":"here"}');
  });

  promise('after close, calls are refused and nothing is heard', open, async (stage) => {
    const two = await stage.harness.node('two');
    const [ear, witness] = [await stage.follow(two), await stage.follow()];
    assert.equal(two.isReady(), true);
    await two.close();
    assert.equal(two.isReady(), false);
    await stage.keep(event());
    await witness.has(1);
    assert.deepEqual(ear.offsets, []);
    await assert.rejects(stage.append(event(), {}, two), { code: 'log-unavailable' });
    await assert.rejects(two.readState(stage.room), { code: 'log-unavailable' });
    await two.close();
  });

  peerContract(open);
  prolongContract(open);
  leaseContract(open);
}

function peerContract(open: OpenHarness): void {
  promise('a peer entry is heard only by the nodes that have one of its targets on record', open, async (stage) => {
    const [two, three] = [await stage.harness.node('two'), await stage.harness.node('three')];
    const ears = [await stage.follow(), await stage.follow(two), await stage.follow(three)];
    await stage.log.enter(stage.room, bob);
    await two.enter(stage.room, cat);
    await three.enter(stage.room, null);
    await stage.keep(event('to bob', [bob]));
    await stage.keep(event('to cat and dan', [cat, dan]));
    await stage.keep(event('to both', [bob, cat]));
    await stage.keep(event('to all'));
    for (const [index, offsets] of [[1, 3, 4], [2, 3, 4], [4]].entries()) {
      await ears[index]?.has(offsets.length);
      assert.deepEqual(ears[index]?.offsets, offsets);
    }
  });

  promise('a peer write answers how many of its targets are connected, on whatever node', open, async (stage) => {
    const two = await stage.harness.node('two');
    await stage.log.enter(stage.room, bob);
    await two.enter(stage.room, bob);
    await two.enter(stage.room, cat);
    assert.equal((await stage.keep(event('x', [bob, cat, dan]))).connected, 2);
    assert.equal((await stage.keep(event('x', [dan]))).connected, 0);
    assert.equal((await stage.keep(event('x'))).connected, 0);
  });

  promise('a user who left a node is connected by the others only', open, async (stage) => {
    const two = await stage.harness.node('two');
    await stage.log.enter(stage.room, bob);
    await two.enter(stage.room, bob);
    await two.leave(stage.room, bob);
    assert.equal((await stage.keep(event('x', [bob]))).connected, 1);
    await stage.log.leave(stage.room, bob);
    assert.equal((await stage.keep(event('x', [bob]))).connected, 0);
    await stage.log.leave(stage.room, dan);
  });

  promise('a peer entry is in the log for a target that was away', open, async (stage) => {
    const { position } = await stage.keep(event('for later', [bob]));
    assert.equal(position.offset, 1);
    const { entries } = await stage.log.read(stage.room, { ...position, offset: 0 }, 10);
    assert.deepEqual(
      entries.map(({ offset, audience }) => ({ offset, audience })),
      [{ offset: 1, audience: ['bob'] }],
    );
  });
}

function prolongContract(open: OpenHarness): void {
  const grants: readonly (Grant | null)[] = [
    { role: 'viewer', tags: [], expiresAtMs: 1_900_000_000_950 },
    { role: 'moderator', tags: ['gold', '2.0'], expiresAtMs: 1_900_000_000_000, issuedAtMs: 1_800_000_000_500 },
    null,
  ];
  promise(
    'what a token allows now, or that it was given up, is told to the nodes that have the user on record, and to no other',
    open,
    async (stage) => {
      const [two, three] = [await stage.harness.node('two'), await stage.harness.node('three')];
      const ears = [await stage.follow(), await stage.follow(two), await stage.follow(three)];
      await stage.log.enter(stage.room, bob);
      await two.enter(stage.room, bob);
      await three.enter(stage.room, cat);
      for (const grant of grants) await three.prolong(stage.room, bob, grant);
      await stage.keep(event('last'));
      for (const ear of ears) await ear.has(1);
      const told = grants.map((grant) => ({ type: 'prolong', user: bob, grant }));
      assert.deepEqual(
        ears.map(({ prolongs }) => prolongs),
        [told, told, []],
      );
      assert.equal((await stage.tail()).offset, 1);
    },
  );

  promise(
    'a newer token is not told to a node that the user has left, nor where the lease is over',
    open,
    async (stage) => {
      const two = await stage.harness.node('two');
      const ears = [await stage.follow(), await stage.follow(two)];
      await stage.log.enter(stage.room, bob);
      await stage.harness.tick(leaseMs + 1000);
      await two.enter(stage.room, bob);
      await two.leave(stage.room, bob);
      await two.enter(stage.room, cat);
      await two.prolong(stage.room, bob, null);
      await two.prolong(stage.room, dan, null);
      await stage.keep(event('last'));
      for (const ear of ears) await ear.has(1);
      assert.deepEqual(
        ears.map(({ prolongs }) => prolongs),
        [[], []],
      );
    },
  );
}

function leaseContract(open: OpenHarness): void {
  promise('a node that never entered has no lease, and renewing says so once', open, async (stage) => {
    assert.equal((await stage.log.renew(stage.room)).lapsed, true);
    const { lapsed, tail } = await stage.log.renew(stage.room);
    assert.equal(lapsed, false);
    assert.deepEqual(tail, await stage.tail());
  });

  promise('entering starts a lease, and tells whether there was none', open, async (stage) => {
    const entered = await stage.log.enter(stage.room, bob);
    assert.deepEqual(entered, { tail: await stage.tail(), ended: false, banned: false, lapsed: true });
    assert.equal((await stage.log.enter(stage.room, cat)).lapsed, false);
    assert.equal((await stage.log.enter(stage.room, null)).lapsed, false);
    assert.equal((await stage.log.renew(stage.room)).lapsed, false);
  });

  promise(
    'records are valid for the length of a lease, and for another one after each renewal',
    open,
    async (stage) => {
      const ear = await stage.follow();
      await stage.log.enter(stage.room, bob);
      await stage.harness.tick(leaseMs - 1000);
      assert.equal((await stage.log.renew(stage.room)).lapsed, false);
      await stage.harness.tick(leaseMs - 1000);
      assert.equal((await stage.keep(event('in time', [bob]))).connected, 1);
      await stage.harness.tick(2000);
      assert.equal((await stage.keep(event('too late', [bob]))).connected, 0);
      assert.equal((await stage.log.renew(stage.room)).lapsed, true);
      await stage.log.enter(stage.room, bob);
      assert.equal((await stage.keep(event('back', [bob]))).connected, 1);
      await ear.has(2);
      assert.deepEqual(ear.offsets, [1, 3]);
    },
  );
}
