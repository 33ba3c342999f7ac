import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { leaseMs } from '../../src/log/presence.ts';
import type { RoomId } from '../../src/model.ts';
import { graceMs } from '../../src/room/viewer-count.ts';
import { age } from '../contract/redis-stage.ts';
import { type RunningGateway, startGateway, tokenOf } from '../rig/gateway.ts';
import { audienceKey } from '../rig/keys.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { type StreamReader, watch } from '../rig/stream-reader.ts';
import { waitFor } from '../rig/wait-for.ts';

const room = 'full-house' as RoomId;
const environment = { VIEWER_COUNT_MS: '100', RENEW_MS: '200', LOG_DEADLINE_MS: '800' };

let redis: RedisServer;
const closers: (() => unknown)[] = [];

before(async () => {
  redis = await startRedis({ appendOnly: true });
});
after(() => redis?.stop());
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await redis.flush();
});

async function start(nodeId: string): Promise<RunningGateway> {
  const gateway = await startGateway({ redisUrl: redis.url, environment: { NODE_ID: nodeId, ...environment } });
  closers.push(() => gateway.close());
  return gateway;
}
async function seat({ url }: RunningGateway, sub: string): Promise<StreamReader> {
  const reader = await watch(url, { room, token: tokenOf(sub, 'viewer', { rooms: { '*': 'viewer' } }) });
  closers.push(() => reader.close());
  return reader;
}
const knows = (reader: StreamReader, audience: string): Promise<unknown> =>
  reader.until(() => reader.audience === audience, `${audience}; told ${JSON.stringify(reader.audiences)}`, {
    timeoutMs: 15_000,
  });
/** When a node's report ceases to be valid, Unix milliseconds. */
const validUntil = async (node: string): Promise<number> =>
  Number.parseInt((await redis.cli('hget', audienceKey(room), `@${node}`)) || '0', 10);
const reports = (node: string): Promise<unknown> => {
  const nowMs = Date.now();
  return waitFor(async () => (await validUntil(node)) > nowMs + leaseMs, {
    what: `${node} to report`,
    timeoutMs: 15_000,
  });
};

/** Lets time pass for Redis and for the gateways. */
async function pass(ms: number, gateways: readonly RunningGateway[]): Promise<void> {
  await age(redis, ms);
  for (const gateway of gateways) gateway.skip(ms);
}

describe('how many watch, while Redis fails', () => {
  it('does not change when Redis was away for longer than a lease and everybody stayed', async () => {
    const [east, west] = [await start('east'), await start('west')];
    const readers = [await seat(east, 'ann'), await seat(west, 'ben'), await seat(west, 'cem')];
    for (const reader of readers) await knows(reader, '3 viewers, 3 users');
    const told = readers.map((reader) => reader.audiences.length);
    await redis.kill('SIGSTOP');
    await waitFor(() => [east, west].every(({ gateway }) => !gateway.log.isReady()), {
      what: 'the gateways to notice',
      timeoutMs: 15_000,
    });
    await redis.kill('SIGKILL');
    await redis.restart();
    // As if it had been down for so long.
    await age(redis, leaseMs + 2_000);
    for (const node of ['east', 'west']) await reports(node);
    for (let passedMs = 0; passedMs < leaseMs + graceMs; passedMs += 5_000) {
      await pass(5_000, [east, west]);
      for (const node of ['east', 'west']) await reports(node);
    }
    for (const [n, reader] of readers.entries()) assert.deepEqual(reader.audiences.slice(told[n]), []);
    await seat(east, 'dan');
    for (const reader of readers) await knows(reader, '4 viewers, 4 users');
  });

  it('comes back by itself where Redis lost everything', async () => {
    const [east, west] = [await start('east'), await start('west')];
    const readers = [await seat(east, 'ann'), await seat(west, 'ben')];
    for (const reader of readers) await knows(reader, '2 viewers, 2 users');
    await redis.flush();
    await seat(west, 'cem');
    for (const reader of readers) await knows(reader, '3 viewers, 3 users');
  });

  it('goes on where the numbers in Redis make no sense', async () => {
    const gateway = await start('east');
    const ann = await seat(gateway, 'ann');
    await knows(ann, '1 viewers, 1 users');
    for (const poison of ['', 'null', '1e999 7', '99999999999999999999 1 1']) {
      const fields = ['sum', 'shown', 'pass', '@strange', '@ghost'];
      await redis.cli('hset', audienceKey(room), ...fields.flatMap((field) => [field, poison]));
      const ben = await seat(gateway, 'ben');
      await knows(ann, '2 viewers, 2 users');
      ben.close();
      await reports('east');
      for (let passedMs = 0; passedMs < graceMs; passedMs += 5_000) {
        await reports('east');
        await pass(5_000, [gateway]);
      }
      await knows(ann, '1 viewers, 1 users');
    }
  });
});
