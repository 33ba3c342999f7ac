/** The contract on a real Redis Cluster: each room where its slot is, and no promise less. */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import type { RoomId } from '../../src/model.ts';
import { callsMax } from '../../src/redis/link.ts';
import type { NodeLog } from '../rig/joined.ts';
import { type RedisCluster, startRedisCluster } from '../rig/redis-cluster.ts';
import { waitFor } from '../rig/wait-for.ts';
import { age, closeAll, deadlineMs, kept, newRoom, open, writeOf } from './redis-stage.ts';
import { roomLogContract } from './room-log.contract.ts';
import { Ear } from './stage.ts';

describe('redis-log on a cluster', () => {
  let cluster: RedisCluster;
  /** A room on each shard. */
  const rooms = new Map<number, RoomId>();
  before(async () => {
    cluster = await startRedisCluster({ hasReplicas: false });
    while (rooms.size < cluster.shards.length) {
      const room = newRoom();
      rooms.set(await cluster.shardOf(room), room);
    }
  });
  after(() => cluster.stop());

  async function assertBack(log: NodeLog): Promise<void> {
    for (const room of rooms.values()) {
      await waitFor(() => log.readState(room).catch(() => null), { what: 'every shard to answer', timeoutMs: 10_000 });
    }
  }

  roomLogContract('redis-log on a cluster', async (settings) => {
    const logs = new Map<string, Promise<NodeLog>>();
    return {
      node(id) {
        const log = logs.get(id) ?? open(cluster.url, id, { logDeadlineMs: 2000, ...settings });
        logs.set(id, log);
        return log;
      },
      async restart() {
        await Promise.all(cluster.nodes.map((node) => node.restart()));
        for (const log of logs.values()) await assertBack(await log);
      },
      async forget() {
        await Promise.all(cluster.nodes.map((node) => node.cli('flushall')));
      },
      async tick(ms) {
        await Promise.all(cluster.nodes.map((node) => age(node, ms)));
      },
      async close() {
        for (const log of logs.values()) await (await log).close();
      },
    };
  });
});

describe('the log on a cluster', () => {
  let cluster: RedisCluster;
  let log: NodeLog;
  before(async () => {
    cluster = await startRedisCluster({ hasReplicas: false });
  });
  after(() => cluster.stop());
  afterEach(closeAll);

  async function roomOn(shard: number): Promise<RoomId> {
    for (;;) {
      const room = newRoom();
      if ((await cluster.shardOf(room)) === shard) return room;
    }
  }

  async function followOn(shard: number): Promise<{ room: RoomId; ear: Ear }> {
    const room = await roomOn(shard);
    const ear = new Ear();
    await log.follow(room, ear);
    return { room, ear };
  }

  const nodeOf = (shard: number) => cluster.shards[shard]?.primary ?? assert.fail();

  async function assertHears({ room, ear }: { room: RoomId; ear: Ear }): Promise<void> {
    const { position } = await kept(log.append(writeOf(room)));
    await waitFor(() => ear.offsets.includes(position.offset), { what: `${room} to hear ${position.offset}` });
  }

  test('subscriptions that one node has cut are made again, and no follower of another node is told of it', async () => {
    log = await open(cluster.url);
    const [hit, ...others] = [await followOn(0), await followOn(1), await followOn(2)];
    assert(hit);
    for (let round = 1; round <= 5; round += 1) {
      await nodeOf(0).cli('client', 'kill', 'type', 'pubsub');
      await waitFor(() => hit.ear.resumes === round, { what: 'the follower to be told' });
      for (const one of [hit, ...others]) await assertHears(one);
    }
    for (const { ear } of others) assert.equal(ear.resumes, 0);
  });

  test('a slot that moves there and back while nobody calls is heard again, and its follower alone is told', async () => {
    log = await open(cluster.url);
    const [moving, beside, other] = [await followOn(0), await followOn(0), await followOn(1)];
    for (let round = 0; round < 3; round += 1) {
      const resumes = moving.ear.resumes;
      await cluster.moveSlot(moving.room, nodeOf(0), nodeOf(1));
      await cluster.moveSlot(moving.room, nodeOf(1), nodeOf(0));
      await waitFor(() => moving.ear.resumes > resumes, { what: 'the follower to be told' });
      for (const one of [moving, beside, other]) await assertHears(one);
    }
    assert.deepEqual([beside.ear.resumes, other.ear.resumes], [0, 0]);
  });

  test('a room whose keys have moved before its slot is read where they are, and written to once the slot is there', async () => {
    log = await open(cluster.url, 'node-1', { logDeadlineMs: 10 * deadlineMs });
    const room = await roomOn(2);
    const change = { type: 'put', part: 'title', value: '"x"', ifVersion: null } as const;
    const { position } = await kept(log.append(writeOf(room, change)));
    const { give } = await cluster.moveKeys(room, nodeOf(2), nodeOf(0));
    const { tail, entries } = await log.read(room, { ...position, offset: 0 }, 10);
    assert.equal(entries.length, 1);
    assert.notEqual(tail.epoch, position.epoch, 'another server numbers what comes');
    let isWritten = false;
    const writing = kept(log.append(writeOf(room))).finally(() => {
      isWritten = true;
    });
    await log.read(room, position, 10);
    assert.equal(isWritten, false);
    await give();
    assert.equal((await writing).position.offset, 2);
  });

  test('a slot that stays between two servers refuses writes by their deadline, and nothing was written', async () => {
    log = await open(cluster.url);
    const room = await roomOn(1);
    await kept(log.append(writeOf(room)));
    const { give } = await cluster.moveKeys(room, nodeOf(1), nodeOf(2));
    await assert.rejects(log.append(writeOf(room)), { code: 'log-unavailable' });
    await give();
    assert.equal((await kept(log.append(writeOf(room)))).position.offset, 2);
  });

  test('a server that stands still fills its own calls and no others: one more is refused at once', async () => {
    log = await open(cluster.url, 'node-1', { logDeadlineMs: 4 * deadlineMs });
    const [stuck, fine] = [await roomOn(0), await roomOn(1)];
    await nodeOf(0).kill('SIGSTOP');
    try {
      const calls = Array.from({ length: callsMax }, () => log.read(stuck, null, 1));
      const all = Promise.allSettled(calls);
      let isOver = false;
      void all.then(() => {
        isOver = true;
      });
      await assert.rejects(log.read(stuck, null, 1), { code: 'log-unavailable' });
      assert.equal(isOver, false, 'it was refused before any deadline');
      await kept(log.append(writeOf(fine)));
      assert.ok((await all).every(({ status }) => status === 'rejected'));
    } finally {
      await nodeOf(0).kill('SIGCONT');
    }
    await waitFor(() => log.read(stuck, null, 1).catch(() => null), { what: 'it to go on', timeoutMs: 10_000 });
  });
});
