/** What viewers are told of a Redis that comes back with less than it had: each of them exactly what it lost. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { RoomId } from '../../src/model.ts';
import { durable } from '../contract/redis-stage.ts';
import { type RunningGateway, room } from '../rig/gateway.ts';
import { logKey, metaKey } from '../rig/keys.ts';
import { splitId } from '../rig/ledger.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import type { Viewer } from '../rig/viewer.ts';
import { waitFor } from '../rig/wait-for.ts';
import { allReach, historyOf, judgeViewer, openGateway, seatViewers, Writers } from './stage.ts';

describe('a Redis that loses data', () => {
  let server: RedisServer;
  let gateways: readonly RunningGateway[];
  let writers: Writers;
  let live: Viewer[];
  beforeEach(async () => {
    server = await startRedis(durable);
    gateways = [await openGateway(server.url, 'one'), await openGateway(server.url, 'two')];
    writers = new Writers(gateways);
    live = await seatViewers(gateways);
  });
  afterEach(async () => {
    for (const viewer of live) viewer.leave();
    for (const gateway of gateways) await gateway.close();
    await server.stop();
  });

  /** Viewers who see everything that is written next, and leave. */
  async function seatAndLeave(writes: number): Promise<Viewer[]> {
    const viewers = await seatViewers(gateways);
    await allReach([...viewers, ...live], await writers.write(writes));
    for (const viewer of viewers) viewer.leave();
    return viewers;
  }

  /** They come again, over the other gateway, and are given what there is. */
  async function comeAgain(viewers: readonly Viewer[], offset: number): Promise<void> {
    for (const [index, viewer] of viewers.entries()) await viewer.come(gateways[index < 3 ? 1 : 0] ?? assert.fail());
    await allReach(viewers, offset);
    for (const viewer of viewers) viewer.leave();
  }

  async function restoreCopy(): Promise<void> {
    await server.kill('SIGKILL');
    await server.restoreData();
    await server.restart();
  }

  /** Each of them was told the same: these verdicts, and these losses. */
  async function assertTold(viewers: readonly Viewer[], verdicts: readonly string[], declared: readonly string[]) {
    const ledger = await historyOf(server, writers.acknowledged);
    for (const viewer of viewers) {
      assert.deepEqual(judgeViewer(viewer, ledger), { verdicts, declared }, `${viewer.person.id} was told otherwise`);
    }
  }

  test('an older copy: a gap for those who saw what was lost, and for nobody else', async () => {
    const early = await seatAndLeave(10);
    await server.copyData();
    const late = await seatAndLeave(10);
    await restoreCopy();
    const offset = await writers.write(10);
    await allReach(live, offset);
    for (const viewer of live) assert.equal(viewer.isOpen, true);
    await comeAgain([...early, ...late], offset);
    await assertTold(live, ['fresh'], ['failover']);
    await assertTold(late, ['fresh', 'gap'], ['failover']);
    await assertTold(early, ['fresh', 'exact'], []);
    const ids = writers.acknowledged.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length, 'an id was used for two events');
    assert.ok(new Set(ids.map((id) => splitId(id).offset)).size < ids.length, 'numbers were handed out again');
  });

  test('the same copy twice: every loss is declared once, and ids of all three histories are judged rightly', async () => {
    const early = await seatAndLeave(5);
    await server.copyData();
    const first = await seatAndLeave(5);
    await restoreCopy();
    await allReach(live, await writers.write(5));
    const second = await seatAndLeave(5);
    await restoreCopy();
    const offset = await writers.write(5);
    await allReach(live, offset);
    await comeAgain([...early, ...first, ...second], offset);
    await assertTold(live, ['fresh'], ['failover', 'failover']);
    await assertTold(early, ['fresh', 'exact'], []);
    await assertTold(first, ['fresh', 'gap'], ['failover']);
    // The copy knows nothing of the epoch that began after it came back the first time.
    await assertTold(second, ['fresh', 'reset'], ['reset']);
  });

  test('FLUSHALL: a declared gap for who watches, a reset for who returns, and all goes on in a new epoch', async () => {
    const gone = await seatAndLeave(10);
    await server.flush();
    const offset = await writers.write(10);
    assert.equal(offset, 10, 'the room begins anew');
    await allReach(live, offset);
    for (const viewer of live) assert.equal(viewer.isOpen, true);
    await comeAgain(gone, offset);
    await assertTold(live, ['fresh'], ['failover']);
    await assertTold(gone, ['fresh', 'reset'], ['reset']);
    assert.equal(new Set(writers.acknowledged.map(({ id }) => splitId(id).epoch)).size, 2);
  });

  test('FLUSHALL while nobody writes: who watches is told all the same', async () => {
    await allReach(live, await writers.write(5));
    await server.flush();
    for (const viewer of live) {
      await waitFor(() => viewer.lastOffset === 0, { what: `${viewer.person.id} to be told` });
    }
    await allReach(live, await writers.write(5));
    await assertTold(live, ['fresh'], ['failover']);
  });

  test('a room without its meta begins anew; one without its entries goes on, and says what is gone', async () => {
    const gone = await seatAndLeave(5);
    await server.cli('del', metaKey(room as RoomId));
    await allReach(live, await writers.write(5));
    const later = await seatAndLeave(5);
    const more = await writers.write(5);
    await allReach(live, more);
    await server.cli('del', logKey(room as RoomId));
    const offset = await writers.write(5);
    await allReach(live, offset);
    await comeAgain([...gone, ...later], offset);
    await assertTold(live, ['fresh'], ['failover']);
    await assertTold(gone, ['fresh', 'reset'], ['reset']);
    await assertTold(later, ['fresh', 'gap'], ['trimmed']);
  });
});
