import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { epochsMax, keptCharsMax, keptMs, type SharedPage, SharedPages } from '../../../src/hub/shared-pages.ts';
import { MemoryStore } from '../../../src/log/memory/memory-log.ts';
import type { Position } from '../../../src/log/position.ts';
import type { Change, Reading } from '../../../src/log/room-log.ts';
import type { Audience, Epoch, RoomId, UserId } from '../../../src/model.ts';
import { FakeClock } from '../../rig/fake-clock.ts';

const room = 'match-7' as RoomId;
const [ann, bob] = ['ann' as UserId, 'bob' as UserId];
const limits = {
  logEntriesMax: 1_000,
  logBytesMax: 16_777_216,
  logTtlS: 3600,
  roomTtlS: 604_800,
  rulesTtlS: 604_800,
  rulesMax: 100,
  viewerCountMs: 1000,
  statePartsMax: 64,
  countMs: 1000,
  chatPerSecond: 0,
};
const event = (n: number, audience: Audience = 'all'): Change => ({
  type: 'event',
  kind: 'note',
  lane: 'chat',
  audience,
  body: JSON.stringify({ from: { id: ann }, n }),
});

/** Pages over an embedded log, and how often they read it. */
function open(more: Partial<typeof limits> = {}) {
  const clock = new FakeClock();
  const store = new MemoryStore({ ...limits, ...more }, clock);
  const { log } = store.open('one');
  let reads = 0;
  const counted = {
    read: (...asked: Parameters<typeof log.read>): Promise<Reading> => {
      reads += 1;
      return log.read(...asked);
    },
  };
  const pages = new SharedPages(counted, clock, { stateInlineBytes: 1000 });
  const write = async (change: Change): Promise<Position> => {
    const answer = await log.append({
      room,
      by: ann,
      role: 'moderator',
      once: null,
      rate: null,
      mutable: false,
      change,
    });
    assert.ok(answer.outcome === 'kept', JSON.stringify(answer));
    return answer.position;
  };
  const find = async (page: number | 'latest', version: string | null = null): Promise<SharedPage> => {
    const found = await pages.find(room, page, version);
    assert.ok(found !== 'missing', `page ${page} is missing`);
    return found;
  };
  return {
    clock,
    store,
    pages,
    write,
    find,
    reads: () => reads,
    async fill(upTo: number) {
      for (let n = (await log.readState(room)).tail.offset + 1; n <= upTo; n += 1) await write(event(n));
    },
  };
}
const numbersIn = ({ body }: SharedPage): number[] =>
  (JSON.parse(body) as { events: { id: string }[] }).events.map(({ id }) => Number(id.split('.')[1]));
const span = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);
const edgesOf = ({ page, from, to, isFull }: SharedPage) => [page, from, to, isFull];

