/** The contract of a room's log: state parts and counters. */

import assert from 'node:assert/strict';
import { noParts } from '../../src/log/room-log.ts';
import type { Epoch } from '../../src/model.ts';
import { waitFor } from '../rig/wait-for.ts';
import { count, event, type OpenHarness, promise, put, remove, type Stage } from './stage.ts';

const partsOf = async (stage: Stage) => Object.fromEntries((await stage.log.readState(stage.room)).parts);

export function keepingContract(open: OpenHarness): void {
  stateContract(open);
  versionContract(open);
  removalContract(open);
  counterContract(open);
  fleetingContract(open);
}

function stateContract(open: OpenHarness): void {
  promise(
    'a part is set, set again and removed, and each change is an entry that everyone hears',
    open,
    async (stage) => {
      const ear = await stage.follow();
      await stage.keep(event());
      const value = { text: 'a "b"\u2028 🎈', deep: [1, null] };
      assert.equal((await stage.keep(put('pin', value))).position.offset, 2);
      assert.deepEqual(await partsOf(stage), { pin: { version: 2, value: JSON.stringify(value) } });
      await stage.keep(put('pin', null));
      assert.deepEqual(await partsOf(stage), { pin: { version: 3, value: 'null' } });
      await stage.keep(remove('pin'));
      assert.deepEqual(await partsOf(stage), { pin: { version: 4, value: null } });
      await ear.has(4);
      assert.deepEqual(
        ear.entries.slice(1).map(({ kind, lane, audience, body }) => [kind, lane, audience, body]),
        [
          ['state', 'must', 'all', `{"part":"pin","value":${JSON.stringify(value)}}`],
          ['state', 'must', 'all', '{"part":"pin","value":null}'],
          ['state', 'must', 'all', '{"part":"pin"}'],
        ],
      );
    },
  );

  promise('the total version is that of the newest change', open, async (stage) => {
    const total = async () => (await stage.log.readState(stage.room)).total;
    assert.equal(await total(), 0);
    await stage.keep(event());
    assert.equal(await total(), 0);
    await stage.keep(put('a', 1));
    await stage.keep(put('b', 1));
    await stage.keep(event());
    assert.equal(await total(), 3);
    await stage.keep(remove('a'));
    assert.equal(await total(), 5);
  });

  promise('whoever names a version that it has is told what changed after it, and no more', open, async (stage) => {
    for (const part of ['a', 'b', 'c']) await stage.keep(put(part, 1));
    const { tail, total, since } = await stage.log.readState(stage.room);
    assert.equal(since, undefined, 'whole');
    const changed = async (epoch: Epoch, offset: number) => {
      const state = await stage.log.readState(stage.room, null, { epoch, offset });
      return [state.total, state.since, Object.fromEntries(state.parts)];
    };
    assert.deepEqual(await changed(tail.epoch, total), [3, 3, {}]);
    assert.deepEqual(await changed(tail.epoch, Number.MAX_SAFE_INTEGER), [3, Number.MAX_SAFE_INTEGER, {}]);
    await stage.keep(put('b', 2));
    await stage.keep(remove('a'));
    const since3 = { b: { version: 4, value: '2' }, a: { version: 5, value: null } };
    assert.deepEqual(await changed(tail.epoch, total), [5, 3, since3]);
    assert.deepEqual(await changed(tail.epoch, 4), [5, 4, { a: since3.a }]);
    const whole = { ...since3, c: { version: 3, value: '1' } };
    assert.deepEqual(await changed('other' as Epoch, total), [5, undefined, whole]);
  });

  promise('whoever wants no part is told everything else', open, async (stage) => {
    await stage.keep(put('a', 1));
    const { parts, ...others } = await stage.log.readState(stage.room, null);
    assert.equal(parts.size, 1);
    assert.deepEqual(await stage.log.readState(stage.room, null, noParts), { ...others, parts: new Map() });
  });

  promise(
    'a room takes as many parts as it may hold; setting one that is there is always possible',
    open,
    async (stage) => {
      await stage.keep(put('a', 1));
      await stage.keep(put('b', 1));
      await stage.refuse('state-full', put('c', 1));
      await stage.keep(put('a', 2));
      await stage.keep(remove('b'));
      await stage.keep(put('b', 2));
      assert.equal((await stage.tail()).offset, 5);
      await stage.keep(count(1));
      assert.equal((await stage.log.readState(stage.room)).parts.get('likes')?.value, '{"total":1}');
    },
    { statePartsMax: 2 },
  );
}

