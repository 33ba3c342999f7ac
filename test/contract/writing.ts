/** The contract of a room's log: repeats of a write, rules on users, rates, and the end of a room. */

import assert from 'node:assert/strict';
import { onceTtlMs, type Rate } from '../../src/log/room-log.ts';
import { count, end, event, freshRoom, type OpenHarness, promise, put, rule, user } from './stage.ts';

const [ann, bob] = [user('ann'), user('bob')];
const once = (key: string, digest = 'd1') => ({ once: { key, digest } });

export function writingContract(open: OpenHarness): void {
  repeatContract(open);
  repeatTraceContract(open);
  ruleContract(open);
  rateContract(open);
  endContract(open);
}

function repeatContract(open: OpenHarness): void {
  promise('a repeat of a write changes nothing and gets the first answer, on another node too', open, async (stage) => {
    const two = await stage.harness.node('two');
    const ear = await stage.follow();
    const first = await stage.keep(event('gift'), once('k'));
    assert.equal(first.repeated, false);
    await stage.keep(event('between'));
    for (const log of [stage.log, two]) {
      assert.deepEqual(await stage.append(event('gift'), once('k'), log), { ...first, repeated: true });
    }
    await stage.keep(event('after'));
    await ear.has(3);
    assert.deepEqual(ear.offsets, [1, 2, 3]);
  });

  promise('of many repeats at the same time one is written', open, async (stage) => {
    const two = await stage.harness.node('two');
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => stage.keep(event('gift'), once('k'), n % 2 ? stage.log : two)),
    );
    assert.equal(answers.filter(({ repeated }) => !repeated).length, 1);
    assert.deepEqual(new Set(answers.map(({ position }) => position.offset)), new Set([1]));
    assert.equal((await stage.tail()).offset, 1);
  });

  promise('a key used again with another body is refused and nothing is written', open, async (stage) => {
    await stage.keep(event('a'), once('k', 'd1'));
    await stage.refuse('key-reused', event('b'), once('k', 'd2'));
    assert.equal((await stage.tail()).offset, 1);
  });

  promise('a key belongs to one user in one room', open, async (stage) => {
    await stage.keep(event('a'), once('k'));
    assert.equal((await stage.keep(event('b'), { ...once('k', 'd2'), by: bob })).repeated, false);
    assert.equal((await stage.keep(event('c'), { ...once('k', 'd3'), room: freshRoom() })).repeated, false);
    assert.equal((await stage.tail()).offset, 2);
  });

  promise('a key is forgotten after its time, and not before', open, async (stage) => {
    await stage.keep(event(), once('k'));
    await stage.harness.tick(onceTtlMs - 1000);
    assert.equal((await stage.keep(event(), once('k'))).repeated, true);
    await stage.harness.tick(2000);
    assert.equal((await stage.keep(event(), once('k', 'd2'))).repeated, false);
  });
}

function repeatTraceContract(open: OpenHarness): void {
  promise('a repeat gets the first answer whatever has happened since', open, async (stage) => {
    const rate: Rate = { name: 'gift', burst: 1, perSecond: 0.001, cost: 1 };
    const first = await stage.keep(event('gift'), { ...once('k'), rate });
    const isTheFirst = async () =>
      assert.deepEqual(await stage.append(event('gift'), { ...once('k'), rate }), { ...first, repeated: true });
    await isTheFirst();
    await stage.keep(rule('ban', ann, 0), { by: bob });
    await isTheFirst();
    await stage.keep(end, { by: bob });
    await isTheFirst();
  });

  promise('a repeated count is counted once and answers the same sum', open, async (stage) => {
    await stage.keep(count(3));
    const first = await stage.keep(count(4), once('k'));
    await stage.keep(count(5));
    const again = await stage.keep(count(4), once('k'));
    assert.deepEqual(again, { ...first, repeated: true });
    assert.deepEqual([first.total, (await stage.keep(count(1))).total], [7, 13]);
  });

  promise('a refused write leaves no trace: no number, no key, no token', open, async (stage) => {
    const rate: Rate = { name: 'put', burst: 1, perSecond: 0.001, cost: 1 };
    const more = { ...once('k'), rate };
    const { version } = await stage.refuse('version-conflict', put('pin', 1, 7), more);
    assert.equal(version, 0);
    await stage.keep(rule('mute', ann, 0), { by: bob });
    await stage.refuse('muted', put('pin', 1), more);
    await stage.keep(rule('mute', ann, null), { by: bob });
    const kept = await stage.keep(put('pin', 1), more);
    assert.deepEqual([kept.repeated, kept.position.offset], [false, 3]);
  });
}