describe('a page for shared caches', () => {
  it('holds its hundred offsets, and the first one, which has no offset 0, one less', async () => {
    const { fill, find } = open();
    await fill(250);
    assert.deepEqual(edgesOf(await find(0)), [0, 1, 99, true]);
    assert.deepEqual(edgesOf(await find(1)), [1, 100, 199, true]);
    assert.deepEqual(edgesOf(await find(2)), [2, 200, 250, false]);
    assert.deepEqual(numbersIn(await find(0)), span(1, 99));
    assert.deepEqual(numbersIn(await find(1)), span(100, 199));
    assert.deepEqual(edgesOf(await find('latest')), [2, 200, 250, false]);
  });

  it('is there and empty where it comes next, and missing beyond', async () => {
    const { fill, find, pages } = open();
    assert.deepEqual(edgesOf(await find(0)), [0, 1, 0, false]);
    assert.equal(await pages.find(room, 1, null), 'missing');
    await fill(199);
    assert.deepEqual(edgesOf(await find(2)), [2, 200, 199, false]);
    assert.deepEqual(edgesOf(await find('latest')), [1, 100, 199, true]);
    assert.equal(await pages.find(room, 3, null), 'missing');
    assert.equal(await pages.find(room, 9_999_999_999_999, null), 'missing');
  });

  it('says what of it is left, is not full then, and is missing when it is gone', async () => {
    const { fill, find, pages } = open({ logEntriesMax: 100 });
    await fill(250);
    assert.equal(await pages.find(room, 0, null), 'missing');
    assert.deepEqual(edgesOf(await find(1)), [1, 151, 199, false]);
    assert.deepEqual(numbersIn(await find(1)), span(151, 199));
    assert.deepEqual(edgesOf(await find(2)), [2, 200, 250, false]);
  });

  it('holds what anybody may see, the gaps of the log among it, and nothing else', async () => {
    const { write, find, clock } = open({ chatPerSecond: 2 });
    // Chat for some of them counts for the rate of the room like any other.
    await write({ ...event(1), lane: 'must' } as Change);
    await write(event(2, 'staff'));
    await write(event(3, 'tag:gold'));
    await write(event(4, [ann, bob]));
    for (let n = 0; n < 3; n += 1) await write(event(n));
    clock.advance(2000);
    await write(event(9));
    await write({ type: 'put', part: 'title', value: '"x"', ifVersion: null });
    await write({ type: 'end', body: '{"cause":"ended"}' });
    const page = await find(0);
    const { events } = JSON.parse(page.body) as { events: { event: string; data: { missed?: number } }[] };
    assert.deepEqual(
      events.map((one) => one.event),
      ['note', 'gap', 'note', 'state', 'end'],
    );
    assert.ok(page.body.includes('"missed":'));
  });
});

describe('the version of a page', () => {
  it('is the epoch and the newest retraction for all, under which a full page never changes', async () => {
    const { fill, find, write, clock } = open();
    await fill(120);
    const before = await find(0);
    const [epoch = ''] = before.version.split('.');
    assert.equal(before.version, `${epoch}.0`);
    await write({ type: 'retract', target: { epoch: epoch as Epoch, offset: 7 }, body: `{"id":"${epoch}.7"}` });
    clock.advance(keptMs);
    const after = await find(0);
    assert.equal(after.version, `${epoch}.121`);
    assert.deepEqual(
      numbersIn(after),
      span(1, 99).filter((offset) => offset !== 7),
    );
    assert.equal(after.isFull, true, 'the number is there, though nobody gets anything of it');
    await fill(150);
    clock.advance(keptMs);
    assert.equal((await find(0)).body, after.body);
  });

  it('is another one where the log came back, and so is what a lost number holds', async () => {
    const { fill, find, store, clock } = open();
    await fill(90);
    const copy = store.snapshot();
    await fill(110);
    const before = await find(0);
    store.restore(copy);
    await fill(110);
    clock.advance(keptMs);
    const after = await find(0);
    assert.notEqual(after.version, before.version);
    assert.deepEqual(edgesOf(after), [0, 1, 99, true]);
    assert.ok(after.body.includes(`"epoch":"${after.version.split('.')[0]}"`));
  });

  it('that is newer than what is kept has the page read again, once for all who name it', async () => {
    const { fill, find, write, reads } = open();
    await fill(110);
    const { version } = await find(0);
    const [epoch = ''] = version.split('.');
    const retraction = { type: 'retract', target: { epoch: epoch as Epoch, offset: 7 }, body: `{"id":"${epoch}.7"}` };
    const { offset } = await write(retraction as Change);
    const before = reads();
    assert.equal((await find(0)).version, version, 'for a moment it is as it was');
    const found = await Promise.all(Array.from({ length: 50 }, () => find(0, `${epoch}.${offset}`)));
    assert.deepEqual(new Set(found.map((page) => page.version)), new Set([`${epoch}.${offset}`]));
    assert.equal(reads() - before, 1);
    await find(0, version);
    assert.equal(reads() - before, 1, 'an older one is no reason to read');
    assert.equal(
      (await find(0, `${epoch}.999`)).version,
      `${epoch}.${offset}`,
      'one that nobody gave out is not found',
    );
  });
});

