import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MemoryStore } from '../../src/log/memory/memory-log.ts';
import { bucketsMin, type MemoryLimits } from '../../src/log/memory/record.ts';
import { onceKeysMax } from '../../src/log/memory/room.ts';
import { judge } from '../../src/log/position.ts';
import { declareMs, sampledChat } from '../../src/log/room-log.ts';
import { FakeClock } from '../rig/fake-clock.ts';
import { joined, type NodeLog } from '../rig/joined.ts';
import { roomLogContract } from './room-log.contract.ts';
import { event, freshRoom, type Harness, put, Stage, user } from './stage.ts';

const defaults: MemoryLimits = {
  logEntriesMax: 10_000,
  logBytesMax: 16_777_216,
  logTtlS: 3600,
  roomTtlS: 604_800,
  rulesTtlS: 604_800,
  rulesMax: 100,
  statePartsMax: 64,
  countMs: 1000,
  chatPerSecond: 0,
};

interface MemoryHarness extends Harness {
  readonly store: MemoryStore;
  readonly clock: FakeClock;
}

function open(settings: Partial<MemoryLimits> = {}): MemoryHarness {
  const clock = new FakeClock();
  const store = new MemoryStore({ ...defaults, ...settings }, clock);
  const nodes = new Map<string, NodeLog>();
  return {
    store,
    clock,
    async node(id) {
      const log = nodes.get(id) ?? joined(store.open(id));
      nodes.set(id, log);
      return log;
    },
    restart: async () => store.restart(),
    forget: async () => store.forget(),
    tick: async (ms) => clock.advance(ms),
    close: async () => void (await Promise.all([...nodes.values()].map((log) => log.close()))),
  };
}

async function openStage(settings: Partial<MemoryLimits> = {}): Promise<{ stage: Stage; harness: MemoryHarness }> {
  const harness = open(settings);
  return { stage: new Stage(harness, await harness.node('one')), harness };
}

roomLogContract('memory-log', async (settings) => open(settings));

describe('memory-log: faults that tests ask for', () => {
  test('after an older copy came back, ids up to it are exact and later ones have a declared gap', async () => {
    const { stage, harness } = await openStage();
    const { epoch } = await stage.keepMany(3);
    const copy = harness.store.snapshot();
    await stage.keepMany(2);
    harness.store.restore(copy);
    const after = await stage.keepMany(1);
    assert.equal(after.offset, 4);
    const { tail, entries } = await stage.log.read(stage.room, { epoch, offset: 5 }, 10);
    assert.deepEqual(tail.lineage, [{ epoch, last: 3 }]);
    assert.deepEqual(judge({ epoch, offset: 3 }, tail).verdict, 'exact');
    assert.deepEqual(judge({ epoch, offset: 5 }, tail), {
      verdict: 'gap',
      to: { epoch: tail.epoch, offset: 3 },
      missed: null,
      cause: 'failover',
    });
    assert.deepEqual(
      entries.map(({ offset }) => offset),
      [4],
    );
  });

  test('a copy does not change with the store, and can come back twice', async () => {
    const { stage, harness } = await openStage();
    await stage.keep(put('title', 'a'));
    const copy = harness.store.snapshot();
    for (let n = 0; n < 2; n += 1) {
      await stage.keep(put('title', 'b'));
      harness.store.restore(copy);
      assert.equal((await stage.log.readState(stage.room)).parts.get('title')?.value, '"a"');
    }
  });

  test('a node that was cut off lost what was published meanwhile and is told when it is healed', async () => {
    const { stage, harness } = await openStage();
    const two = await harness.node('two');
    const [ear, witness] = [await stage.follow(two), await stage.follow()];
    harness.store.cut('two');
    await stage.keep(event('lost'));
    await witness.has(1);
    harness.store.heal('two');
    await stage.keep(event('heard'));
    await ear.has(1);
    assert.deepEqual([ear.offsets, ear.resumes, witness.resumes], [[2], 1, 0]);
    assert.equal(ear.heardEntries[0]?.previous, 1);
  });

  test('what was on its way when a node stopped following is not heard', async () => {
    const { stage } = await openStage();
    const ear = await stage.follow();
    const write = stage.keep(event());
    await stage.log.unfollow(stage.room);
    await write;
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(ear.offsets, []);
  });

  test('while the log is unavailable calls are refused and nothing is written', async () => {
    const { stage, harness } = await openStage();
    harness.store.fail('unavailable');
    assert.equal(stage.log.isReady(), false);
    await assert.rejects(stage.append(event()), { code: 'log-unavailable' });
    await assert.rejects(stage.log.read(stage.room, null, 1), { code: 'log-unavailable' });
    harness.store.fail(null);
    assert.equal(stage.log.isReady(), true);
    assert.equal((await stage.tail()).offset, 0);
  });

  test('a write whose answer was lost is in the log, and its repeat says so', async () => {
    const { stage, harness } = await openStage();
    const more = { once: { key: 'k', digest: 'd' } };
    harness.store.fail('outcome-unknown');
    await assert.rejects(stage.append(event(), more), { code: 'outcome-unknown' });
    harness.store.fail(null);
    const { repeated, position } = await stage.keep(event(), more);
    assert.deepEqual([repeated, position.offset], [true, 1]);
  });
});

