/** What a gateway says of a REDIS_URL that leads to something else, and of a Redis that is away when it starts. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { SettingsError } from '../../src/settings.ts';
import { type RunningGateway, startGatewayProcess } from '../rig/gateway.ts';
import { freePorts } from '../rig/ports.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { type RedisCluster, startRedisCluster } from '../rig/redis-cluster.ts';
import { makeToken } from '../rig/tokens.ts';
import { waitFor } from '../rig/wait-for.ts';
import { openGateway, Writers } from './stage.ts';

const as = makeToken({ claims: { sub: 'ann', rooms: { '*': 'viewer' } } });

describe('a gateway that is started', () => {
  let server: RedisServer;
  let cluster: RedisCluster;
  before(async () => {
    const [port = 0] = await freePorts(1);
    server = await startRedis({ port });
    cluster = await startRedisCluster({ primaries: 2, hasReplicas: false });
  });
  after(async () => {
    await server.stop();
    await cluster.stop();
  });

  const refused = async (url: string): Promise<string> => {
    const answer = await openGateway(url, 'one').catch((error: SettingsError) => error);
    assert.ok(answer instanceof Error, 'it started');
    assert.equal(answer.name, 'SettingsError');
    return answer.message;
  };

  test('for a cluster stops where there is none, and where the form is wrong', async () => {
    assert.equal(
      await refused(`redis+cluster://127.0.0.1:${server.port}`),
      'REDIS_URL begins with redis+cluster, but the server is no Redis Cluster.',
    );
    assert.match(await refused(`redis://one:${server.port},two`), /^REDIS_URL must name one server/);
  });

  test('as a process ends with that sentence and nothing else', async () => {
    const gateway = await startGatewayProcess({ REDIS_URL: 'redis+cluster://:kurz@one,two/7' });
    assert.equal(await gateway.exited, 1);
    assert.equal(gateway.stderr(), 'REDIS_URL must name no database: a cluster has only one.\n');
    await gateway.close();
  });

  test('for one server that is a node of a cluster says what is wrong, once', async () => {
    const gateway = await openGateway(`redis://127.0.0.1:${cluster.nodes[0]?.port}`, 'one');
    for (let n = 0; n < 20; n += 1) await gateway.tryPost('comment', { text: 'somewhere' }, { room: `room-${n}`, as });
    assert.equal(gateway.lines.filter((line) => line.includes('make it begin with redis+cluster')).length, 1);
    await gateway.close();
  });

  test('before its cluster is there waits for it, refuses meanwhile, and works once it comes', async () => {
    await Promise.all(cluster.nodes.map((node) => node.kill('SIGTERM')));
    let gateway: RunningGateway | null = null;
    try {
      gateway = await openGateway(cluster.url, 'one');
      assert.equal(gateway.gateway.log.isReady(), false);
      assert.equal((await gateway.tryPost('comment', { text: 'too early' })).json['code'], 'log-unavailable');
      await Promise.all(cluster.nodes.map((node) => node.restart()));
      const { log } = gateway.gateway;
      await waitFor(() => log.isReady(), { what: 'the cluster to be found', timeoutMs: 10_000 });
      assert.equal(await new Writers([gateway]).write(3), 3);
    } finally {
      await gateway?.close();
    }
  });
});
