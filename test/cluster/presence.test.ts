import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { leaseMs } from '../../src/log/presence.ts';
import type { RoomId } from '../../src/model.ts';
import { graceMs } from '../../src/room/viewer-count.ts';
import { age } from '../contract/redis-stage.ts';
import { type RunningGateway, startGateway, startGatewayProcess, tokenOf } from '../rig/gateway.ts';
import { audienceKey, nodesKey, whereKey } from '../rig/keys.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { type StreamReader, watch } from '../rig/stream-reader.ts';
import { secret } from '../rig/tokens.ts';
import { waitFor } from '../rig/wait-for.ts';

const viewerCountMs = 100;
const environment = { VIEWER_COUNT_MS: String(viewerCountMs), RENEW_MS: '200' };
const room = 'full-house' as RoomId;
/** Within this a killed node is no longer counted. */
const ghostsGoneMs = 30_000;

let redis: RedisServer;
const closers: (() => unknown)[] = [];
const gateways = new Map<string, RunningGateway>();

before(async () => {
  redis = await startRedis();
});
after(() => redis?.stop());
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await redis.flush();
});

async function start(nodeId: string): Promise<RunningGateway> {
  const gateway = await startGateway({ redisUrl: redis.url, environment: { NODE_ID: nodeId, ...environment } });
  gateways.set(nodeId, gateway);
  closers.push(() => gateway.close());
  return gateway;
}

async function seat(url: string, sub: string): Promise<StreamReader> {
  const reader = await watch(url, { room, token: tokenOf(sub, 'viewer', { rooms: { '*': 'viewer' } }) });
  closers.push(() => reader.close());
  return reader;
}
const seatMany = (url: string, from: number, count: number): Promise<StreamReader[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => seat(url, `user-${from + n}`)));

const knows = (reader: StreamReader, viewers: number, users: number): Promise<unknown> =>
  reader.until(
    () => reader.audience === `${viewers} viewers, ${users} users`,
    `${viewers} viewers, ${users} users; told ${JSON.stringify(reader.audiences)}`,
    { timeoutMs: 10_000 },
  );

/** Users or nodes, without the empty name that shows that the hash is whole. */
const namesIn = async (key: string): Promise<readonly string[]> =>
  (await redis.cli('hkeys', key)).split('\n').filter((name) => name !== '');

/** Lets time pass for Redis and for the living nodes, in steps that every one of them outlives by its renewals. */
async function pass(ms: number, living: readonly string[]): Promise<void> {
  const stepMs = 5_000;
  for (let passedMs = 0; passedMs < ms; passedMs += stepMs) {
    const nowMs = Date.now();
    const nextMs = Math.min(stepMs, ms - passedMs);
    await age(redis, nextMs);
    for (const node of living) gateways.get(node)?.skip(nextMs);
    for (const node of living) await waitFor(() => isRenewed(node, nowMs), { what: `${node} to renew its lease` });
  }
}

/** Whether a node has reported, and has renewed its lease, since the given moment. */
async function isRenewed(node: string, sinceMs: number): Promise<boolean> {
  const [reported, leased] = await Promise.all([
    redis.cli('hget', audienceKey(room), `@${node}`),
    redis.cli('hget', nodesKey(room), node),
  ]);
  return [reported, leased].every((ends) => Number.parseInt(ends, 10) > sinceMs + leaseMs);
}

describe('how many watch, on two gateways', () => {
  it('is the same on both, and right soon after everybody came', async () => {
    const [east, west] = [await start('east'), await start('west')];
    const readers = [...(await seatMany(east.url, 0, 30)), ...(await seatMany(west.url, 20, 30))];
    for (const reader of readers) await knows(reader, 60, 50);
    const total = 60;
    for (const reader of readers) {
      assert.ok(reader.audiences.every(({ viewers, users }) => viewers <= total && users <= 50));
      const numbers = reader.audiences.map(({ viewers }) => viewers);
      assert.deepEqual(
        numbers,
        [...numbers].sort((a, b) => a - b),
        'while people come it only grows',
      );
    }
  });

  it('has no dent when one of them is replaced, and counts nobody twice', async () => {
    const [east, west] = [await start('east'), await start('west')];
    const [leaving, staying] = [await seatMany(east.url, 0, 20), await seatMany(west.url, 20, 10)];
    for (const reader of [...leaving, ...staying]) await knows(reader, 30, 30);
    const north = await start('north');
    const told = staying.map((reader) => reader.audiences.length);

    const back: Promise<StreamReader>[] = [];
    const replaced = east.close();
    // Some go to the new one and some to the one that was left.
    for (const [n, reader] of leaving.entries()) {
      await reader.over();
      back.push(seat(n % 2 === 0 ? north.url : west.url, `user-${n}`));
    }
    const returned = await Promise.all(back);
    await replaced;
    await pass(leaseMs + 2 * graceMs, ['west', 'north']);
    for (const reader of returned) await knows(reader, 30, 30);
    const told30 = { viewers: 30, users: 30 };
    for (const [n, reader] of staying.entries()) {
      assert.deepEqual(reader.audiences.slice(told[n]), [], 'those who stayed noticed nothing');
      assert.equal(reader.audience, '30 viewers, 30 users');
    }
    for (const reader of returned) {
      assert.ok(reader.audiences.every(({ viewers, users }) => viewers === told30.viewers && users === told30.users));
    }

    // It is not that nothing moves any more.
    returned[0]?.close();
    await waitFor(async () => (await namesIn(whereKey(room))).length === 29, { what: 'one to be away' });
    await pass(graceMs + 2_000, ['west', 'north']);
    for (const reader of staying) await knows(reader, 29, 29);
  });

  it('is right again within 30 seconds after one of them was killed', async () => {
    const east = await startGatewayProcess({
      NODE_ID: 'east',
      REDIS_URL: redis.url,
      TOKEN_SECRET: secret,
      CHAT_PER_SECOND: '0',
      ...environment,
    });
    closers.push(() => east.close());
    const [, url = ''] = await east.prints(/listens on (http:\/\/[^"\s]+)/);
    const west = await start('west');
    const [dying, staying] = [await seatMany(url, 0, 20), await seatMany(west.url, 15, 10)];
    for (const reader of [...dying, ...staying]) await knows(reader, 30, 25);
    east.kill('SIGKILL');
    await east.exited;
    // In the middle of it, nobody who is there is missed and who is gone may yet come back.
    await pass(leaseMs, ['west']);
    for (const reader of staying) assert.equal(reader.audience, '30 viewers, 25 users');
    await pass(ghostsGoneMs - leaseMs, ['west']);
    for (const reader of staying) await knows(reader, 10, 10);
    assert.equal((await namesIn(whereKey(room))).length, 10, 'ghosts are out of the directory');
    assert.deepEqual(await namesIn(nodesKey(room)), ['west']);
  });
});
