/** The contract of a room's log: reading, trimming, and what an id is worth after the store came back. */

import assert from 'node:assert/strict';
import { judge, parsePosition } from '../../src/log/position.ts';
import type { Epoch } from '../../src/model.ts';
import { waitFor } from '../rig/wait-for.ts';
import { count, event, freshRoom, idOf, type OpenHarness, promise, put, rule, type Stage, user } from './stage.ts';

export function readingContract(open: OpenHarness): void {
  readContract(open);
  trimContract(open);
  bytesContract(open);
  roomContract(open);
  restartContract(open);
  forgetContract(open);
}

/** What a viewer with this id is told and gets. */
async function resume(stage: Stage, id: string, limit = 1000) {
  const position = parsePosition(id);
  assert.ok(position, `${id} is unreadable`);
  const { tail, entries } = await stage.log.read(stage.room, position, limit);
  const { verdict, missed, cause } = judge(position, tail);
  return { verdict, missed, cause, offsets: entries.map(({ offset }) => offset) };
}

const exact = (offsets: readonly number[]) => ({ verdict: 'exact', missed: 0, cause: null, offsets });
const reset = { verdict: 'reset', missed: null, cause: null, offsets: [] };

function readContract(open: OpenHarness): void {
  promise('a new room has offset 0 and nothing to read, and tells every node the same', open, async (stage) => {
    const two = await stage.harness.node('two');
    const { tail, entries } = await stage.log.read(stage.room, null, 10);
    assert.deepEqual([tail.offset, tail.first, tail.lineage, entries], [0, 1, [], []]);
    assert.match(tail.epoch, /^[a-z0-9]{1,12}$/);
    assert.deepEqual((await two.readState(stage.room)).tail, tail);
    assert.deepEqual((await stage.keep(event(), {}, two)).position, { epoch: tail.epoch, offset: 1 });
  });

  promise('reading goes on right after the position, page by page, without holes', open, async (stage) => {
    const { epoch } = await stage.keepMany(25);
    const offsets: number[] = [];
    for (let offset = 0; offset < 25; offset = offsets.at(-1) ?? 25) {
      const { tail, entries } = await stage.log.read(stage.room, { epoch, offset }, 10);
      assert.ok(entries.length > 0 && entries.length <= 10);
      assert.deepEqual([tail.offset, tail.first], [25, 1]);
      offsets.push(...entries.map((entry) => entry.offset));
    }
    assert.deepEqual(
      offsets,
      Array.from({ length: 25 }, (_, n) => n + 1),
    );
  });

  promise('reading from the tail, or for nothing, gets the tail alone', open, async (stage) => {
    const position = await stage.keepMany(3);
    assert.deepEqual((await stage.log.read(stage.room, null, 10)).entries, []);
    assert.deepEqual((await stage.log.read(stage.room, position, 10)).entries, []);
    const first = await stage.log.read(stage.room, { ...position, offset: 0 }, 0);
    assert.deepEqual([first.entries, first.tail], [[], await stage.tail()]);
  });

  promise('an id of another history, or of the future, gets a reset and nothing to read', open, async (stage) => {
    const { epoch } = await stage.keepMany(3);
    assert.deepEqual(await resume(stage, 'nowhere.1'), reset);
    assert.deepEqual(await resume(stage, `${epoch}.4`), reset);
    assert.deepEqual(await resume(stage, `${epoch}.999999999999999`), reset);
    assert.deepEqual(await resume(stage, `${epoch}.0`), exact([1, 2, 3]));
  });
}

function trimContract(open: OpenHarness): void {
  promise(
    'a room keeps as many entries as it may, and an older id is told how many it missed',
    open,
    async (stage) => {
      const { epoch } = await stage.keepMany(12);
      const { first, offset } = await stage.tail();
      assert.deepEqual([first, offset], [8, 12]);
      assert.deepEqual(await resume(stage, `${epoch}.7`), exact([8, 9, 10, 11, 12]));
      const gap = { verdict: 'gap', missed: 4, cause: 'trimmed', offsets: [8, 9, 10, 11, 12] };
      assert.deepEqual(await resume(stage, `${epoch}.3`), gap);
      assert.deepEqual(await resume(stage, `${epoch}.3`, 2), { ...gap, offsets: [8, 9] });
    },
    { logEntriesMax: 5 },
  );

  promise(
    'an entry that is too old is never served again, also where nothing was written since',
    open,
    async (stage) => {
      const { epoch } = await stage.keepMany(2);
      await stage.keep(put('title', 'stays'));
      await stage.harness.tick(1001);
      const { first, offset } = (await stage.log.enter(stage.room, null)).tail;
      assert.deepEqual([first, offset], [4, 3]);
      assert.deepEqual(await resume(stage, `${epoch}.1`), { verdict: 'gap', missed: 2, cause: 'trimmed', offsets: [] });
      assert.deepEqual(await resume(stage, `${epoch}.3`), exact([]));
      await stage.keep(event('young'));
      const gap = { verdict: 'gap', missed: 2, cause: 'trimmed', offsets: [4] };
      assert.deepEqual(await resume(stage, `${epoch}.1`), gap);
      assert.equal((await stage.log.readState(stage.room)).parts.get('title')?.value, '"stays"');
    },
    { logTtlS: 1 },
  );
}

