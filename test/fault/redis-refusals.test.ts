/** A Redis that refuses writes, may delete keys, or lacks the database: the gateway says so, and writes nowhere else. */

import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { SettingsError } from '../../src/settings.ts';
import { type RunningGateway, startGatewayProcess } from '../rig/gateway.ts';
import { databaseRights, type GuardedRedis, leastRights, startGuardedRedis } from '../rig/least-rights.ts';
import { MetricsText } from '../rig/metrics-text.ts';
import { freePorts } from '../rig/ports.ts';
import { waitFor } from '../rig/wait-for.ts';
import { openGateway, readinessOf, seatViewers } from './stage.ts';

describe('a Redis that refuses', () => {
  let server: GuardedRedis;
  let gateway: RunningGateway;
  before(async () => {
    server = await startGuardedRedis(leastRights);
  });
  after(() => server.stop());
  beforeEach(async () => {
    await server.flush();
    await server.cli('function', 'flush');
  });
  afterEach(() => gateway?.close());

  const { ready, told, isReadyAgain, lines } = readinessOf(() => gateway);

  for (const [word, refuse, stop] of [
    ['OOM', ['config', 'set', 'maxmemory', '1'], ['config', 'set', 'maxmemory', '0']],
    ['READONLY', ['replicaof', '127.0.0.1', '1'], ['replicaof', 'no', 'one']],
    ['NOREPLICAS', ['config', 'set', 'min-replicas-to-write', '1'], ['config', 'set', 'min-replicas-to-write', '0']],
  ] as const) {
    test(`writes that Redis refuses (${word}) are one line with its own word, and /readyz says it until it is over`, async () => {
      gateway = await openGateway(server.url, 'one');
      const viewers = await seatViewers([gateway]);
      await gateway.post('comment', { text: 'before' });
      await server.cli(...refuse);
      for (let n = 0; n < 5; n += 1) {
        const { status, json } = await gateway.tryPost('comment', { text: 'refused' });
        assert.deepEqual([status, json['code']], [503, 'log-unavailable']);
      }
      assert.equal(lines(new RegExp(`Redis refused a call: ${word}`)).length, 1);
      assert.match(lines(/Redis refused a call/)[0] ?? '', new RegExp(`"redis":"${word} `));
      await told(new RegExp(`refuses writes: ${word} `));
      assert.equal((await ready()).status, 503);
      await server.cli(...stop);
      await isReadyAgain();
      const kept = await gateway.post('comment', { text: 'after' });
      for (const viewer of viewers) await waitFor(() => viewer.lastId === kept, { what: 'the viewers to go on' });
      for (const viewer of viewers) viewer.leave();
    });
  }

  test('a Redis that cannot save is named, also while nobody writes', async () => {
    gateway = await openGateway(server.url, 'one');
    await gateway.post('comment', { text: 'before' });
    const [, directory = ''] = (await server.cli('config', 'get', 'dir')).split('\n');
    // A folder under the name of the file: no process can put it there, whoever it runs as.
    await mkdir(`${directory}/dump.rdb/in-the-way`, { recursive: true });
    await server.cli('config', 'set', 'save', '3600 1');
    await server.cli('bgsave');
    await told(/refuses writes: MISCONF /);
    assert.equal((await gateway.tryPost('comment', { text: 'x' })).json['code'], 'log-unavailable');
    await rm(`${directory}/dump.rdb`, { recursive: true });
    await server.cli('config', 'set', 'save', '');
    await isReadyAgain();
  });

  test('a Redis that may delete keys is refused at the start, by whichever policy', async () => {
    try {
      for (const policy of [
        'allkeys-lru',
        'allkeys-lfu',
        'allkeys-random',
        'volatile-lru',
        'volatile-lfu',
        'volatile-ttl',
        'volatile-random',
      ]) {
        await server.cli('config', 'set', 'maxmemory-policy', policy);
        const answer = await openGateway(server.url, 'one').catch((error: SettingsError) => error);
        assert.ok(answer instanceof Error && answer.name === 'SettingsError', 'it started');
        assert.match(answer.message, new RegExp(`^REDIS_URL must .*maxmemory-policy .*${policy}.*noeviction`));
      }
      const process = await startGatewayProcess({ REDIS_URL: server.url });
      assert.equal(await process.exited, 1);
      assert.match(process.stderr(), /^REDIS_URL must name a Redis that does not evict keys\. .*noeviction\.\n$/);
      await process.close();
    } finally {
      await server.cli('config', 'set', 'maxmemory-policy', 'noeviction');
    }
    gateway = await openGateway(server.url, 'one');
    assert.equal((await ready()).status, 200);
  });

  test('a policy that changes while it runs is shouted about, told by /readyz and a metric, and so is its end', async () => {
    gateway = await openGateway(server.url, 'one');
    const risks = async () =>
      new MetricsText((await gateway.gateway.admin.inject('/metrics')).body).samples.find(
        ({ name }) => name === 'ringside_log_risks',
      )?.value;
    assert.equal(await risks(), 0);
    try {
      await server.cli('config', 'set', 'maxmemory-policy', 'volatile-lru');
      await waitFor(async () => (await ready()).risks.length > 0, { what: '/readyz to say it', timeoutMs: 15_000 });
      const { status, risks: named } = await ready();
      assert.equal(status, 200, 'a risk is no reason to turn viewers away');
      assert.match(named.join(), /maxmemory-policy .* is volatile-lru/);
      assert.equal(await risks(), 1);
      assert.equal(lines(/"level":50.*volatile-lru/).length, 1);
    } finally {
      await server.cli('config', 'set', 'maxmemory-policy', 'noeviction');
    }
    await waitFor(async () => (await risks()) === 0, { what: 'the metric to say that it is over', timeoutMs: 15_000 });
  });

  test('a database that is not there, or may not be selected, is never written to in the stead of another', async () => {
    const [port = 0] = await freePorts(1);
    const own = await startGuardedRedis(`${leastRights} ~rs/* &rs/*`, { port });
    try {
      for (const [database, rights, named] of [
        ['16', databaseRights, /SELECT 16: ERR DB index is out of range/],
        ['3', '-select', /SELECT 3: NOPERM .*'select'/],
      ] as const) {
        await own.cli('acl', 'setuser', 'some', rights);
        gateway = await openGateway(`redis://some:pw@127.0.0.1:${port}/${database}`, 'one');
        assert.match((await ready()).reason, named);
        assert.equal((await gateway.tryPost('comment', { text: 'x' })).json['code'], 'log-unavailable');
        await own.cli('client', 'kill', 'user', 'some');
        await told(named);
        assert.equal((await gateway.tryPost('comment', { text: 'x' })).json['code'], 'log-unavailable');
        assert.equal(await own.cli('info', 'keyspace'), '# Keyspace');
        if (database === '16') await gateway.close();
      }
      await own.cli('acl', 'setuser', 'some', databaseRights);
      await isReadyAgain();
      await gateway.post('comment', { text: 'x' });
      assert.match(await own.cli('info', 'keyspace'), /^# Keyspace\s+db3:keys=\d+\S*$/);
    } finally {
      await gateway.close();
      await own.stop();
    }
  });
});
