/** The contract on a real Redis, and what only Redis has: several nodes, keys, memory, functions. */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import type { Refusal } from '../../src/errors.ts';
import { judge } from '../../src/log/position.ts';
import { leaseMs } from '../../src/log/presence.ts';
import { type Change, declareMs, sampledChat } from '../../src/log/room-log.ts';
import type { UserId } from '../../src/model.ts';
import { logKey, metaKey, nodeChannel, nodesKey, roomChannel, whereKey } from '../rig/keys.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { waitFor } from '../rig/wait-for.ts';
import {
  age,
  anna,
  ben,
  closeAll,
  comment,
  durable,
  harnessOn,
  kept,
  newRoom,
  open,
  refusedCode,
  writeOf,
} from './redis-stage.ts';
import { roomLogContract } from './room-log.contract.ts';
import { Ear } from './stage.ts';

describe('redis-log', () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedis(durable);
  });
  after(() => server.stop());

  roomLogContract('redis-log', async (settings) => harnessOn(server, server.url, settings));
});

describe('the log on one Redis', () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());
  afterEach(closeAll);

  test('two nodes that write at the same time share one row of numbers without holes', async () => {
    const [one, two] = [await open(server.url, 'node-1'), await open(server.url, 'node-2')];
    const room = newRoom();
    const listener = new Ear();
    await one.follow(room, listener);
    const writes = Array.from({ length: 500 }, () => [one.append(writeOf(room)), two.append(writeOf(room))]).flat();
    const offsets = (await Promise.all(writes)).map((answer) => answer.outcome === 'kept' && answer.position.offset);
    const expected = Array.from({ length: 1000 }, (_, i) => i + 1);
    assert.deepEqual(
      offsets.toSorted((a, b) => Number(a) - Number(b)),
      expected,
    );
    await waitFor(() => listener.heardEntries.length === 1000, { what: 'all messages' });
    assert.deepEqual(listener.offsets, expected);
    const { entries } = await two.read(room, { epoch: (await two.renew(room)).tail.epoch, offset: 0 }, 2000);
    assert.deepEqual(
      entries.map((entry) => entry.offset),
      expected,
    );
  });

  test('a peer entry is published only to the nodes that hold a target', async () => {
    const [one, two] = [await open(server.url, 'node-1'), await open(server.url, 'node-2')];
    const room = newRoom();
    const [near, far] = [new Ear(), new Ear()];
    await one.follow(room, near);
    await two.follow(room, far);
    await two.enter(room, ben);
    const peer: Change = { type: 'event', kind: 'signal', lane: 'must', audience: [ben, anna], body: '{"sdp":1}' };
    assert.equal((await kept(one.append(writeOf(room, peer)))).connected, 1);
    await kept(one.append(writeOf(room)));
    await waitFor(() => near.heardEntries.length === 1 && far.heardEntries.length === 2, { what: 'both to hear' });
    assert.deepEqual(near.offsets, [2]);
    assert.deepEqual(far.offsets, [1, 2]);
    // Whoever did not hear the peer entry has still missed nothing.
    assert.deepEqual(
      far.heardEntries.map((message) => message.previous),
      [0, 0],
    );
    const grant = { role: 'viewer' as const, tags: [], expiresAtMs: 1_900_000_000_000 };
    await one.prolong(room, ben, grant);
    await waitFor(() => far.prolongs.length === 1, { what: 'the node that holds the user to hear' });
    assert.deepEqual(far.prolongs, [{ type: 'prolong', user: ben, grant }]);
    assert.deepEqual(near.prolongs, []);
    await two.leave(room, ben);
    assert.equal((await kept(one.append(writeOf(room, peer)))).connected, 0);
  });

  test('a crowd that comes costs few calls, and so does one that goes and comes back', async () => {
    const log = await open(server.url);
    const room = newRoom();
    const fcalls = async () => Number(/cmdstat_fcall:calls=(\d+)/.exec(await server.cli('info', 'commandstats'))?.[1]);
    const users = Array.from({ length: 2000 }, (_, n) => `user-${n}` as UserId);
    const before = await fcalls();
    await Promise.all(users.map((user) => log.enter(room, user)));
    const entered = (await fcalls()) - before;
    assert(entered <= 5, `${entered} calls`);
    await Promise.all(users.flatMap((user) => [log.leave(room, user), log.enter(room, user), log.enter(room, null)]));
    const moved = (await fcalls()) - before - entered;
    assert(moved <= 13, `${moved} calls`);
    // Beside the users, the field that shows that it is whole.
    assert.equal(await server.cli('hlen', whereKey(room)), '2001');
  });

  test('a follower that missed a message sees it by the previous offset of the next', async () => {
    const log = await open(server.url);
    const room = newRoom();
    await kept(log.append(writeOf(room)));
    const listener = new Ear();
    await log.follow(room, listener);
    await kept(log.append(writeOf(room)));
    await waitFor(() => listener.heardEntries.length === 1, { what: 'the first message' });
    await log.unfollow(room);
    await kept(log.append(writeOf(room)));
    const later = new Ear();
    await log.follow(room, later);
    await kept(log.append(writeOf(room)));
    await waitFor(() => later.heardEntries.length === 1, { what: 'the later message' });
    assert.deepEqual(listener.offsets, [2]);
    assert.deepEqual([later.offsets, later.heardEntries[0]?.previous], [[4], 3]);
  });

  test('keys of another type are a refusal, and leave no trace', async () => {
    const log = await open(server.url);
    const room = newRoom();
    await server.cli('set', logKey(room), 'poison');
    await server.cli('hset', metaKey(room), 'epoch', 'abc', 'run', 'other', 'offset', '7');
    assert.equal(await refusedCode(log.append(writeOf(room))), 'log-unavailable');
    assert.equal(await refusedCode(log.read(room, null, 10)), 'log-unavailable');
    assert.equal(await server.cli('hget', metaKey(room), 'offset'), '7');
    await server.cli('set', metaKey(room), 'poison');
    assert.equal(await refusedCode(log.append(writeOf(room))), 'log-unavailable');
    await server.cli('del', metaKey(room));
    assert.equal((await kept(log.append(writeOf(room)))).position.offset, 1);
  });

  test('a clock that was set back holds up chat for a second at most, and no declaration', async () => {
    const log = await open(server.url, 'node-1', { chatPerSecond: 1 });
    const room = newRoom();
    await kept(log.append(writeOf(room)));
    const [seconds] = (await server.cli('time')).split('\n');
    const hourAhead = Number(seconds) * 1000 + 3_600_000;
    await server.cli('hset', metaKey(room), 'chat', `${hourAhead}000 ${hourAhead} 3 abc.0`);
    assert.equal(await log.settle(room, sampledChat), 0);
    const { position, pending } = await kept(log.append(writeOf(room)));
    assert.deepEqual([position.offset, pending], [3, true]);
    await age(server, declareMs);
    const later = await kept(log.append(writeOf(room)));
    assert.deepEqual([later.position.offset, later.pending], [5, false]);
  });

  test('what nobody can have written about chat is left aside, and the room goes on', async () => {
    const log = await open(server.url, 'node-1', { chatPerSecond: 1 });
    const room = newRoom();
    for (const text of ['poison', '1 2', '']) {
      await kept(log.append(writeOf(room)));
      await server.cli('hset', metaKey(room), 'chat', text);
      assert.equal(await log.settle(room, sampledChat), 0);
      await kept(log.append(writeOf(room)));
    }
  });

  test('FLUSHALL makes every old id a reset, and the directory asks to be filled again', async () => {
    const log = await open(server.url);
    const room = newRoom();
    const { position } = await kept(log.append(writeOf(room)));
    await log.enter(room, anna);
    assert.equal((await log.renew(room)).lapsed, false);
    await server.flush();
    await kept(log.append(writeOf(room)));
    const { tail, lapsed } = await log.renew(room);
    assert.equal(judge(position, tail).verdict, 'reset');
    assert.equal(lapsed, true);
  });

  test('users of a killed node are taken out a bounded number at a time, by one node at a time', async () => {
    const [one, two] = [await open(server.url, 'node-1'), await open(server.url, 'node-2')];
    const other = await open(server.url, 'node-3');
    const room = newRoom();
    const crowd = Array.from({ length: 2_500 }, (_, n) => `user-${n}` as UserId);
    await Promise.all(crowd.map((each) => two.enter(room, each)));
    await two.renew(room, crowd.length);
    await one.enter(room, anna);
    await age(server, leaseMs - 2_000);
    await one.renew(room, 1);
    await age(server, 3_000);
    let steps = 0;
    for (let users = Infinity; users > 1; steps += 1) {
      assert.ok(steps < 30, `${users} users after ${steps} steps`);
      const answer = await one.renew(room, 1);
      assert.ok(answer.sum.users <= users);
      users = answer.sum.users;
      assert.equal(answer.againMs > 0, users > 1);
      assert.equal((await other.renew(room, 0)).againMs, 0, 'the first goes on alone');
      await age(server, 50);
    }
    assert.ok(steps >= 3, `${steps} steps for ${crowd.length} users`);
    assert.deepEqual(
      await server.cli('hkeys', nodesKey(room)).then((text) => text.split('\n').filter(Boolean).sort()),
      ['node-1', 'node-3'],
    );
  });

  test('one part that is set again and again fills no more memory than a room may have, also where entries were deleted', async () => {
    const logBytesMax = 256 * 1024;
    const log = await open(server.url, 'node-1', { logBytesMax });
    const room = newRoom();
    const value = JSON.stringify('x'.repeat(16_000));
    const put: Change = { type: 'put', part: 'x', value, ifVersion: null };
    const write = async (times: number) => {
      for (let n = 0; n < times; n += 1) await kept(log.append(writeOf(room, put)));
      const { offset, first } = (await log.renew(room)).tail;
      const bytes = Number(await server.cli('memory', 'usage', logKey(room), 'samples', '0'));
      assert(bytes < logBytesMax * 1.4, `${bytes} bytes`);
      return offset - first + 1;
    };
    // 16 fit; when one too many is there, one or two go.
    assert([15, 16].includes(await write(100)));
    const { offset } = (await log.renew(room)).tail;
    await server.cli('xdel', logKey(room), ...[12, 11, 5, 4, 0].map((back) => `${offset - back}-0`));
    await write(20);
    assert([15, 16].includes(await write(20)));
    await server.cli('del', logKey(room));
    assert.equal(await write(3), 3);
    assert([15, 16].includes(await write(20)));
  });

  test('functions that Redis forgot are loaded again within the call', async () => {
    const log = await open(server.url);
    const room = newRoom();
    await kept(log.append(writeOf(room)));
    await server.cli('function', 'flush');
    assert.equal((await kept(log.append(writeOf(room)))).position.offset, 2);
  });

  test('a room that was only looked at is forgotten soon, one that was written to is not', async () => {
    const log = await open(server.url);
    const [looked, written] = [newRoom(), newRoom()];
    await log.enter(looked, null);
    await kept(log.append(writeOf(written)));
    assert(Number(await server.cli('ttl', metaKey(looked))) <= 120);
    for (const key of [metaKey(written), logKey(written)]) assert(Number(await server.cli('ttl', key)) >= 604_800);
    await kept(log.append(writeOf(written, { type: 'count', counter: 'likes', by: 1 })));
    await kept(
      log.append(writeOf(written, { type: 'rule', kind: 'mute', rule: 'mute', user: ben, seconds: 5, body: '{}' })),
    );
    const keys = (await server.cli('keys', `rs:{${written}}:*`)).split('\n');
    assert(keys.length >= 6, keys.join());
    for (const key of keys) assert(Number(await server.cli('pttl', key)) > 0, `${key} expires`);
  });
});

