/** What a lost reply, a silent link, a stopped server, a restart and a lost disk do to the log on Redis. */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { judge } from '../../src/log/position.ts';
import type { UserId } from '../../src/model.ts';
import { logKey, metaKey } from '../rig/keys.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { type RedisProxy, startRedisProxy } from '../rig/redis-proxy.ts';
import { waitFor } from '../rig/wait-for.ts';
import {
  closeAll,
  comment,
  deadlineMs,
  durable,
  heal,
  kept,
  newRoom,
  once,
  open,
  refusedCode,
  writeOf,
} from './redis-stage.ts';
import { Ear } from './stage.ts';

describe('the link to Redis', () => {
  let server: RedisServer;
  let proxy: RedisProxy;
  before(async () => {
    server = await startRedis();
    proxy = await startRedisProxy(server);
  });
  after(async () => {
    await proxy.close();
    await server.stop();
  });
  afterEach(async () => {
    proxy.setMode('pass');
    await closeAll();
  });

  for (const [name, key] of [
    ['a key of its own', once('gift-1')],
    ['no key', {}],
  ] as const) {
    test(`a write with ${name} whose reply was lost is sent again and is in the log once`, async () => {
      const log = await open(proxy.url);
      const room = newRoom();
      await kept(log.append(writeOf(room)));
      const lost = proxy.swallowed();
      proxy.setMode('swallow');
      const answer = await kept(log.append(writeOf(room, comment(), key)));
      assert.equal(proxy.swallowed(), lost + 1);
      assert.equal(answer.position.offset, 2);
      assert.equal(answer.repeated, true);
      assert.equal(await server.cli('xlen', logKey(room)), '2');
    });
  }

  test('many writes under way when the connection breaks are all kept once', async () => {
    const log = await open(proxy.url);
    const room = newRoom();
    await kept(log.append(writeOf(room)));
    proxy.setMode('swallow');
    const answers = await Promise.all(Array.from({ length: 200 }, () => kept(log.append(writeOf(room)))));
    const offsets = new Set(answers.map((answer) => answer.position.offset));
    assert.equal(offsets.size, 200);
    assert.equal(await server.cli('xlen', logKey(room)), '201');
  });

  test('a half-open link ends writes by the deadline, is found dead, and resumes its followers once healed', async () => {
    const log = await open(proxy.url);
    const room = newRoom();
    const listener = new Ear();
    await log.follow(room, listener);
    await kept(log.append(writeOf(room)));
    proxy.setMode('silent');
    const began = performance.now();
    assert.equal(await refusedCode(log.append(writeOf(room))), 'outcome-unknown');
    assert(performance.now() - began < deadlineMs + 300);
    assert.equal(await refusedCode(log.read(room, null, 1)), 'log-unavailable');
    await waitFor(() => !log.isReady(), { what: 'the dead link to be found', timeoutMs: 5000 });
    const refused = performance.now();
    assert.equal(await refusedCode(log.append(writeOf(room))), 'log-unavailable');
    assert(performance.now() - refused < 100, 'fails fast');
    assert.equal(await refusedCode(log.follow(newRoom(), new Ear())), 'log-unavailable');
    proxy.setMode('pass');
    await waitFor(() => listener.resumes === 1, { what: 'the follower to be told', timeoutMs: 10_000 });
    const answer = await heal(log, room);
    await waitFor(() => answer.outcome === 'kept' && listener.offsets.includes(answer.position.offset), {
      what: 'the live path',
    });
  });

  test('of a crowd at the door of a silent link everyone is refused by the deadline, and let in afterwards', async () => {
    const log = await open(proxy.url);
    const room = newRoom();
    await log.enter(room, null);
    proxy.setMode('silent');
    const users = Array.from({ length: 1200 }, (_, n) => `user-${n}` as UserId);
    const began = performance.now();
    const codes = await Promise.all(users.map((user) => refusedCode(log.enter(room, user))));
    assert.deepEqual(new Set(codes), new Set(['log-unavailable']));
    assert(performance.now() - began < deadlineMs + 300);
    proxy.setMode('pass');
    await waitFor(() => log.enter(room, null).catch(() => null), { what: 'the link', timeoutMs: 10_000 });
    await Promise.all(users.map((user) => log.enter(room, user)));
  });

  test('a link that fell silent is found dead while nobody uses it, and can be closed', async () => {
    const log = await open(proxy.url);
    const listener = new Ear();
    await log.follow(newRoom(), listener);
    proxy.setMode('silent');
    await waitFor(() => !log.isReady(), { what: 'the dead link to be found', timeoutMs: 5000 });
    proxy.setMode('pass');
    await waitFor(() => log.isReady() && listener.resumes === 1, { what: 'both links', timeoutMs: 10_000 });
    proxy.setMode('silent');
    const began = performance.now();
    await log.close();
    assert(performance.now() - began < 1000);
  });

  test('whatever is written after a resumption is heard', async () => {
    const log = await open(proxy.url);
    const direct = await open(server.url, 'node-2');
    const room = newRoom();
    const listener = new Ear();
    await log.follow(room, listener);
    for (let round = 1; round <= 10; round++) {
      proxy.cut();
      await waitFor(() => listener.resumes === round, { what: `resumption ${round}` });
      const { position } = await kept(direct.append(writeOf(room)));
      await waitFor(() => listener.offsets.includes(position.offset), { what: 'the next message' });
    }
  });

  test('a stopped Redis ends writes by the deadline, and each of them is in the log at most once', async () => {
    const log = await open(server.url);
    const room = newRoom();
    await kept(log.append(writeOf(room)));
    await server.kill('SIGSTOP');
    try {
      assert.equal(await refusedCode(log.append(writeOf(room, comment(), once('k')))), 'outcome-unknown');
      await waitFor(() => !log.isReady(), { what: 'the stopped server to be noticed', timeoutMs: 5000 });
    } finally {
      await server.kill('SIGCONT');
    }
    await heal(log, room);
    await kept(log.append(writeOf(room, comment(), once('k'))));
    const { entries, tail } = await log.read(room, { epoch: (await log.renew(room)).tail.epoch, offset: 0 }, 100);
    assert.deepEqual(
      entries.map((entry) => entry.offset),
      Array.from({ length: tail.offset }, (_, i) => i + 1),
    );
    assert.equal(tail.offset, 3, 'one before, one to heal, and the stopped one');
  });
});

