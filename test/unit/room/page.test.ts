import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { classOf } from '../../../src/fanout/audience.ts';
import type { Reading } from '../../../src/log/room-log.ts';
import type { Audience, Entry, Epoch, RoomId, UserId } from '../../../src/model.ts';
import { keptMs, Page, Pages } from '../../../src/room/page.ts';
import { FakeClock } from '../../rig/fake-clock.ts';

const epoch = 'e' as Epoch;
const [ann, bob] = ['ann' as UserId, 'bob' as UserId];
const viewers = classOf({ id: ann, role: 'viewer', tags: [] });
const staff = classOf({ id: bob, role: 'host', tags: [] });
const settings = { stateInlineBytes: 100, spanBytesMax: 150 };

const entry = (offset: number, audience: Audience = 'all', kind = 'note'): Entry => ({
  epoch,
  offset,
  at: 1,
  kind,
  lane: 'must',
  audience,
  body: kind === 'state' ? '{"part":"title","value":1}' : `{"n":${offset}}`,
});
const reading = (...entries: Entry[]): Reading => ({
  tail: { epoch, offset: entries.at(-1)?.offset ?? 0, first: 1, lineage: [] },
  entries,
  retracted: 0,
});
const textOf = (page: Page, user: UserId | null, audience = viewers, stateAsOf = 0): string =>
  page
    .replayFor(audience, user, stateAsOf)
    .map(({ piece }) => piece.plain.toString())
    .join('');
const idsIn = (text: string): string[] => [...text.matchAll(/^id: e\.(\d+)$/gm)].map(([, offset]) => String(offset));

describe('a page of the log', () => {
  it('is framed once for all viewers of a class', () => {
    const page = new Page(reading(entry(1), entry(2, 'staff'), entry(3)), settings);
    assert.equal(page.replayFor(viewers, ann, 0), page.replayFor(viewers, bob, 0));
    assert.deepEqual(idsIn(textOf(page, ann)), ['1', '3']);
    assert.deepEqual(idsIn(textOf(page, bob, staff)), ['1', '2', '3']);
  });

  it('gives a peer entry to its target alone, beside what is shared', () => {
    const page = new Page(reading(entry(1), entry(2, [ann]), entry(3)), settings);
    assert.deepEqual(idsIn(textOf(page, ann)), ['1', '2', '3']);
    assert.deepEqual(idsIn(textOf(page, bob)), ['1', '3']);
    assert.deepEqual(idsIn(textOf(page, null)), ['1', '3']);
  });

  it('leaves out changes of state that the viewer knows, and shares it among those who know as much', () => {
    const page = new Page(reading(entry(1, 'all', 'state'), entry(2), entry(3, 'all', 'state')), settings);
    assert.deepEqual(idsIn(textOf(page, ann, viewers, 0)), ['1', '2', '3']);
    assert.deepEqual(idsIn(textOf(page, ann, viewers, 1)), ['2', '3']);
    assert.deepEqual(idsIn(textOf(page, ann, viewers, 9)), ['2']);
    assert.equal(page.replayFor(viewers, ann, 1), page.replayFor(viewers, bob, 2));
  });

  it('comes in parts of about a span', () => {
    const page = new Page(reading(...Array.from({ length: 9 }, (_, n) => entry(n + 1)), entry(10, 'staff')), settings);
    const parts = page.replayFor(viewers, ann, 0);
    assert.ok(parts.length > 2);
    assert.ok(parts.every(({ piece }) => piece.plain.length < 2 * settings.spanBytesMax));
    assert.equal(parts.at(-1)?.upTo, 9);
  });
});

describe('the pages of a room', () => {
  const open = (answer: () => Promise<Reading>) => {
    const clock = new FakeClock();
    let reads = 0;
    const log = {
      read: () => {
        reads += 1;
        return answer();
      },
    };
    return { clock, reads: () => reads, pages: new Pages('room' as RoomId, log, clock, settings) };
  };
  const at = (offset: number) => ({ epoch, offset });

  it('are read once for all who read on from one place, for a moment', async () => {
    const { pages, clock, reads } = open(async () => reading(entry(1)));
    const [one, two] = await Promise.all([pages.read(at(0)), pages.read(at(0))]);
    assert.equal(one, two);
    assert.equal(await pages.read(at(0)), one);
    await pages.read(at(5));
    assert.equal(reads(), 2);
    clock.advance(keptMs);
    await pages.read(at(0));
    assert.equal(reads(), 3);
    pages.close();
    assert.equal(clock.timers, 0);
  });

  it('are read anew once an entry was retracted, also where a reading was under way', async () => {
    let now = reading(entry(1), entry(2));
    const { pages, clock, reads } = open(async () => now);
    const before = await pages.read(at(0));
    const underWay = pages.read(at(1));
    pages.drop();
    now = reading({ ...entry(1), lane: 'chat', status: 'tombstone' }, entry(2), entry(3, 'all', 'retract'));
    assert.deepEqual(idsIn(textOf(await underWay, null)), ['1', '2']);
    const after = await pages.read(at(0));
    assert.notEqual(after, before);
    assert.deepEqual(idsIn(textOf(after, null)), ['2', '3']);
    assert.deepEqual(idsIn(textOf(await pages.read(at(1)), null)), ['2', '3']);
    assert.deepEqual([reads(), pages.drops], [4, 1]);
    pages.close();
    assert.equal(clock.timers, 0);
  });

  it('are asked for again where there was nothing yet, and where the log was away', async () => {
    let isAway = true;
    const { pages, reads } = open(async () => {
      if (isAway) throw new Error('away');
      return reading();
    });
    await assert.rejects(pages.read(at(0)));
    isAway = false;
    await pages.read(at(0));
    await pages.read(at(0));
    assert.equal(reads(), 3);
  });
});
