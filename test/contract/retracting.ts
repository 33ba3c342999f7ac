/** The contract of a room's log: events that are taken back, and the tombstones that are left of them. */

import assert from 'node:assert/strict';
import { formatPosition, type Position } from '../../src/log/position.ts';
import { type Change, lastingKinds } from '../../src/log/room-log.ts';
import type { Entry } from '../../src/model.ts';
import { count, end, event, markOf, type OpenHarness, promise, put, rule, type Stage, user } from './stage.ts';

const [ann, bob] = [user('ann'), user('bob')];
const retract = (target: Position): Change => ({
  type: 'retract',
  target,
  body: JSON.stringify({ id: target.offset }),
});

async function readAll(stage: Stage, log = stage.log): Promise<readonly Entry[]> {
  const { epoch } = await stage.tail();
  const { entries } = await log.read(stage.room, { epoch, offset: 0 }, 1000);
  return entries;
}

/** The newest retraction that was for all, as readers are told. */
const newest = async (stage: Stage): Promise<number> => (await stage.log.read(stage.room, null, 0)).retracted;

const shapeOf = (entries: readonly Entry[]): string =>
  entries.map((entry) => `${entry.offset} ${entry.kind} ${markOf(entry)}`).join(', ');

export function retractingContract(open: OpenHarness): void {
  tombstoneContract(open);
  audienceContract(open);
  refusalContract(open);
  repeatContract(open);
  survivalContract(open);
}

function tombstoneContract(open: OpenHarness): void {
  promise('what was retracted is never read again: its number is left, and who retracted it', open, async (stage) => {
    const two = await stage.harness.node('two');
    await stage.keep(event('before'));
    const { position, at } = await stage.keep(event('secret words'));
    await stage.keep(event('after'));
    const answer = await stage.keep(retract(position), { by: bob });
    assert.equal(answer.position.offset, 4);
    for (const log of [stage.log, two]) {
      const entries = await readAll(stage, log);
      assert.equal(shapeOf(entries), '1 comment chat, 2 comment tombstone, 3 comment chat, 4 retract must');
      assert.ok(!JSON.stringify(entries).includes('secret'));
      const { epoch, offset } = position;
      assert.deepEqual(entries[1], {
        epoch,
        offset,
        at,
        kind: 'comment',
        lane: 'chat',
        status: 'tombstone',
        audience: 'all',
        body: JSON.stringify({ by: formatPosition(answer.position) }),
      });
    }
  });

  promise('a page of any size holds the tombstone in its place', open, async (stage) => {
    const { epoch } = await stage.keepMany(7);
    for (const offset of [1, 4, 7]) await stage.keep(retract({ epoch, offset }));
    for (const limit of [1, 2, 3, 10]) {
      const marks: string[] = [];
      for (let offset = 0; offset < 10; ) {
        const { entries } = await stage.log.read(stage.room, { epoch, offset }, limit);
        marks.push(...entries.map(markOf));
        offset += entries.length;
      }
      assert.equal(
        marks.join(' '),
        'tombstone chat chat tombstone chat chat tombstone must must must',
        `${limit} at a time`,
      );
    }
  });

  promise('readers are told the newest retraction that was for all', open, async (stage) => {
    assert.equal(await newest(stage), 0);
    const [open1, staff] = [await stage.keep(event('1')), await stage.keep(event('2', 'staff'))];
    await stage.keep(retract(staff.position));
    assert.equal(await newest(stage), 0);
    await stage.keep(retract(open1.position));
    assert.equal(await newest(stage), 4);
    await stage.keep(retract((await stage.keep(event('5', [ann]))).position));
    assert.equal(await newest(stage), 4);
  });

  promise(
    'a tombstone is trimmed like any entry, and is then not there',
    open,
    async (stage) => {
      const { position } = await stage.keep(event('1'));
      await stage.keepMany(4);
      await stage.keep(retract(position));
      const { first, offset } = await stage.tail();
      assert.deepEqual([first, offset], [2, 6]);
      await stage.refuse('not-found', retract(position));
      assert.equal(shapeOf((await readAll(stage)).slice(-1)), '6 retract must');
    },
    { logEntriesMax: 5 },
  );
}

function audienceContract(open: OpenHarness): void {
  promise('whom the event was for are told, and nobody else', open, async (stage) => {
    const two = await stage.harness.node('two');
    const [near, far] = [await stage.follow(), await stage.follow(two)];
    await two.enter(stage.room, bob);
    const told: string[] = [];
    for (const audience of ['all', 'staff', 'tag:gold', [bob, ann]] as const) {
      const { position } = await stage.keep(event('x', audience));
      const { connected } = await stage.keep(retract(position));
      told.push(`${connected}`);
    }
    assert.deepEqual(told, ['0', '0', '0', '1']);
    await far.has(8);
    const retracts = far.entries.filter(({ kind }) => kind === 'retract');
    assert.deepEqual(
      retracts.map(({ audience, lane, body }) => [audience, lane, body]),
      [
        ['all', 'must', '{"id":1}'],
        ['staff', 'must', '{"id":3}'],
        ['tag:gold', 'must', '{"id":5}'],
        [['bob', 'ann'], 'must', '{"id":7}'],
      ],
    );
    await stage.keep(event('last'));
    await near.has(7);
    assert.deepEqual(
      (await readAll(stage)).flatMap(({ status, audience }) => (status === 'tombstone' ? [audience] : [])),
      ['all', 'staff', 'tag:gold', ['bob', 'ann']],
    );
    assert.deepEqual(near.offsets, [1, 2, 3, 4, 5, 6, 9]);
    assert.equal(near.heardEntries.at(-1)?.previous, 6);
  });
}

