import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Refusal } from '../../src/errors.ts';
import { MemoryStore } from '../../src/log/memory/memory-log.ts';
import { PendingFlush } from '../../src/log/pending-flush.ts';
import { type Change, declareMs, type RoomLog, sampledChat } from '../../src/log/room-log.ts';
import type { RoomId, UserId } from '../../src/model.ts';
import { readSettings } from '../../src/settings.ts';
import { FakeClock } from '../rig/fake-clock.ts';
import { waitFor } from '../rig/wait-for.ts';

const room = 'match-7' as RoomId;

describe('sampled chat of a flood over two gateways', () => {
  const perSecond = 5;
  const chat: Change = { type: 'event', kind: 'comment', lane: 'chat', audience: 'all', body: '{}' };
  const open = () => {
    const clock = new FakeClock();
    const settings = readSettings({ CHAT_PER_SECOND: `${perSecond}` });
    const store = new MemoryStore(settings, clock);
    const gateways = ['a', 'b'].map((name) => {
      const { log } = store.open(name);
      const pendingFlush = new PendingFlush({ log, clock, countMs: settings.countMs, waitingMax: 10 });
      const say = async () => {
        const answer = await log.append({
          room,
          by: 'ann' as UserId,
          role: 'viewer',
          once: null,
          rate: null,
          mutable: true,
          change: chat,
        });
        if (answer.outcome === 'kept' && answer.pending) pendingFlush.settleLater(room, sampledChat);
      };
      return { log, pendingFlush, say };
    });
    const undeclared = async () => {
      const entries = await readEntries(gateways[0]?.log ?? assert.fail());
      const last = entries.findLastIndex(({ kind }) => kind === 'gap');
      return entries.slice(last + 1).filter(({ status }) => status === 'sampled-out').length;
    };
    return { clock, store, gateways, undeclared };
  };
  const readEntries = async (log: RoomLog) => {
    const { tail } = await log.read(room, null, 0);
    return (await log.read(room, { epoch: tail.epoch, offset: 0 }, 10_000)).entries;
  };

  it('is declared within two seconds of the last, whichever gateway wrote it and declared before', async () => {
    for (let startMs = 2; startMs < declareMs; startMs += 83) {
      const { clock, gateways, undeclared } = open();
      const [one, two] = gateways;
      assert.ok(one && two);
      for (let n = 0; n <= perSecond; n += 1) await two.say();
      await clock.advanceGently(startMs);
      for (let n = 0; n < perSecond; n += 1) await one.say();
      // The other one declares; the last word comes before the first one's settling, which is too early for it.
      await clock.advanceGently(declareMs - startMs);
      assert.equal(await undeclared(), 0);
      await clock.advanceGently(startMs / 2);
      for (let n = 0; n < 2 * perSecond; n += 1) await one.say();
      assert.ok((await undeclared()) > 0);
      await clock.advanceGently(2 * declareMs, 50);
      assert.equal(await undeclared(), 0, `begun after ${startMs} ms`);
      assert.equal(one.pendingFlush.waiting + two.pendingFlush.waiting, 0);
    }
  });

  it('is declared by the next chat of anybody when the gateway that would have settled it is gone', async () => {
    const { clock, gateways, undeclared } = open();
    const [one, two] = gateways;
    assert.ok(one && two);
    for (let n = 0; n < perSecond + 3; n += 1) await one.say();
    one.pendingFlush.close();
    await clock.advanceGently(60_000, 1000);
    assert.equal(await undeclared(), 3);
    await two.say();
    assert.equal(await undeclared(), 0);
  });
});

describe('the settler', () => {
  const open = (settle: () => Promise<unknown>, waitingMax = 10) => {
    const clock = new FakeClock();
    const log = { settle: async () => Number((await settle()) ?? 0) };
    return { clock, pendingFlush: new PendingFlush({ log, clock, countMs: 1000, waitingMax }) };
  };

  it('comes again when the log says, as long as it says so', async () => {
    const left = [700, 1, 0];
    const { clock, pendingFlush } = open(async () => left.shift());
    pendingFlush.settleLater(room, sampledChat);
    for (const waitMs of [declareMs, 700, 1]) {
      assert.equal(pendingFlush.waiting, 1);
      const before = left.length;
      clock.advance(waitMs - 1);
      assert.equal(left.length, before);
      clock.advance(1);
      assert.equal(left.length, before - 1);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual([pendingFlush.waiting, clock.timers], [0, 0]);
  });

  it('does not ask without end where there is no place to wait', async () => {
    let asked = 0;
    const { pendingFlush } = open(async () => {
      asked += 1;
      return 500;
    }, 0);
    pendingFlush.settleLater(room, sampledChat);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([asked, pendingFlush.waiting], [1, 0]);
  });

  it('tries again while the log is unavailable, more and more slowly, and then leaves it', async () => {
    let tries = 0;
    const { clock, pendingFlush } = open(async () => {
      tries += 1;
      throw new Refusal('log-unavailable', 'x');
    });
    pendingFlush.settleLater(room, 'likes');
    for (let n = 1; n <= 6; n += 1) {
      clock.advance(60_000);
      await waitFor(() => tries === n && pendingFlush.waiting === (n < 6 ? 1 : 0), { what: `try ${n}` });
    }
    clock.advance(600_000);
    assert.equal(tries, 6);
  });

  it('settles at once what it has no place to keep waiting', () => {
    let tried = 0;
    const { pendingFlush } = open(async () => {
      tried += 1;
    }, 1);
    pendingFlush.settleLater(room, 'likes');
    pendingFlush.settleLater(room, 'gifts');
    assert.equal(tried, 1);
    assert.equal(pendingFlush.waiting, 1);
  });

  it('holds no timer once it is closed', () => {
    const { clock, pendingFlush } = open(async () => undefined);
    pendingFlush.settleLater(room, 'likes');
    pendingFlush.close();
    pendingFlush.settleLater(room, 'likes');
    assert.equal(clock.timers, 0);
  });
});
