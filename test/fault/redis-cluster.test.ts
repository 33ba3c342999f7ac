/**
 * What viewers and writers see of a Redis Cluster: nothing, while it is well and while slots move; where a primary
 * dies, a pause in its rooms and a gap for what was lost, and nothing at all in the rooms of the others.
 */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { RunningGateway } from '../rig/gateway.ts';
import { splitId } from '../rig/ledger.ts';
import { leaveBehind, type RedisServer } from '../rig/redis.ts';
import { type RedisCluster, startRedisCluster } from '../rig/redis-cluster.ts';
import { readStream } from '../rig/stream-reader.ts';
import { makeToken } from '../rig/tokens.ts';
import type { Viewer } from '../rig/viewer.ts';
import { waitFor } from '../rig/wait-for.ts';
import { allReach, assertNobodyLost, historyOf, judgeViewer, openGateway, seatViewers, Writers } from './stage.ts';

/** Longer than a slot takes to move, however busy the machine: until then no write is to be refused. */
const longDeadlineMs = 6000;
const environment = {
  LOG_DEADLINE_MS: String(longDeadlineMs),
  // So rare that nobody could wait for it: what is heard again is heard because it was subscribed again.
  RENEW_MS: '10000',
};

/** A room with its viewers on both gateways, and who writes to it. */
class Show {
  readonly room: string;
  readonly writers: Writers;
  readonly viewers: readonly Viewer[];

  constructor(room: string, writers: Writers, viewers: readonly Viewer[]) {
    this.room = room;
    this.writers = writers;
    this.viewers = viewers;
  }

  static async open(room: string, gateways: readonly RunningGateway[]): Promise<Show> {
    return new Show(room, new Writers(gateways, room, longDeadlineMs), await seatViewers(gateways, room));
  }

  /** Acknowledged so far. */
  get written(): number {
    return this.writers.acknowledged.length;
  }

  async hasWritten(more: number): Promise<void> {
    const goal = this.written + more;
    await waitFor(() => this.written >= goal, { what: `${more} more writes to ${this.room}`, timeoutMs: 20_000 });
  }

  /** The last write is with everybody. */
  async settle(): Promise<void> {
    await this.writers.stop();
    await allReach(this.viewers, await this.writers.write(5));
  }

  leave(): void {
    for (const viewer of this.viewers) viewer.leave();
  }
}