describe('a Redis that goes and comes back', () => {
  let server: RedisServer;
  before(async () => {
    server = await startRedis(durable);
  });
  after(() => server.stop());
  afterEach(closeAll);

  test('without Redis calls are refused at once, and a log can be opened', async () => {
    const log = await open(server.url);
    const room = newRoom();
    await kept(log.append(writeOf(room)));
    await server.kill('SIGKILL');
    await waitFor(() => !log.isReady(), { what: 'the loss to be noticed' });
    const began = performance.now();
    assert.equal(await refusedCode(log.append(writeOf(room))), 'log-unavailable');
    assert(performance.now() - began < 100);
    const late = await open(server.url, 'node-2');
    assert.equal(late.isReady(), false);
    await server.restart();
    await heal(late, room);
    await heal(log, room);
  });

  test('a restart that keeps everything costs nobody anything: old ids are exact in a new epoch', async () => {
    const log = await open(server.url);
    const room = newRoom();
    const first = (await kept(log.append(writeOf(room)))).position;
    const last = (await kept(log.append(writeOf(room, comment('{"n":2}'), once('k'))))).position;
    await server.kill('SIGKILL');
    await server.restart();
    await waitFor(() => log.isReady(), { what: 'the log', timeoutMs: 10_000 });
    const { tail, entries } = await log.read(room, first, 10);
    assert.notEqual(tail.epoch, first.epoch);
    assert.deepEqual(tail.lineage, [{ epoch: first.epoch, last: 2 }]);
    assert.equal(judge(first, tail).verdict, 'exact');
    assert.equal(judge(last, tail).verdict, 'exact');
    assert.deepEqual(
      entries.map((entry) => entry.body),
      ['{"n":2}'],
    );
    const again = await kept(log.append(writeOf(room, comment('{"n":2}'), once('k'))));
    assert.deepEqual([again.repeated, again.position], [true, last]);
    assert.equal((await kept(log.append(writeOf(room)))).position.offset, 3);
  });

  test('an older copy of the data is a declared loss for those who saw more, and exact for the others', async () => {
    const log = await open(server.url);
    const room = newRoom();
    const safe = (await kept(log.append(writeOf(room)))).position;
    await server.copyData();
    const lost = (await kept(log.append(writeOf(room)))).position;
    await server.kill('SIGKILL');
    await server.restoreData();
    await server.restart();
    await waitFor(() => log.isReady(), { what: 'the log', timeoutMs: 10_000 });
    const next = (await kept(log.append(writeOf(room)))).position;
    assert.equal(next.offset, lost.offset, 'the number is handed out again');
    assert.notEqual(next.epoch, lost.epoch);
    const { tail, entries } = await log.read(room, lost, 10);
    assert.deepEqual(judge(lost, tail), {
      verdict: 'gap',
      to: { epoch: tail.epoch, offset: 1 },
      missed: null,
      cause: 'failover',
    });
    assert.deepEqual(
      entries.map((entry) => entry.offset),
      [2],
    );
    assert.equal(judge(safe, tail).verdict, 'exact');
  });

  test('a room remembers sixteen epochs, and no more', async () => {
    const log = await open(server.url);
    const room = newRoom();
    const { position } = await kept(log.append(writeOf(room)));
    for (let i = 0; i < 20; i++) {
      // As if the last entry had been numbered in another data set.
      await server.cli('hset', metaKey(room), 'history', `other-${i}`);
      await kept(log.append(writeOf(room)));
    }
    const { tail } = await log.renew(room);
    assert.equal(tail.lineage.length, 16);
    assert.deepEqual(
      tail.lineage.map((ancestor) => ancestor.last),
      Array.from({ length: 16 }, (_, i) => i + 5),
    );
    assert.equal(judge(position, tail).verdict, 'reset');
  });
});