/** Bytes of an entry in the tests of bytes, and how many entries of that size a room may keep. */
const [large, largeMax] = [8_000, 10];
const bytesMax = largeMax * (large + 400);

function bytesContract(open: OpenHarness): void {
  promise(
    'a room keeps no more bytes than it may, whatever writes them, and an older id is told how many it missed',
    open,
    async (stage) => {
      const kept = async (): Promise<number> => {
        const { first, offset, epoch } = await stage.tail();
        const { missed, offsets } = await resume(stage, `${epoch}.0`);
        assert.deepEqual(
          [missed, offsets],
          [first - 1, Array.from({ length: offset - first + 1 }, (_, n) => first + n)],
        );
        return offsets.length;
      };
      for (let n = 1; n <= 40; n += 1) {
        await stage.keep(n % 2 ? put('x', 'x'.repeat(large)) : event('x'.repeat(large)));
        assert.ok((await kept()) <= largeMax, `${await kept()} after ${n}`);
      }
      assert.ok((await kept()) >= largeMax - 1, `only ${await kept()}`);
      // Small ones take the place of the large ones.
      await stage.keepMany(300);
      assert.ok((await kept()) >= 250, `only ${await kept()}`);
    },
    { logBytesMax: bytesMax },
  );

  promise(
    'bytes of entries that went by count or by age are not counted any more',
    open,
    async (stage) => {
      for (let n = 0; n < 50; n += 1) await stage.keep(event('x'.repeat(large)));
      assert.equal((await stage.tail()).first, 42);
      await stage.harness.tick(60_000);
      for (let n = 0; n < 9; n += 1) await stage.keep(event('x'.repeat(large)));
      assert.equal((await stage.tail()).first, 51);
    },
    { logEntriesMax: 9, logTtlS: 60, logBytesMax: bytesMax },
  );
}

function roomContract(open: OpenHarness): void {
  promise(
    'a room that nobody writes is forgotten after its time, and its ids are reset',
    open,
    async (stage) => {
      const { epoch } = await stage.keepMany(1);
      await stage.harness.tick(50_000);
      await stage.keep(put('title', 'a'));
      await stage.harness.tick(50_000);
      assert.deepEqual(await resume(stage, `${epoch}.1`), exact([2]));
      await stage.harness.tick(20_000);
      assert.deepEqual(await resume(stage, `${epoch}.1`), reset);
      const { total, parts, tail } = await stage.log.readState(stage.room);
      assert.deepEqual([total, parts.size, tail.offset], [0, 0, 0]);
    },
    { roomTtlS: 60 },
  );

  promise('a room that was never written lives as long as a node renews it', open, async (stage) => {
    const { epoch } = await stage.tail();
    for (let n = 0; n < 3; n += 1) {
      await stage.harness.tick(100_000);
      await stage.log.renew(stage.room);
    }
    assert.equal((await stage.tail()).epoch, epoch);
    await stage.harness.tick(121_000);
    assert.notEqual((await stage.tail()).epoch, epoch);
  });
}

