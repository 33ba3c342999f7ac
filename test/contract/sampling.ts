/** The contract of a room's log: chat above `CHAT_PER_SECOND`, and how it is declared. */

import assert from 'node:assert/strict';
import { declareMs, sampledChat } from '../../src/log/room-log.ts';
import { flood, judgeEntries, marksOf, readAll, times } from './judge-sampling.ts';
import { count, end, event, markOf, type OpenHarness, promise, put, rule, user } from './stage.ts';

export function samplingContract(open: OpenHarness): void {
  rateContract(open);
  exemptContract(open);
  gapContract(open);
  settleContract(open);
  survivalContract(open);
}

const perSecond = 10;
const limited = { chatPerSecond: perSecond };

function rateContract(open: OpenHarness): void {
  promise(
    'chat within the rate is all for everyone, a second of it at once too',
    open,
    async (stage) => {
      for (let second = 0; second < 5; second += 1) {
        const answers = await flood(stage, perSecond);
        assert.ok(answers.every(({ pending }) => !pending));
        await stage.harness.tick(1000);
      }
      assert.equal(await stage.log.settle(stage.room, sampledChat), 0);
      assert.equal(marksOf(await readAll(stage)), times('chat', 5 * perSecond));
    },
    limited,
  );

  promise(
    'of chat beyond the rate as much is kept for everyone as the rate says, whoever writes; the rest is sampled out',
    open,
    async (stage) => {
      const logs = [stage.log, await stage.harness.node('two')];
      for (let step = 0; step < 20; step += 1) {
        const answers = await flood(stage, 8, logs);
        assert.ok(answers.every(({ repeated }) => !repeated));
        await stage.harness.tick(250);
      }
      const entries = await readAll(stage);
      const { kept, sampledOut, gaps } = judgeEntries(entries, perSecond);
      assert.equal(kept + sampledOut, 160);
      assert.equal(entries.length, 160 + gaps);
      const seconds = ((entries.at(-1)?.at ?? 0) - (entries[0]?.at ?? 0)) / 1000;
      assert.ok(seconds >= 4.75, `${seconds} s`);
      assert.ok(Math.abs(kept - perSecond * (1 + seconds)) <= 2, `${kept} kept in ${seconds} s`);
    },
    limited,
  );

  promise(
    'every reader and every node that hears is told the same lanes and statuses',
    open,
    async (stage) => {
      const two = await stage.harness.node('two');
      const ears = [await stage.follow(), await stage.follow(two)];
      await flood(stage, 15, [stage.log, two]);
      await stage.keep(event('for staff', 'staff'));
      await stage.harness.tick(declareMs);
      await flood(stage, 5, [stage.log, two]);
      const entries = await readAll(stage);
      assert.equal(marksOf(entries), `${times('chat', 10)} ${times('sampled-out', 6)} gap ${times('chat', 5)}`);
      const marks = entries.map((entry) => [entry.offset, markOf(entry)]);
      for (const ear of ears) {
        await ear.has(entries.length);
        assert.deepEqual(
          ear.entries.map((entry) => [entry.offset, markOf(entry)]),
          marks,
        );
        assert.ok(ear.heardEntries.every(({ entry, previous }) => previous === entry.offset - 1));
      }
      assert.deepEqual(await readAll(stage, two), entries);
      assert.equal(entries[15]?.audience, 'staff');
    },
    limited,
  );
}

function exemptContract(open: OpenHarness): void {
  promise(
    'where the rate is 0 nothing is ever sampled out',
    open,
    async (stage) => {
      await flood(stage, 300);
      assert.equal(marksOf(await readAll(stage)), times('chat', 300));
    },
    { chatPerSecond: 0 },
  );

  promise(
    'peer entries and the other lane are never sampled out, and take nothing from the rate',
    open,
    async (stage) => {
      const chat = event();
      assert.ok(chat.type === 'event');
      for (let n = 0; n < 20; n += 1) {
        await stage.keep(event('to bob', [user('bob')]));
        for (let more = 0; more < 3; more += 1) await stage.keep({ ...chat, lane: 'must' });
        await stage.keep(put('title', n));
        await stage.keep(count(1));
      }
      await flood(stage, perSecond);
      const entries = await readAll(stage);
      assert.ok(entries.length >= 110 && entries.every(({ status, kind }) => status === undefined && kind !== 'gap'));
    },
    limited,
  );

  promise(
    'a refused write takes nothing from the rate, and a repeat neither',
    open,
    async (stage) => {
      const once = { once: { key: 'k', digest: 'd' } };
      await stage.keep(rule('ban', user('cat'), 0));
      const first = await stage.keep(event(), once);
      for (let n = 0; n < perSecond; n += 1) {
        await stage.refuse('banned', event(), { by: user('cat') });
        assert.equal((await stage.keep(event(), once)).repeated, true);
      }
      await flood(stage, perSecond - 1);
      const beyond = await stage.keep(event(), { once: { key: 'beyond', digest: 'd' } });
      assert.deepEqual([first.pending, beyond.pending], [false, true]);
      const again = await stage.keep(event(), { once: { key: 'beyond', digest: 'd' } });
      assert.deepEqual(again, { ...beyond, repeated: true });
      assert.equal(marksOf(await readAll(stage)), `must ${times('chat', perSecond)} sampled-out`);
    },
    limited,
  );
}

