/** Two platforms on one Redis with equal rooms, users and node ids: neither ever learns that the other is there. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { RoomLog } from '../../src/log/room-log.ts';
import type { RoomId, UserId } from '../../src/model.ts';
import { Ear } from '../contract/stage.ts';
import { openGateway, seatViewers } from '../fault/stage.ts';
import { type RunningGateway, room, tokenOf } from '../rig/gateway.ts';
import { freePorts } from '../rig/ports.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import type { Viewer } from '../rig/viewer.ts';
import { waitFor } from '../rig/wait-for.ts';

const id = room as RoomId;

describe('two platforms on one Redis', () => {
  for (const [what, ours, theirs] of [
    ['databases', { path: '/0' }, { path: '/3' }],
    ['other databases', { path: '/1' }, { path: '/11' }],
    ['prefixes', { path: '', prefix: 'rs' }, { path: '', prefix: 'rs:shop' }],
    ['both', { path: '/3', prefix: 'a' }, { path: '/3', prefix: 'b' }],
  ] as const) {
    test(`told apart by ${what} share nothing`, async () => {
      const [port = 0] = await freePorts(1);
      const server = await startRedis({ port });
      const gateways: RunningGateway[] = [];
      let viewers: Viewer[] = [];
      const start = async ({ path, prefix }: { readonly path: string; readonly prefix?: string }) => {
        const environment = prefix === undefined ? {} : { REDIS_PREFIX: prefix };
        const gateway = await openGateway(`redis://127.0.0.1:${port}${path}`, 'node-1', environment);
        gateways.push(gateway);
        return gateway;
      };
      try {
        const [one, two] = [await start(ours), await start(theirs)];
        viewers = await seatViewers([two]);
        const ear = await earOf(two.gateway.log);
        await everything(one);
        // What was published before this has been heard, if it is heard at all.
        const last = await two.post('comment', { text: 'ours' });
        for (const viewer of viewers) await waitFor(() => viewer.lastId === last, { what: 'our own comment' });
        assert.match(last, /\.1$/, 'the room is new');
        await waitFor(() => ear.heardEntries.length > 0, { what: 'our own entry' });
        assert.deepEqual([ear.offsets, ear.counts, ear.prolongs], [[1], [], []]);
        assert.ok(ear.audiences.every(({ viewers: count }) => count <= 3));
        assert.deepEqual(await heardOf(server), [2, 2]);
      } finally {
        for (const viewer of viewers) viewer.leave();
        for (const gateway of gateways) await gateway.close();
        await server.stop();
      }
    });
  }

  /** A second ear in the room: what the gateway itself hears goes to its viewers, who would not be told of some of it. */
  async function earOf(log: RoomLog): Promise<Ear> {
    const ear = new Ear();
    await log.unfollow(id);
    await log.follow(id, ear);
    return ear;
  }

  /** All that is published: entries, peer entries, counts, prolonged sessions, viewer counts. */
  async function everything(gateway: RunningGateway): Promise<void> {
    const viewers = await seatViewers([gateway]);
    const as = tokenOf('ann');
    await gateway.post('comment', { text: 'theirs' });
    await gateway.post('like', { count: 3 }, { as });
    await gateway.post('like', { count: 2 }, { as });
    await gateway.post('direct', { to: ['bob'], type: 'note', data: {} });
    await gateway.post('gift', { gift: 'rose', count: 1 }, { as, key: 'same' });
    await gateway.put('title', { mark: 'theirs' });
    const grant = { role: 'viewer', tags: ['gold'], expiresAtMs: Date.now() + 60_000 } as const;
    await gateway.gateway.presence.prolong(id, 'bob' as UserId, grant);
    for (let n = 1; n <= 3; n += 1) await gateway.gateway.presence.renew(id, 40 * n);
    for (const viewer of viewers) viewer.leave();
  }

  /** How many subscribers each platform's channel of the room has: its gateway, and nobody else. */
  async function heardOf(server: RedisServer): Promise<number[]> {
    const channels = (await server.cli('pubsub', 'shardchannels'))
      .split('\n')
      .filter((name) => name.endsWith(`{${room}}`));
    assert.equal(new Set(channels).size, 2);
    const counts = (await server.cli('pubsub', 'shardnumsub', ...channels)).split('\n');
    return [Number(counts[1]) + 1, Number(counts[3]) + 1];
  }
});