function restartContract(open: OpenHarness): void {
  promise('a restart that lost nothing costs nobody anything', open, async (stage) => {
    const ear = await stage.follow();
    const before = await stage.keepMany(3);
    await stage.keep(put('title', 'a'), { once: { key: 'k', digest: 'd' } });
    await stage.keep(count(3));
    await stage.keep(rule('ban', user('bob'), 0));
    await ear.has(6);
    await stage.harness.restart();
    await stage.back();
    const tail = await stage.tail();
    assert.notEqual(tail.epoch, before.epoch);
    assert.deepEqual([tail.offset, tail.first], [6, 1]);
    assert.deepEqual(tail.lineage, [{ epoch: before.epoch, last: 6 }]);
    for (const entry of ear.entries) assert.equal((await resume(stage, idOf(entry))).verdict, 'exact');
    assert.deepEqual(await resume(stage, `${before.epoch}.2`), exact([3, 4, 5, 6]));
    assert.equal((await stage.keep(put('title', 'a'), { once: { key: 'k', digest: 'd' } })).repeated, true);
    await stage.refuse('banned', event(), { by: user('bob') });
    assert.equal((await stage.keep(count(1))).total, 4);
    const after = await stage.keep(event('after'));
    assert.deepEqual(after.position.epoch, tail.epoch);
    assert.ok(after.position.offset > 6);
  });

  promise('after a restart followers are told to look, and hear what comes then', open, async (stage) => {
    const ear = await stage.follow();
    await stage.keepMany(2);
    await ear.has(2);
    await stage.harness.restart();
    await stage.back();
    await waitFor(() => ear.resumes > 0, { what: 'the follower to be told' });
    const { position } = await stage.keep(event('after'));
    await ear.has(3);
    const last = ear.heardEntries.at(-1);
    assert.deepEqual([last?.entry.offset, last?.entry.epoch, last?.previous], [3, position.epoch, 2]);
  });

  promise('a node that was given more than the log has makes it begin a new epoch', open, async (stage) => {
    const { epoch, offset } = await stage.keepMany(3);
    for (const seen of [null, { epoch, offset }, { epoch, offset: 1 }, { epoch: 'other' as Epoch, offset: 9 }]) {
      assert.equal((await stage.log.renew(stage.room, 0, seen)).tail.epoch, epoch);
    }
    const { tail } = await stage.log.renew(stage.room, 0, { epoch, offset: 5 });
    assert.notEqual(tail.epoch, epoch);
    assert.deepEqual([tail.offset, tail.lineage], [3, [{ epoch, last: 3 }]]);
    assert.deepEqual(await resume(stage, `${epoch}.5`), {
      verdict: 'gap',
      missed: null,
      cause: 'failover',
      offsets: [],
    });
    assert.equal((await stage.keep(event('after'))).position.epoch, tail.epoch);
  });

  promise(
    'a sum that is published names the epoch that it is of',
    open,
    async (stage) => {
      const ear = await stage.follow();
      const { position } = await stage.keep(event());
      await stage.keep(count(3));
      await stage.keep(count(2));
      await waitFor(() => ear.counts.length > 0, { what: 'a sum' });
      assert.deepEqual(ear.counts[0], { type: 'count', epoch: position.epoch, counter: 'likes', total: 5 });
    },
    { countMs: 60_000 },
  );

  promise('ids of several epochs ago are still exact', open, async (stage) => {
    const epochs: Epoch[] = [];
    for (let n = 1; n <= 3; n += 1) {
      epochs.push((await stage.keep(event(`${n}`))).position.epoch);
      await stage.harness.restart();
      await stage.back();
    }
    assert.equal(new Set(epochs).size, 3);
    assert.deepEqual(await resume(stage, `${epochs[0]}.1`), exact([2, 3]));
    assert.deepEqual(await resume(stage, `${epochs[1]}.1`), exact([2, 3]));
    assert.deepEqual(await resume(stage, `${epochs[2]}.3`), exact([]));
    assert.deepEqual(await resume(stage, `${epochs[0]}.2`), {
      verdict: 'gap',
      missed: null,
      cause: 'failover',
      offsets: [2, 3],
    });
  });
}

function forgetContract(open: OpenHarness): void {
  promise('a store that forgot everything resets every id and begins anew', open, async (stage) => {
    const ear = await stage.follow();
    const { epoch } = await stage.keepMany(3);
    await stage.keep(put('title', 'a'));
    await ear.has(4);
    await stage.harness.forget();
    await stage.back();
    assert.deepEqual(await resume(stage, `${epoch}.1`), reset);
    const { total, parts, tail } = await stage.log.readState(stage.room);
    assert.deepEqual([total, parts.size, tail.offset, tail.first, tail.lineage], [0, 0, 0, 1, []]);
    assert.notEqual(tail.epoch, epoch);
    const { position } = await stage.keep(event(), { room: freshRoom() });
    assert.equal(position.offset, 1);
  });
}