function versionContract(open: OpenHarness): void {
  promise('a change that names another version is refused and told the present one', open, async (stage) => {
    await stage.keep(put('pin', 'a', 0));
    for (const change of [put('pin', 'b', 0), put('pin', 'b', 7), remove('pin', 7)]) {
      assert.equal((await stage.refuse('version-conflict', change)).version, 1);
    }
    await stage.keep(put('pin', 'b', 1));
    await stage.keep(remove('pin', 2));
    assert.equal((await stage.refuse('version-conflict', put('pin', 'c', 2))).version, 0);
    await stage.keep(put('pin', 'c', 0));
    assert.deepEqual(await partsOf(stage), { pin: { version: 4, value: '"c"' } });
  });

  promise(
    'a change that asks for any version is kept where there is one, however often it changes',
    open,
    async (stage) => {
      for (const change of [put('pin', 'a', 'any'), remove('pin', 'any')]) {
        assert.equal((await stage.refuse('version-conflict', change)).version, 0);
      }
      await stage.keep(put('pin', 'a', 0));
      await Promise.all(Array.from({ length: 10 }, (_, n) => stage.keep(put('pin', n, 'any'))));
      await stage.keep(remove('pin', 'any'));
      assert.equal((await stage.refuse('version-conflict', put('pin', 'b', 'any'))).version, 0);
      assert.equal((await stage.tail()).offset, 12);
    },
  );

  promise(
    'a repeat of a conditional change gets the first answer, whatever has become of the part',
    open,
    async (stage) => {
      const key = (name: string) => ({ once: { key: name, digest: name } });
      const steps = [
        put('pin', 'a', 0),
        put('pin', 'b', 'any'),
        put('pin', 'c', 2),
        remove('pin', 'any'),
        put('pin', 'd', 0),
        remove('pin', 5),
      ];
      for (const [n, change] of steps.entries()) {
        const first = await stage.keep(change, key(`k${n}`));
        assert.deepEqual(await stage.append(change, key(`k${n}`)), { ...first, repeated: true });
      }
      for (const [n, change] of steps.entries()) {
        assert.equal((await stage.keep(change, key(`k${n}`))).position.offset, n + 1);
      }
      assert.equal((await stage.tail()).offset, steps.length);
    },
  );

  promise('of many changes from the same version one is kept', open, async (stage) => {
    const two = await stage.harness.node('two');
    await stage.keep(put('pin', 'a'));
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => stage.append(put('pin', n, 1), {}, n % 2 ? stage.log : two)),
    );
    const winners = answers.flatMap((answer, n) => (answer.outcome === 'kept' ? [n] : []));
    assert.equal(winners.length, 1);
    assert.deepEqual(await partsOf(stage), { pin: { version: 2, value: `${winners[0]}` } });
  });
}

function removalContract(open: OpenHarness): void {
  promise('removing what is not there is refused, whatever version it names', open, async (stage) => {
    await stage.refuse('not-found', remove('pin'));
    await stage.refuse('not-found', remove('pin', 3));
    await stage.keep(put('pin', 1));
    await stage.keep(remove('pin'));
    await stage.refuse('not-found', remove('pin'));
    assert.equal((await stage.tail()).offset, 2);
  });

  promise(
    'a removal is told as long as somebody may stand before it, and not for ever',
    open,
    async (stage) => {
      await stage.keep(put('kept', 1));
      await stage.keep(put('gone', 1));
      await stage.keep(remove('gone'));
      await stage.keepMany(2);
      assert.equal((await stage.tail()).first, 3);
      assert.deepEqual((await partsOf(stage))['gone'], { version: 3, value: null });
      await stage.keepMany(1);
      assert.equal((await stage.tail()).first, 4);
      assert.deepEqual(await partsOf(stage), { kept: { version: 1, value: '1' } });
      assert.equal((await stage.log.readState(stage.room)).total, 3);
    },
    { logEntriesMax: 3 },
  );
}