test('a Redis without memory refuses writes and still serves reads', async () => {
  const server = await startRedis({ lines: ['maxmemory 4mb', 'maxmemory-policy noeviction'] });
  try {
    const log = await open(server.url);
    const room = newRoom();
    const large = comment(JSON.stringify({ text: 'x'.repeat(16_000) }));
    let code = '';
    for (let i = 0; i < 1000 && code === ''; i++) {
      code = await log.append(writeOf(room, large)).then(
        () => '',
        (error: Refusal) => error.code,
      );
    }
    assert.equal(code, 'log-unavailable');
    assert((await log.read(room, null, 1)).tail.offset > 0);
  } finally {
    await closeAll();
    await server.stop();
  }
});

test('nodes that subscribe are the only ones that hear: no channel is left behind', async () => {
  const server = await startRedis();
  try {
    const log = await open(server.url);
    const room = newRoom();
    await log.follow(room, new Ear());
    const channels = (await server.cli('pubsub', 'shardchannels')).split('\n').toSorted();
    assert.deepEqual(channels, [roomChannel(room), nodeChannel(room, 'node-1')]);
    const left = log.unfollow(room);
    const back = log.follow(room, new Ear());
    await Promise.all([left, back]);
    assert.equal((await server.cli('pubsub', 'shardchannels')).split('\n').length, 2);
    await log.unfollow(room);
    assert.equal(await server.cli('pubsub', 'shardchannels'), '');
  } finally {
    await closeAll();
    await server.stop();
  }
});
