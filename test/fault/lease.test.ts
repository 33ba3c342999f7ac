/**
 * What happens to signals for one user alone where the node that has the user was away for longer than its lease: stopped,
 * or without a way to call the log while it still hears it. They come late, and none is passed over.
 */

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { durable } from '../contract/redis-stage.ts';
import { type GatewayProcess, type RunningGateway, startGatewayProcess } from '../rig/gateway.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { type RedisProxy, startRedisProxy } from '../rig/redis-proxy.ts';
import { secret } from '../rig/tokens.ts';
import type { Viewer } from '../rig/viewer.ts';
import { waitFor } from '../rig/wait-for.ts';
import { allReach, assertNobodyLost, historyOf, openGateway, seatViewers, Writers } from './stage.ts';

/** Longer than a lease, on a busy machine. */
const lapseMs = 40_000;

/** One gateway that goes on, whose writers keep what it acknowledged, and viewers of one that is to lapse. */
async function openStage(context: TestContext) {
  const server: RedisServer = await startRedis(durable);
  const other = await openGateway(server.url, 'two');
  const writers = new Writers([other]);
  let viewers: Viewer[] = [];
  context.after(async () => {
    for (const viewer of viewers) viewer.leave();
    await other.close();
    await server.stop();
  });
  return {
    server,
    async seatAt(gateway: Pick<RunningGateway, 'url'>): Promise<void> {
      viewers = await seatViewers([gateway]);
      await allReach(viewers, await writers.write(5));
    },
    /** Settles when the log publishes nothing to the node that has bob any more; what it was told meanwhile is for bob. */
    async lapse(): Promise<void> {
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
      await waitFor(hasLapsed, { what: 'the lease to run out', timeoutMs: lapseMs, everyMs: 100 });
      await writers.write(10);
    },
    async assertHealed(): Promise<void> {
      const offset = await writers.write(5);
      await allReach(viewers, offset);
      assertNobodyLost(viewers, await historyOf(server, writers.acknowledged));
    },
  };
}

// Both wait for a lease to run out, and so at the same time.
describe('a node that is away for longer than its lease', { concurrency: true }, () => {
  test('a gateway that was stopped gives what it missed when it goes on', async (context) => {
    const stage = await openStage(context);
    const environment = { TOKEN_SECRET: secret, NODE_ID: 'one', REDIS_URL: stage.server.url, RENEW_MS: '300' };
    const stopped: GatewayProcess = await startGatewayProcess({ ...environment, RATE_SCALE: '100000' });
    try {
      const [, url = ''] = await stopped.prints(/listens on (http:[^" ]+)/);
      await stage.seatAt({ url });
      stopped.kill('SIGSTOP');
      await stage.lapse();
      stopped.kill('SIGCONT');
      await stage.assertHealed();
    } finally {
      await stopped.close();
    }
  });

  test('a gateway that still hears the log but cannot call it holds back what it cannot vouch for', async (context) => {
    const stage = await openStage(context);
    const proxy: RedisProxy = await startRedisProxy(stage.server);
    const deaf = await openGateway(proxy.url, 'one');
    try {
      await stage.seatAt(deaf);
      proxy.setMode('no-calls');
      await stage.lapse();
      proxy.setMode('pass');
      await waitFor(() => deaf.gateway.log.isReady(), { what: 'the link to heal', timeoutMs: 20_000 });
      await stage.assertHealed();
    } finally {
      proxy.setMode('pass');
      await deaf.close();
      await proxy.close();
    }
  });
});