function ruleContract(open: OpenHarness): void {
  promise('a ban refuses every write of that user until it is lifted, and every node is told', open, async (stage) => {
    const ear = await stage.follow();
    await stage.keep(rule('ban', ann, 0), { by: bob });
    await stage.refuse('banned', event());
    await stage.refuse('banned', count(1), { mutable: false });
    await stage.keep(event('bob may'), { by: bob });
    await stage.keep(rule('ban', ann, null), { by: bob });
    await stage.keep(event('ann may again'));
    await ear.has(4);
    const [ban] = ear.entries;
    assert.deepEqual([ban?.kind, ban?.lane, ban?.audience, ban?.body], ['ban', 'must', 'staff:ann', '{"user":"ann"}']);
    assert.deepEqual(
      ear.entries.map(({ kind }) => kind),
      ['ban', 'comment', 'unban', 'comment'],
    );
  });

  promise('whoever is banned is told so at the door and is not put on record', open, async (stage) => {
    await stage.keep(rule('ban', ann, 0), { by: bob });
    assert.equal((await stage.log.enter(stage.room, ann)).banned, true);
    assert.equal((await stage.log.enter(stage.room, bob)).banned, false);
    assert.equal((await stage.log.enter(stage.room, null)).banned, false);
    assert.equal((await stage.keep(event('x', [ann]), { by: bob })).connected, 0);
  });

  promise('a mute refuses the writes that it is meant for and no others', open, async (stage) => {
    await stage.keep(rule('mute', ann, 0), { by: bob });
    await stage.refuse('muted', event());
    await stage.keep(count(1), { mutable: false });
    await stage.keep(event('bob may'), { by: bob });
    assert.equal((await stage.log.enter(stage.room, ann)).banned, false);
    await stage.keep(rule('mute', ann, null), { by: bob });
    await stage.keep(event());
  });

  promise('a rule for some seconds ends by itself', open, async (stage) => {
    await stage.keep(rule('ban', ann, 2), { by: bob });
    await stage.keep(rule('mute', user('cat'), 2), { by: bob });
    await stage.refuse('banned', event());
    await stage.refuse('muted', event(), { by: user('cat') });
    await stage.harness.tick(2001);
    await stage.keep(event());
    await stage.keep(event(), { by: user('cat') });
    assert.equal((await stage.log.enter(stage.room, ann)).banned, false);
  });

  promise('a rule is kept for a room only', open, async (stage) => {
    await stage.keep(rule('ban', ann, 0), { by: bob });
    await stage.keep(event(), { room: freshRoom() });
  });
}