describe('memory-log: sampled chat and a store that is not what it was', () => {
  const limited = { chatPerSecond: 10 };

  test('an older copy that came back declares what it holds, from where it began', async () => {
    const { stage, harness } = await openStage(limited);
    const { epoch } = await stage.keepMany(13);
    const copy = harness.store.snapshot();
    await stage.keepMany(20);
    harness.store.restore(copy);
    await stage.keepMany(2);
    harness.clock.advance(declareMs);
    assert.equal(await stage.log.settle(stage.room, sampledChat), 0);
    const last = (await stage.log.read(stage.room, { epoch, offset: 0 }, 100)).entries.at(-1);
    assert.deepEqual([last?.offset, last?.kind], [16, 'gap']);
    assert.deepEqual(JSON.parse(last?.body ?? ''), {
      from: `${epoch}.10`,
      missed: 5,
      lane: 'chat',
      cause: 'sampled',
    });
  });

  test('a clock that was set back holds up chat for a second at most, and no declaration', async () => {
    const { stage, harness } = await openStage(limited);
    await stage.keepMany(13);
    harness.clock.advance(-3_600_000);
    assert.equal(await stage.log.settle(stage.room, sampledChat), 0);
    assert.equal((await stage.tail()).offset, 14);
    assert.equal((await stage.keep(event())).pending, true);
    harness.clock.advance(declareMs);
    assert.equal((await stage.keep(event())).pending, false);
    assert.equal((await stage.tail()).offset, 17);
  });
});

describe('memory-log: bounds', () => {
  test('a room keeps no more bytes than it may', async () => {
    const { stage } = await openStage({ logBytesMax: 65_536 });
    for (let n = 0; n < 20; n += 1) await stage.keep(event('x'.repeat(10_000)));
    const { first, offset } = await stage.tail();
    assert.deepEqual([first, offset], [15, 20]);
  });

  test('rooms that were only looked at are forgotten as others are used', async () => {
    const { stage, harness } = await openStage();
    for (let n = 0; n < 500; n += 1) await stage.log.readState(freshRoom());
    harness.clock.advance(121_000);
    for (let n = 0; n < 500; n += 1) await stage.tail();
    assert.equal(harness.store.rooms, 1);
  });

  test('a room remembers so many idempotency keys and refuses one more until the oldest are over', async () => {
    const { stage, harness } = await openStage({ logEntriesMax: 10 });
    const keyed = (n: number) => ({ once: { key: `${n}`, digest: 'd' } });
    for (let n = 0; n < onceKeysMax; n += 1) await stage.append(event(), keyed(n));
    await assert.rejects(stage.append(event(), keyed(-1)), { code: 'overloaded' });
    assert.equal((await stage.keep(event(), keyed(5))).repeated, true);
    harness.clock.advance(600_000);
    assert.equal((await stage.keep(event(), keyed(-1))).repeated, false);
  });

  test('full rate buckets are let go', async () => {
    const { stage, harness } = await openStage({ logEntriesMax: 10 });
    const rate = { name: 'comment', burst: 1, perSecond: 1, cost: 1 };
    for (let n = 0; n < bucketsMin * 2; n += 1) {
      await stage.keep(event(), { rate, by: user(`u${n}`) });
      harness.clock.advance(1);
    }
    const [record] = harness.store.snapshot().rooms.values();
    assert.ok(record && record.rates.fullAtMs.size <= bucketsMin);
    await stage.refuse('rate-limited', event(), { rate, by: user(`u${bucketsMin * 2 - 1}`) });
  });
});