function refusalContract(open: OpenHarness): void {
  promise('what is no event of this history, or not there, is not found and nothing changes', open, async (stage) => {
    const { epoch } = await stage.keepMany(2);
    for (const target of [
      { epoch, offset: 0 },
      { epoch, offset: 3 },
      { epoch, offset: 999_999_999_999_999 },
      { epoch: 'nowhere' as typeof epoch, offset: 1 },
    ]) {
      await stage.refuse('not-found', retract(target));
    }
    assert.equal((await stage.tail()).offset, 2);
    assert.equal(shapeOf(await readAll(stage)), '1 comment chat, 2 comment chat');
  });

  promise(
    'state, rules, gaps, retractions and the end stay',
    open,
    async (stage) => {
      await stage.keep(put('title', 1));
      await stage.keep(rule('mute', bob, 60));
      await stage.keep(rule('mute', bob, null));
      await stage.keep(rule('ban', bob, 60));
      await stage.keep(rule('ban', bob, null));
      await stage.keep(count(1));
      for (const text of ['kept', 'kept', 'sampled out']) await stage.keep(event(text));
      const { position } = await stage.keep(event('shown', 'staff'));
      await stage.keep(retract(position));
      await stage.harness.tick(1000);
      await stage.keep(event('declares'));
      const entries = await readAll(stage);
      const lasting = entries.filter(({ kind }) => lastingKinds.has(kind));
      assert.deepEqual(new Set(lasting.map(({ kind }) => kind)).size, lastingKinds.size - 1, shapeOf(entries));
      for (const { epoch, offset } of lasting) await stage.refuse('not-found', retract({ epoch, offset }));
      assert.equal((await stage.tail()).offset, entries.length);
      await stage.keep(end);
      await stage.refuse('not-found', retract({ epoch: position.epoch, offset: entries.length + 1 }));
    },
    { chatPerSecond: 2 },
  );

  promise(
    'of chat that was left out too, and its gap still counts it',
    open,
    async (stage) => {
      await stage.keepMany(2);
      const { position } = await stage.keep(event('sampled out'));
      await stage.keep(event('sampled out'));
      await stage.keep(retract(position));
      await stage.harness.tick(1000);
      await stage.keep(event('after'));
      const entries = await readAll(stage);
      assert.equal(
        shapeOf(entries.slice(2)),
        '3 comment tombstone, 4 comment sampled-out, 5 retract must, 6 gap must, 7 comment chat',
      );
      assert.deepEqual([entries[2]?.audience, entries[4]?.audience], ['staff', 'all']);
      assert.equal((JSON.parse(entries[5]?.body ?? '') as { missed: number }).missed, 2);
    },
    { chatPerSecond: 2 },
  );
}

function repeatContract(open: OpenHarness): void {
  promise('retracting again changes nothing and gets the first answer, whoever does it', open, async (stage) => {
    const two = await stage.harness.node('two');
    const ear = await stage.follow();
    const { position } = await stage.keep(event());
    const first = await stage.keep(retract(position));
    await stage.keep(event());
    const again = await stage.keep(retract(position), { by: bob }, two);
    assert.deepEqual([again.position, again.at], [first.position, first.at]);
    const keyed = { once: { key: 'k', digest: 'd' } };
    assert.deepEqual((await stage.keep(retract(position), keyed)).position, first.position);
    const repeat = await stage.keep(retract(position), keyed);
    assert.deepEqual([repeat.position, repeat.repeated], [first.position, true]);
    await stage.refuse('key-reused', event(), { once: { key: 'k', digest: 'other' } });
    await stage.keep(event());
    await ear.has(4);
    assert.deepEqual(ear.offsets, [1, 2, 3, 4]);
  });

  promise('of many retractions of one event at the same time one is kept', open, async (stage) => {
    const two = await stage.harness.node('two');
    const { position } = await stage.keep(event());
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => stage.keep(retract(position), {}, n % 2 ? stage.log : two)),
    );
    assert.deepEqual(new Set(answers.map((answer) => answer.position.offset)), new Set([2]));
    assert.equal((await stage.tail()).offset, 2);
  });
}

function survivalContract(open: OpenHarness): void {
  promise('what was retracted stays so when the store comes back, under the id that it had', open, async (stage) => {
    const [one, other] = [await stage.keep(event('1')), await stage.keep(event('2'))];
    await stage.keep(retract(one.position));
    await stage.harness.restart();
    await stage.back();
    const after = await stage.keep(event('4'));
    assert.notEqual(after.position.epoch, one.position.epoch);
    // The same number under the new epoch is the id of nothing.
    await stage.refuse('not-found', retract({ epoch: after.position.epoch, offset: 2 }));
    await stage.keep(retract(other.position));
    const { entries, retracted } = await stage.log.read(stage.room, { ...one.position, offset: 0 }, 10);
    assert.equal(
      shapeOf(entries),
      '1 comment tombstone, 2 comment tombstone, 3 retract must, 4 comment chat, 5 retract must',
    );
    assert.equal(retracted, 5);
  });

  promise('a room that comes back empty has nothing retracted', open, async (stage) => {
    const { position } = await stage.keep(event('1'));
    await stage.keep(retract(position));
    await stage.harness.forget();
    await stage.back();
    await stage.keepMany(2);
    assert.equal(await newest(stage), 0);
    assert.equal(shapeOf(await readAll(stage)), '1 comment chat, 2 comment chat');
  });
}
