/** Redis behind TLS and logins: one server, and a cluster whose other nodes the gateway finds by itself. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import type { RunningGateway } from '../rig/gateway.ts';
import { clusterRights, leastRights } from '../rig/least-rights.ts';
import { freePorts } from '../rig/ports.ts';
import { startRedis } from '../rig/redis.ts';
import { startRedisCluster } from '../rig/redis-cluster.ts';
import type { Viewer } from '../rig/viewer.ts';
import { waitFor } from '../rig/wait-for.ts';
import { allReach, assertNobodyLost, historyOf, openGateway, seatViewers, Writers } from './stage.ts';

const run = promisify(execFile);
const user = 'ring-side';
const password = 'p@ss/w:rd?';
const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
describe('a Redis behind TLS and a login', () => {
  let home: string;
  let lines: readonly string[];
  let cliArgs: readonly string[];
  let trust: string;
  before(async () => {
    home = await mkdtemp(join(tmpdir(), 'ringside-tls-'));
    const [ca, caKey, cert, key, ask] = ['ca.pem', 'ca.key', 'redis.pem', 'redis.key', 'redis.csr'].map((name) =>
      join(home, name),
    );
    assert(ca && caKey && cert && key && ask);
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    await run('openssl', ['req', '-x509', ...curve, '-days', '2', '-subj', '/CN=a test', '-keyout', caKey, '-out', ca]);
    await run('openssl', ['req', ...curve, '-subj', '/CN=redis', '-keyout', key, '-out', ask]);
    await writeFile(join(home, 'names'), 'subjectAltName=IP:127.0.0.1\n');
    const sign = ['-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-days', '2', '-extfile', join(home, 'names')];
    await run('openssl', ['x509', '-req', '-in', ask, ...sign, '-out', cert]);
    const tls = [`tls-cert-file ${cert}`, `tls-key-file ${key}`, `tls-ca-cert-file ${ca}`];
    lines = [...tls, `user ${user} on ">${password}" ${leastRights} ${clusterRights}`];
    cliArgs = ['--tls', '--cacert', ca, '--cert', cert, '--key', key];
    trust = `ssl_ca_certs=${ca}&ssl_certfile=${cert}&ssl_keyfile=${key}`;
  });
  after(() => rm(home, { recursive: true, force: true }));

  async function assertWorks(url: string, cli: (...args: string[]) => Promise<string>, room: string): Promise<void> {
    const gateways: RunningGateway[] = [await openGateway(url, 'one'), await openGateway(url, 'two')];
    let viewers: Viewer[] = [];
    try {
      viewers = await seatViewers(gateways, room);
      const writers = new Writers(gateways, room);
      await allReach(viewers, await writers.write(20));
      assertNobodyLost(viewers, await historyOf({ cli }, writers.acknowledged, room));
    } finally {
      for (const viewer of viewers) viewer.leave();
      for (const gateway of gateways) await gateway.close();
    }
  }

  test('one server: a user with no more rights than needed is enough; without trust or password nothing is said', async () => {
    const [port = 0] = await freePorts(1);
    const server = await startRedis({ port, cliArgs, lines: [`tls-port ${port}`, ...lines] });
    try {
      await assertWorks(`rediss://${login}@127.0.0.1:${port}?${trust}`, server.cli, 'one');
      for (const url of [
        `rediss://${login}@127.0.0.1:${port}`,
        `rediss://${encodeURIComponent(user)}:wrong@127.0.0.1:${port}?${trust}`,
      ]) {
        const gateway = await openGateway(url, 'one');
        const told = () => gateway.lines.find((line) => /WRONGPASS|certificate/.test(line));
        await waitFor(told, { what: 'a line that says why' });
        assert.equal(gateway.gateway.log.isReady(), false);
        assert.ok(gateway.lines.every((line) => !line.includes(password) && !line.includes(login)));
        await gateway.close();
      }
    } finally {
      await server.stop();
    }
  });

  test('a cluster: every node is reached by TLS and with the login, also those that were not named', async () => {
    const cluster = await startRedisCluster({
      hasReplicas: false,
      isTls: true,
      cliArgs,
      prefix: `rediss+cluster://${login}@`,
      suffix: `?${trust}`,
      lines: ['tls-cluster yes', 'tls-replication yes', ...lines],
    });
    try {
      const named = new Set<number>();
      for (let n = 0; named.size < 3; n += 1) {
        const shard = await cluster.shardOf(`room-${n}`);
        if (named.has(shard)) continue;
        named.add(shard);
        await assertWorks(cluster.url, cluster.cli, `room-${n}`);
      }
    } finally {
      await cluster.stop();
    }
  });
});