describe('the pages of all rooms', () => {
  it('are read once however many ask, and kept for a moment', async () => {
    const { fill, find, pages, reads, clock } = open();
    await fill(150);
    const found = await Promise.all(Array.from({ length: 1000 }, () => find(0)));
    assert.equal(new Set(found).size, 1);
    assert.equal(reads(), 2, 'the first one of a room asks for its epoch as well');
    clock.advance(keptMs - 1);
    assert.equal(await find(0), found[0]);
    assert.equal(reads(), 2);
    clock.advance(1);
    await Promise.all(Array.from({ length: 1000 }, () => find(0)));
    assert.equal(reads(), 3);
    assert.ok(pages.keptChars > 0);
  });

  it('are asked for again where the log was away', async () => {
    const { find, store, pages } = open();
    store.fail('unavailable');
    await assert.rejects(pages.find(room, 0, null), { code: 'log-unavailable' });
    store.fail(null);
    assert.deepEqual(edgesOf(await find(0)), [0, 1, 0, false]);
  });

  it('are refused where the history changes with every look at it', async () => {
    let epochs = 0;
    const read = async (): Promise<Reading> => {
      epochs += 1;
      const tail = { epoch: `e${epochs}` as Epoch, offset: 9, first: 1, lineage: [] };
      return { tail, entries: [], retracted: 0 };
    };
    const pages = new SharedPages({ read }, new FakeClock(), { stateInlineBytes: 1000 });
    await assert.rejects(pages.find(room, 0, null), { code: 'log-unavailable' });
    assert.equal(epochs, 3);
  });

  it('hold no more text than they may, and no page longer than they must', async () => {
    const clock = new FakeClock();
    const words = 'x'.repeat(keptCharsMax / 400);
    const entries = span(1, 99).map((offset) => ({
      epoch: 'e' as Epoch,
      offset,
      at: 1,
      kind: 'note',
      lane: 'must',
      audience: 'all',
      body: JSON.stringify({ words }),
    }));
    const tail = { epoch: 'e' as Epoch, offset: 99, first: 1, lineage: [] };
    const read = async (): Promise<Reading> => ({ tail, entries, retracted: 0 }) as Reading;
    const pages = new SharedPages({ read }, clock, { stateInlineBytes: 1000 });
    for (let n = 1; n <= 12; n += 1) {
      await pages.find(`room-${n}` as RoomId, 0, null);
      assert.ok(pages.keptChars <= keptCharsMax, `${pages.keptChars} after ${n}`);
    }
    assert.ok(pages.keptChars > keptCharsMax / 2);
    clock.advance(keptMs);
    await pages.find('last' as RoomId, 0, null);
    assert.ok(pages.keptChars < keptCharsMax / 3, `${pages.keptChars}`);
  });

  it('remember the epochs of so many rooms, the latest ones', async () => {
    const asked: (Position | null)[] = [];
    const tail = { epoch: 'e' as Epoch, offset: 0, first: 1, lineage: [] };
    const read = async (_room: RoomId, after: Position | null): Promise<Reading> => {
      asked.push(after);
      return { tail, entries: [], retracted: 0 };
    };
    const clock = new FakeClock();
    const pages = new SharedPages({ read }, clock, { stateInlineBytes: 1000 });
    for (let n = 0; n <= epochsMax; n += 1) await pages.find(`room-${n}` as RoomId, 0, null);
    clock.advance(keptMs);
    asked.splice(0);
    await pages.find(`room-${epochsMax}` as RoomId, 0, null);
    await pages.find('room-0' as RoomId, 0, null);
    assert.deepEqual(
      asked.map((after) => after === null),
      [false, true, false],
    );
  });
});
