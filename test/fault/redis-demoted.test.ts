/**
 * A primary that was a replica in between, as one process: it has taken over the data of a server that lacked what it had
 * acknowledged itself. And a log whose numbers went back without anything to show for it.
 */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { RoomId } from '../../src/model.ts';
import { type RunningGateway, room } from '../rig/gateway.ts';
import { logKey, metaKey, stateKey } from '../rig/keys.ts';
import { freePorts } from '../rig/ports.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import type { Viewer } from '../rig/viewer.ts';
import { waitFor } from '../rig/wait-for.ts';
import { allReach, historyOf, judgeViewer, openGateway, seatViewers, Writers } from './stage.ts';

describe('a log that comes back older in the same process', () => {
  let first: RedisServer;
  let second: RedisServer;
  let gateway: RunningGateway;
  let writers: Writers;
  let viewers: Viewer[];
  beforeEach(async () => {
    const [one = 0, two = 0] = await freePorts(2);
    [first, second] = await Promise.all([
      startRedis({ port: one }),
      startRedis({ port: two, lines: [`replicaof 127.0.0.1 ${one}`] }),
    ]);
    await follows(second);
    gateway = await openGateway(`redis://127.0.0.1:${one}`, 'one');
    writers = new Writers([gateway]);
    viewers = await seatViewers([gateway]);
  });
  afterEach(async () => {
    for (const viewer of viewers) viewer.leave();
    await gateway.close();
    await Promise.all([first.stop(), second.stop()]);
  });

  const follows = (replica: RedisServer) =>
    waitFor(async () => (await replica.cli('info', 'replication')).includes('master_link_status:up'), {
      what: 'the replica to follow',
      timeoutMs: 20_000,
    });

  /** In one step, so that nobody can write in between. */
  async function copy(from: string, to: string): Promise<void> {
    const keys = [logKey, metaKey, stateKey].map((key) => key(room as RoomId));
    const script = "for _, key in ipairs(KEYS) do redis.call('COPY', key .. ARGV[1], key .. ARGV[2], 'REPLACE') end";
    await first.cli('eval', script, '3', ...keys, from, to);
  }

  async function seatAndLeave(writes: number): Promise<Viewer[]> {
    const early = await seatViewers([gateway]);
    await allReach([...early, ...viewers], await writers.write(writes));
    for (const viewer of early) viewer.leave();
    return early;
  }

  async function assertTold(early: readonly Viewer[], late: readonly Viewer[]): Promise<void> {
    const offset = await writers.write(10);
    await allReach(viewers, offset);
    for (const viewer of [...early, ...late]) await viewer.come(gateway);
    await allReach([...early, ...late], offset);
    for (const viewer of [...early, ...late]) viewer.leave();
    const ledger = await historyOf(first, writers.acknowledged);
    for (const viewer of viewers) {
      assert.deepEqual(judgeViewer(viewer, ledger), { verdicts: ['fresh'], declared: ['failover'] });
    }
    for (const viewer of late) {
      assert.deepEqual(judgeViewer(viewer, ledger), { verdicts: ['fresh', 'gap'], declared: ['failover'] });
    }
    for (const viewer of early) {
      assert.deepEqual(judgeViewer(viewer, ledger), { verdicts: ['fresh', 'exact'], declared: [] });
    }
  }

  test('demoted and promoted again: who saw what was lost is told, on open streams too', async () => {
    const early = await seatAndLeave(5);
    await waitFor(async () => (await second.cli('get', 'x')) === '' && (await first.cli('wait', '1', '1000')) === '1', {
      what: 'the replica to have everything',
    });
    await second.cli('replicaof', 'no', 'one');
    const late = await seatAndLeave(5);
    await first.cli('replicaof', '127.0.0.1', String(second.port));
    await follows(first);
    await first.cli('replicaof', 'no', 'one');
    await waitFor(() => gateway.gateway.log.isReady(), { what: 'the log to be ready', timeoutMs: 20_000 });
    await assertTold(early, late);
  });

  test('numbers that went back within an epoch are noticed by whoever had seen more', async () => {
    const early = await seatAndLeave(5);
    await copy('', ':copy');
    const late = await seatAndLeave(5);
    const meta = metaKey(room as RoomId);
    const before = await first.cli('hget', meta, 'epoch');
    await copy(':copy', '');
    await waitFor(async () => (await first.cli('hget', meta, 'epoch')) !== before, { what: 'a new epoch' });
    await assertTold(early, late);
  });
});
