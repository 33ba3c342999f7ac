/**
 * What happens to signals for one user alone where the node that has the user was away for longer than its lease: stopped,
 * or without a way to call the log while it still hears it. They come late, and none is passed over.
 */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { durable } from '../contract/redis-stage.ts';
import { type GatewayProcess, type RunningGateway, startGatewayProcess } from '../rig/gateway.ts';
import { type RedisProxy, type RedisServer, startRedis, startRedisProxy } from '../rig/redis-server.ts';
import { secret } from '../rig/tokens.ts';
import { waitFor } from '../rig/wait-for.ts';
import { allReach, assertNobodyLost, historyOf, openGateway, seatViewers, type Viewer, Writers } from './stage.ts';

/** Longer than a lease, on a busy machine. */
const lapseMs = 40_000;

describe('a node that is away for longer than its lease', () => {
  let server: RedisServer;
  let other: RunningGateway;
  let writers: Writers;
  let viewers: Viewer[];
  beforeEach(async () => {
    server = await startRedis(durable);
    other = await openGateway(server.url, 'two');
    writers = new Writers([other]);
    viewers = [];
  });
  afterEach(async () => {
    for (const viewer of viewers) viewer.leave();
    await other.close();
    await server.stop();
  });

  /** Settles when the log publishes nothing to the node that has bob any more; what it was told meanwhile is for bob. */
  async function lapse(): Promise<void> {
    let number = 0;
    const hasLapsed = async (): Promise<boolean> => {
      number += 1;
      const mark = `direct ${number}`;
      const answer = await other.tryPost('direct', { to: ['bob'], type: 'note', data: { text: mark } });
      assert.equal(answer.status, 202, answer.text);
      writers.acknowledged.push({ id: String(answer.json['id']), seen: { users: ['bob'] }, mark, part: null });
      // Something for everybody moves the node past what it was not sent.
      await writers.write(1);
      return answer.json['connected'] === 0;
    };
    await waitFor(hasLapsed, { what: 'the lease to run out', timeoutMs: lapseMs });
    await writers.write(10);
  }

  async function assertHealed(): Promise<void> {
    const offset = await writers.write(5);
    await allReach(viewers, offset);
    assertNobodyLost(viewers, await historyOf(server, writers.acknowledged));
  }

  test('a gateway that was stopped gives what it missed when it goes on', async () => {
    const environment = { TOKEN_SECRET: secret, NODE_ID: 'one', REDIS_URL: server.url, RENEW_MS: '300' };
    const stopped: GatewayProcess = await startGatewayProcess({ ...environment, RATE_SCALE: '100000' });
    try {
      const [, url = ''] = await stopped.prints(/listens on (http:[^" ]+)/);
      viewers = await seatViewers([{ url }]);
      await allReach(viewers, await writers.write(5));
      stopped.kill('SIGSTOP');
      await lapse();
      stopped.kill('SIGCONT');
      await assertHealed();
    } finally {
      await stopped.close();
    }
  });

  test('a gateway that still hears the log but cannot call it holds back what it cannot vouch for', async () => {
    const proxy: RedisProxy = await startRedisProxy(server);
    const deaf = await openGateway(proxy.url, 'one');
    try {
      viewers = await seatViewers([deaf]);
      await allReach(viewers, await writers.write(5));
      proxy.setMode('no-calls');
      await lapse();
      proxy.setMode('pass');
      await waitFor(() => deaf.gateway.log.isReady(), { what: 'the link to heal', timeoutMs: 20_000 });
      await assertHealed();
    } finally {
      proxy.setMode('pass');
      await deaf.close();
      await proxy.close();
    }
  });
});
