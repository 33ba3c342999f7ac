/** What viewers and writers see of a Redis that dies, stops or falls silent and has lost nothing: a pause, and no loss. */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { RoomId } from '../../src/model.ts';
import { durable } from '../contract/redis-stage.ts';
import { type RunningGateway, room } from '../rig/gateway.ts';
import { logKey } from '../rig/keys.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { type RedisProxy, startRedisProxy } from '../rig/redis-proxy.ts';
import type { Viewer } from '../rig/viewer.ts';
import { waitFor } from '../rig/wait-for.ts';
import {
  allReach,
  assertNobodyLost,
  deadlineMs,
  historyOf,
  openGateway,
  seatViewers,
  slackMs,
  Writers,
} from './stage.ts';

describe('a Redis that fails and loses nothing', () => {
  let server: RedisServer;
  let proxy: RedisProxy;
  let one: RunningGateway;
  let two: RunningGateway;
  let writers: Writers;
  let viewers: Viewer[];
  before(async () => {
    server = await startRedis(durable);
    proxy = await startRedisProxy(server);
  });
  after(async () => {
    await proxy.close();
    await server.stop();
  });
  beforeEach(async () => {
    await server.flush();
    // Only the first gateway's link leads through the proxy, so that only that one can be broken.
    one = await openGateway(proxy.url, 'one');
    two = await openGateway(server.url, 'two');
    writers = new Writers([one, two]);
    viewers = await seatViewers([one, two]);
  });
  afterEach(async () => {
    proxy.setMode('pass');
    await writers.stop();
    for (const viewer of viewers) viewer.leave();
    await one.close();
    await two.close();
  });

  /** After the fault: everybody has everything, each key is one event, and whoever left before returns exactly. */
  async function assertHealed({ returning = [] }: { returning?: readonly Viewer[] } = {}): Promise<void> {
    await writers.stop();
    const offset = await writers.write(5);
    await allReach(viewers, offset);
    for (const viewer of viewers) assert.equal(viewer.isOpen, true, 'a stream was ended');
    for (const [index, viewer] of returning.entries()) await viewer.come(index % 2 ? one : two);
    await allReach(returning, offset);
    assert.equal(Number(await server.cli('xlen', logKey(room as RoomId))), writers.acknowledged.length);
    assertNobodyLost([...viewers, ...returning], await historyOf(server, writers.acknowledged));
  }

  const refused = (atLeast: number) =>
    waitFor(() => writers.refusals.length >= atLeast, { what: `${atLeast} refusals`, timeoutMs: 10_000 });
  const written = (more: number) => {
    const enough = writers.acknowledged.length + more;
    return waitFor(() => writers.acknowledged.length >= enough, { what: `${more} writes`, timeoutMs: 15_000 });
  };

  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    test(`a restart by ${signal} under load costs nobody anything`, async () => {
      const returning = await seatViewers([one, two]);
      writers.start();
      await written(50);
      for (const viewer of returning) viewer.leave();
      for (let round = 0; round < 2; round += 1) {
        await server.kill(signal);
        await refused(writers.refusals.length + 20);
        await server.restart();
        await written(50);
      }
      await assertHealed({ returning });
    });
  }

  test('who comes while Redis is unavailable is seated when it is back, and has lost nothing', async () => {
    const returning = await seatViewers([one, two]);
    await allReach(returning, await writers.write(20));
    for (const viewer of returning) viewer.leave();
    await server.kill('SIGKILL');
    await waitFor(() => !one.gateway.log.isReady() && !two.gateway.log.isReady(), { what: 'the loss to be noticed' });
    const coming = returning.map((viewer, index) => viewer.come(index % 2 ? one : two));
    await server.restart();
    await Promise.all(coming);
    await allReach(returning, await writers.write(20));
    await assertHealed();
    assertNobodyLost(returning, await historyOf(server, writers.acknowledged));
  });

  test('a half-open link of one gateway: the other goes on, and everything arrives once it is healed', async () => {
    await allReach(viewers, await writers.write(10));
    proxy.setMode('silent');
    const [near, far] = [viewers.slice(0, 3), viewers.slice(3)];
    const before = near.map(({ lastId }) => lastId);
    writers.start();
    await refused(1);
    // The dead link is found, and from then on writes fail at once.
    await waitFor(() => !one.gateway.log.isReady(), { what: 'the dead link to be found', timeoutMs: 6000 });
    await written(200);
    const began = performance.now();
    assert.equal((await one.tryPost('comment', { text: 'not kept' })).json['code'], 'log-unavailable');
    assert.ok(performance.now() - began < slackMs, 'fails at once');
    assert.deepEqual(
      near.map(({ lastId }) => lastId),
      before,
      'streams of the gateway without a link are quiet',
    );
    await writers.stop();
    await allReach(far, await writers.write(5, [two]));
    proxy.setMode('pass');
    await assertHealed();
  });

  test('a stopped Redis: writes fail by the deadline, streams stay open, and all goes on when it does', async () => {
    writers.start();
    await written(50);
    await server.kill('SIGSTOP');
    try {
      await refused(1);
      await waitFor(() => !one.gateway.log.isReady() && !two.gateway.log.isReady(), {
        what: 'the silence to be noticed',
        timeoutMs: 8000,
      });
      const began = performance.now();
      assert.equal((await two.tryPost('comment', { text: 'not kept' })).status, 503);
      assert.ok(performance.now() - began < deadlineMs + slackMs);
      for (const viewer of viewers) assert.equal(viewer.isOpen, true);
    } finally {
      await server.kill('SIGCONT');
    }
    await written(50);
    await assertHealed();
  });

  test('replies that are lost again and again: each key is one event', async () => {
    writers.start();
    for (let lost = 0; lost < 12; lost += 1) {
      const swallowed = proxy.swallowed();
      proxy.setMode('swallow');
      await waitFor(() => proxy.swallowed() > swallowed, { what: 'a reply to be lost', timeoutMs: 10_000 });
      await written(15);
    }
    await assertHealed();
  });

  test('the same key at the same time over both gateways is one event, and another body is refused', async () => {
    const attempts = Array.from({ length: 50 }, (_, n) =>
      (n % 2 ? one : two).tryPost('comment', { text: 'same' }, { key: 'same' }),
    );
    const answers = await Promise.all(attempts);
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]));
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1);
    assert.equal((await two.tryPost('comment', { text: 'other' }, { key: 'same' })).json['code'], 'key-reused');
    writers.acknowledged.push({ id: String(answers[0]?.json['id']), seen: 'all', mark: 'same', part: null });
    await assertHealed();
  });
});