function counterContract(open: OpenHarness): void {
  promise(
    'a counter is exact at once, whoever adds to it, and costs few entries',
    open,
    async (stage) => {
      const two = await stage.harness.node('two');
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, n) => stage.keep(count(n + 1), {}, n % 2 ? stage.log : two)),
      );
      const sum = (50 * 51) / 2;
      assert.equal(Math.max(...answers.map(({ total }) => total)), sum);
      assert.equal(new Set(answers.map(({ total }) => total)).size, 50);
      assert.equal((await stage.keep(count(1))).total, sum + 1);
      assert.equal((await stage.tail()).offset, 1);
    },
    { countMs: 60_000 },
  );

  promise(
    'the first sum becomes state at once, later ones wait until they are settled',
    open,
    async (stage) => {
      const ear = await stage.follow();
      const first = await stage.keep(count(3));
      assert.deepEqual([first.total, first.pending, first.position.offset], [3, false, 1]);
      const second = await stage.keep(count(4));
      assert.deepEqual([second.total, second.pending, second.position.offset], [7, true, 1]);
      assert.deepEqual(await partsOf(stage), { likes: { version: 1, value: '{"total":3}' } });
      await stage.log.settle(stage.room, 'likes');
      assert.deepEqual(await partsOf(stage), { likes: { version: 2, value: '{"total":7}' } });
      await ear.has(2);
      const last = ear.entries.at(-1);
      assert.deepEqual(
        [last?.kind, last?.lane, last?.audience, last?.body],
        ['state', 'must', 'all', '{"part":"likes","value":{"total":7}}'],
      );
    },
    { countMs: 60_000 },
  );

  promise('settling is harmless to repeat and where nothing is pending', open, async (stage) => {
    const two = await stage.harness.node('two');
    await stage.log.settle(stage.room, 'likes');
    assert.equal((await stage.tail()).offset, 0);
    await stage.keep(count(1));
    await stage.keep(count(1));
    await Promise.all([stage.log, two, stage.log].map((log) => log.settle(stage.room, 'likes')));
    assert.equal((await stage.tail()).offset, 2);
  });

  promise(
    'a counter that moves becomes state by itself once its time is over',
    open,
    async (stage) => {
      await stage.keep(count(1));
      await stage.harness.tick(500);
      const { total, pending } = await stage.keep(count(1));
      assert.deepEqual([total, pending], [2, false]);
      assert.equal((await partsOf(stage))['likes']?.value, '{"total":2}');
    },
    { countMs: 500 },
  );

  promise('counters of one room do not mix', open, async (stage) => {
    await stage.keep(count(2, 'likes'));
    assert.equal((await stage.keep(count(5, 'gifts'))).total, 5);
    assert.equal((await stage.keep(count(1, 'likes'))).total, 3);
  });
}

function fleetingContract(open: OpenHarness): void {
  promise(
    'while a sum waits, followers are told of it now and then, without a number',
    open,
    async (stage) => {
      const ear = await stage.follow(await stage.harness.node('two'));
      await stage.keep(count(1));
      await stage.keep(count(1));
      await stage.harness.tick(150);
      await stage.keep(count(1));
      await waitFor(() => ear.counts.some(({ total }) => total === 3), { what: 'the sum to be told' });
      for (let n = 0; n < 200; n += 1) await stage.keep(count(1));
      await stage.log.settle(stage.room, 'likes');
      await ear.has(2);
      assert.ok(ear.counts.length < 50, `told ${ear.counts.length} times`);
      const totals = ear.counts.map(({ total }) => total);
      assert.deepEqual(
        totals,
        totals.toSorted((a, b) => a - b),
      );
      assert.deepEqual(new Set(ear.counts.map(({ counter }) => counter)), new Set(['likes']));
    },
    { countMs: 60_000 },
  );
}