function gapContract(open: OpenHarness): void {
  promise(
    'a gap entry declares exactly the sampled-out entries since the last one, and there is at most one a second',
    open,
    async (stage) => {
      const logs = [stage.log, await stage.harness.node('two')];
      for (let step = 0; step < 24; step += 1) {
        // Many more than the rate, so that a slow machine samples too.
        await flood(stage, 4 * perSecond, logs);
        if (step % 3 === 0) await stage.keep(put('title', step));
        await stage.harness.tick(300);
      }
      const { sampledOut, gaps } = judgeEntries(await readAll(stage), perSecond);
      assert.ok(sampledOut > 60 && gaps >= 5, `${sampledOut} sampled out, ${gaps} gaps`);
    },
    limited,
  );

  promise(
    'a second after the first sampled-out entry, the next chat is preceded by the declaration in the same step',
    open,
    async (stage) => {
      await flood(stage, perSecond + 3);
      await stage.harness.tick(declareMs);
      const { position, pending } = await stage.keep(event('after'));
      assert.deepEqual([position.offset, pending], [perSecond + 5, false]);
      const entries = await readAll(stage);
      assert.equal(marksOf(entries), `${times('chat', perSecond)} ${times('sampled-out', 3)} gap chat`);
      assert.deepEqual(JSON.parse(entries[perSecond + 3]?.body ?? ''), {
        from: `${position.epoch}.${perSecond}`,
        missed: 3,
        lane: 'chat',
        cause: 'sampled',
      });
    },
    limited,
  );

  promise(
    'the end of a room is preceded by the declaration of what is undeclared, due or not',
    open,
    async (stage) => {
      await flood(stage, perSecond + 4);
      await stage.keep(count(1));
      await stage.keep(end);
      const entries = await readAll(stage);
      assert.equal(marksOf(entries.slice(-3)), 'must gap must');
      assert.equal(entries.at(-1)?.kind, 'end');
      const { undeclared, gaps } = judgeEntries(entries, perSecond);
      assert.deepEqual([undeclared, gaps], [0, 1]);
      await stage.harness.tick(declareMs);
      assert.equal(await stage.log.settle(stage.room, sampledChat), 0);
      assert.equal((await stage.tail()).offset, entries.length);
    },
    limited,
  );
}

function settleContract(open: OpenHarness): void {
  promise(
    'settling declares the tail of a flood once that is due, and until then says how long to wait',
    open,
    async (stage) => {
      const two = await stage.harness.node('two');
      const answers = await flood(stage, perSecond + 6);
      assert.deepEqual(
        answers.map(({ pending }) => pending),
        Array.from({ length: perSecond + 6 }, (_, n) => n >= perSecond),
      );
      const waitMs = await stage.log.settle(stage.room, sampledChat);
      assert.ok(waitMs > 0 && waitMs <= declareMs, `${waitMs} ms`);
      assert.equal((await stage.tail()).offset, perSecond + 6);
      await stage.harness.tick(waitMs);
      const left = await Promise.all([stage.log, two, stage.log].map((log) => log.settle(stage.room, sampledChat)));
      assert.deepEqual(left, [0, 0, 0]);
      const entries = await readAll(stage);
      assert.equal(entries.length, perSecond + 7);
      assert.deepEqual(judgeEntries(entries, perSecond), { kept: perSecond, sampledOut: 6, gaps: 1, undeclared: 0 });
    },
    limited,
  );

  promise(
    'what is sampled within a second after a declaration is declared when that second is over',
    open,
    async (stage) => {
      await flood(stage, perSecond + 1);
      await stage.harness.tick(declareMs);
      await stage.log.settle(stage.room, sampledChat);
      await stage.harness.tick(0.3 * declareMs);
      await flood(stage, perSecond * 2);
      await stage.harness.tick(0.3 * declareMs);
      assert.ok((await stage.log.settle(stage.room, sampledChat)) > 0);
      await stage.harness.tick(0.4 * declareMs);
      assert.equal(await stage.log.settle(stage.room, sampledChat), 0);
      const { gaps, undeclared } = judgeEntries(await readAll(stage), perSecond);
      assert.deepEqual([gaps, undeclared], [2, 0]);
    },
    limited,
  );

  promise(
    'settling chat is harmless where nothing was sampled, and does not touch counters',
    open,
    async (stage) => {
      assert.equal(await stage.log.settle(stage.room, sampledChat), 0);
      await stage.keep(count(1));
      assert.equal((await stage.keep(count(1))).pending, true);
      await flood(stage, perSecond);
      assert.equal(await stage.log.settle(stage.room, sampledChat), 0);
      assert.equal((await stage.tail()).offset, perSecond + 1);
      assert.equal(await stage.log.settle(stage.room, 'likes'), 0);
      assert.equal((await stage.tail()).offset, perSecond + 2);
    },
    { ...limited, countMs: 60_000 },
  );
}

function survivalContract(open: OpenHarness): void {
  promise(
    'a store that came back still knows what is undeclared, and how much of the rate is taken',
    open,
    async (stage) => {
      await flood(stage, perSecond + 5);
      await stage.harness.restart();
      await stage.back();
      await flood(stage, 2);
      await stage.harness.tick(declareMs);
      await stage.keep(event('after'));
      const entries = await readAll(stage);
      const { sampledOut, gaps, undeclared, kept } = judgeEntries(entries, perSecond);
      assert.equal(new Set(entries.map(({ epoch }) => epoch)).size, 2);
      assert.ok(gaps > 0 && undeclared === 0 && sampledOut >= 5, `${sampledOut} sampled out, ${gaps} gaps`);
      assert.equal(kept + sampledOut, perSecond + 8);
    },
    limited,
  );

  promise(
    'a room that comes back empty begins with its whole rate and nothing to declare',
    open,
    async (stage) => {
      await flood(stage, perSecond + 5);
      await stage.harness.forget();
      await stage.back();
      await stage.harness.tick(declareMs);
      await flood(stage, perSecond);
      assert.equal(marksOf(await readAll(stage)), times('chat', perSecond));
    },
    limited,
  );
}