describe('a Redis Cluster', () => {
  let cluster: RedisCluster;
  let gateways: readonly RunningGateway[];
  let shows: Show[];
  let names = 0;
  before(async () => {
    cluster = await startRedisCluster();
  });
  after(() => cluster.stop());
  beforeEach(async () => {
    gateways = [await openGateway(cluster.url, 'one', environment), await openGateway(cluster.url, 'two', environment)];
    shows = [];
  });
  afterEach(async () => {
    for (const show of shows) show.leave();
    for (const gateway of gateways) await gateway.close();
  });

  /** The name of a new room that this shard has. */
  async function roomOn(shard: number): Promise<string> {
    for (;;) {
      names += 1;
      const room = `room-${names}`;
      if ((await cluster.shardOf(room)) === shard) return room;
    }
  }

  async function openShow(shard: number): Promise<Show> {
    const show = await Show.open(await roomOn(shard), gateways);
    shows.push(show);
    return show;
  }

  const primaryOf = (shard: number): RedisServer => cluster.shards[shard]?.primary ?? assert.fail();

  async function assertUndisturbed(show: Show): Promise<void> {
    assert.deepEqual(show.writers.refusals, [], `writes to ${show.room} were refused`);
    for (const viewer of show.viewers) assert.equal(viewer.streams.length, 1, 'its stream was never cut');
    assertNobodyLost(show.viewers, await historyOf(cluster, show.writers.acknowledged, show.room));
  }

  test('rooms on every shard work: comments, likes, state, direct signals, and a return with the last id', async () => {
    for (const shard of [0, 1, 2]) {
      const show = await openShow(shard);
      await allReach(show.viewers, await show.writers.write(25));
      for (const viewer of show.viewers) viewer.leave();
      const offset = await show.writers.write(10);
      for (const [index, viewer] of show.viewers.entries())
        await viewer.come(gateways[index < 3 ? 1 : 0] ?? assert.fail());
      await allReach(show.viewers, offset);
      const ledger = await historyOf(cluster, show.writers.acknowledged, show.room);
      assertNobodyLost(show.viewers, ledger);
      const as = makeToken({ claims: { sub: 'liz', rooms: { [show.room]: 'viewer' } } });
      const shownViewerCount = await readStream(gateways[1]?.url ?? '', { room: show.room, token: as });
      await gateways[0]?.post('like', { count: 7 }, { room: show.room, as });
      assert.equal((await shownViewerCount.first('likes')).data['total'], 7);
      shownViewerCount.close();
    }
  });

  test('a slot that moves under load: nothing is lost, doubled, declared or refused, and nobody is cut', async () => {
    const [moving, staying] = [await openShow(0), await openShow(1)];
    for (const show of [moving, staying]) show.writers.start();
    await moving.hasWritten(50);
    for (const [from, to] of [
      [0, 1],
      [1, 2],
      [2, 0],
    ] as const) {
      await cluster.moveSlot(moving.room, primaryOf(from), primaryOf(to));
      await moving.hasWritten(50);
    }
    for (const show of [moving, staying]) await show.settle();
    for (const show of [moving, staying]) await assertUndisturbed(show);
    const epochs = new Set(moving.writers.acknowledged.map(({ id }) => splitId(id).epoch));
    assert.ok(epochs.size >= 4, 'each new owner began an epoch of its own');
  });

  test('a slot that moves while nobody writes: what is written next is heard, by those who came before and after', async () => {
    const show = await openShow(2);
    await allReach(show.viewers, await show.writers.write(5));
    await cluster.moveSlot(show.room, primaryOf(2), primaryOf(0));
    await allReach(show.viewers, await show.writers.write(5));
    const late = await seatViewers(gateways, show.room);
    shows.push(new Show(show.room, show.writers, late));
    await cluster.moveSlot(show.room, primaryOf(0), primaryOf(2));
    await allReach([...show.viewers, ...late], await show.writers.write(5));
    await assertUndisturbed(show);
  });

  test('a node that forgets the functions is given them again, within the write', async () => {
    const show = await openShow(1);
    await allReach(show.viewers, await show.writers.write(5));
    await primaryOf(1).cli('function', 'flush');
    await allReach(show.viewers, await show.writers.write(5));
    await assertUndisturbed(show);
  });

  // The last one: it leaves the cluster with one node less.
  test('a primary that dies with writes nobody else has: its rooms come back and are told, the others notice nothing', async () => {
    const dead = cluster.shards[0] ?? assert.fail();
    const [hit, ...others] = [await openShow(0), await openShow(1), await openShow(2)];
    assert(hit && dead.replica);
    await allReach(hit.viewers, await hit.writers.write(20));
    const before = await historyOf(cluster, hit.writers.acknowledged, hit.room);
    await leaveBehind(dead.primary, dead.replica);
    const lost = await hit.writers.write(10);
    await allReach(hit.viewers, lost);
    for (const show of others) show.writers.start();
    hit.writers.start();
    await dead.primary.kill('SIGKILL');
    await dead.replica.kill('SIGCONT');
    const atDeath = hit.written;
    // While nobody has the rooms of the dead one, those of the others go on.
    for (const show of others) {
      await show.hasWritten(40);
      const offset = Math.max(...show.writers.acknowledged.map(({ id }) => splitId(id).offset));
      for (const viewer of show.viewers)
        await waitFor(() => viewer.lastOffset >= offset - 10, { what: 'the rooms of the others to go on' });
    }
    assert.ok(hit.written <= atDeath + 8, 'the replica was promoted before the others could show anything');
    assert.equal(
      gateways.every(({ gateway }) => gateway.log.isReady()),
      true,
      'a gateway without one shard is ready',
    );
    await hit.hasWritten(30);
    for (const show of shows) await show.settle();
    for (const show of others) await assertUndisturbed(show);
    const ledger = await historyOf(cluster, hit.writers.acknowledged, hit.room);
    for (const viewer of hit.viewers) {
      assert.deepEqual(judgeViewer(viewer, ledger), { verdicts: ['fresh'], declared: ['failover'] });
    }
    const { epoch } = splitId(before.tip?.id ?? '');
    const lineage = await cluster.cli('hget', `rs:{${hit.room}}:meta`, 'lineage');
    assert.ok(lineage.split(' ').includes(`${epoch}:20`), `what is left of ${epoch} ends at 20: ${lineage}`);
  });
});