function rateContract(open: OpenHarness): void {
  const slow: Rate = { name: 'comment', burst: 3, perSecond: 0.01, cost: 1 };

  promise('a burst is kept at once, one more is told when to come back', open, async (stage) => {
    for (let n = 0; n < 3; n += 1) await stage.keep(event(), { rate: slow });
    const { retryAfterMs } = await stage.refuse('rate-limited', event(), { rate: slow });
    assert.ok(retryAfterMs > 50_000 && retryAfterMs <= 100_000, `${retryAfterMs} ms`);
    assert.equal((await stage.tail()).offset, 3);
  });

  promise('who comes back when told to is let in', open, async (stage) => {
    const rate: Rate = { name: 'comment', burst: 1, perSecond: 1, cost: 1 };
    await stage.keep(event(), { rate });
    const { retryAfterMs } = await stage.refuse('rate-limited', event(), { rate });
    assert.ok(retryAfterMs > 0 && retryAfterMs <= 1000, `${retryAfterMs} ms`);
    await stage.harness.tick(retryAfterMs);
    await stage.keep(event(), { rate });
  });

  promise('a rate holds per user, per name and per room', open, async (stage) => {
    for (let n = 0; n < 3; n += 1) await stage.keep(event(), { rate: slow });
    await stage.refuse('rate-limited', event(), { rate: slow });
    await stage.keep(event(), { rate: slow, by: bob });
    await stage.keep(event(), { rate: { ...slow, name: 'gift' } });
    await stage.keep(event(), { rate: slow, room: freshRoom() });
    await stage.keep(event(), { rate: null });
  });

  promise('a write takes as many tokens as it costs', open, async (stage) => {
    await stage.keep(event(), { rate: { ...slow, cost: 2 } });
    await stage.refuse('rate-limited', event(), { rate: { ...slow, cost: 2 } });
    await stage.keep(event(), { rate: slow });
    await stage.refuse('rate-limited', event(), { rate: slow });
  });

  promise('of many writes at once as many are kept as there are tokens', open, async (stage) => {
    const two = await stage.harness.node('two');
    const rate: Rate = { ...slow, burst: 7 };
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, n) => stage.append(event(), { rate }, n % 2 ? stage.log : two)),
    );
    assert.equal(answers.filter(({ outcome }) => outcome === 'kept').length, 7);
  });
}

function endContract(open: OpenHarness): void {
  promise(
    "the end is a room's last entry but for moderation, and every other write is refused",
    open,
    async (stage) => {
      const ear = await stage.follow();
      await stage.keep(put('title', 'a'));
      await stage.keep(count(1));
      await stage.keep(count(1));
      const { position } = await stage.keep(end);
      for (const change of [event(), put('title', 'b'), count(1), end]) {
        await stage.refuse('room-ended', change);
      }
      await stage.log.settle(stage.room, 'likes');
      assert.equal((await stage.tail()).offset, position.offset);
      await ear.has(position.offset);
      const last = ear.entries.at(-1);
      assert.deepEqual(
        [last?.offset, last?.kind, last?.lane, last?.audience, last?.body],
        [position.offset, 'end', 'must', 'all', '{"cause":"ended"}'],
      );
    },
  );

  promise(
    'a sum that was pending is state before the end, and every adding to it is in it',
    open,
    async (stage) => {
      const ear = await stage.follow();
      await stage.keep(count(3));
      await stage.keep(count(5, 'gifts'));
      assert.equal((await stage.keep(count(4))).pending, true);
      assert.equal((await stage.keep(count(1, 'hearts'))).pending, false);
      const { position } = await stage.keep(end, { once: { key: 'k', digest: 'd' } });
      await ear.has(5);
      assert.deepEqual(
        ear.entries.slice(3).map(({ offset, kind, body }) => [offset, kind, body]),
        [
          [4, 'state', '{"part":"likes","value":{"total":7}}'],
          [5, 'end', '{"cause":"ended"}'],
        ],
      );
      assert.equal(position.offset, 5);
      const { parts, total } = await stage.log.readState(stage.room);
      assert.deepEqual(
        [total, parts.get('likes'), parts.get('gifts')?.version],
        [4, { version: 4, value: '{"total":7}' }, 2],
      );
      assert.equal((await stage.keep(end, { once: { key: 'k', digest: 'd' } })).repeated, true);
      assert.equal((await stage.tail()).offset, 5);
    },
    { countMs: 60_000 },
  );

  promise('an ended room can still be read, and says so at the door', open, async (stage) => {
    assert.equal((await stage.log.enter(stage.room, bob)).ended, false);
    await stage.keep(put('title', 'a'));
    const { position } = await stage.keep(end);
    assert.equal((await stage.log.enter(stage.room, bob)).ended, true);
    assert.equal((await stage.log.enter(stage.room, null)).ended, true);
    const { entries } = await stage.log.read(stage.room, { ...position, offset: 0 }, 10);
    assert.equal(entries.length, 2);
    assert.equal((await stage.log.readState(stage.room)).parts.get('title')?.value, '"a"');
  });
}
