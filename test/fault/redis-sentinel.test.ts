/**
 * What viewers and writers see of a primary that sentinels replace: a pause. Where the replica was behind, whoever saw
 * what is gone is told; nobody else.
 */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { RunningGateway } from '../rig/gateway.ts';
import { splitId } from '../rig/ledger.ts';
import { leaveBehind } from '../rig/redis.ts';
import { primaryName, type SentinelStage, startSentinelStage } from '../rig/redis-sentinel.ts';
import type { Viewer } from '../rig/viewer.ts';
import { waitFor } from '../rig/wait-for.ts';
import { allReach, assertNobodyLost, historyOf, judgeViewer, openGateway, seatViewers, Writers } from './stage.ts';

/** So rare that no viewer could wait for it: what is heard again is heard because it was subscribed again. */
const environment = { RENEW_MS: '10000' };

describe('a primary that sentinels watch', () => {
  let stage: SentinelStage;
  let gateways: readonly RunningGateway[];
  let writers: Writers;
  let viewers: Viewer[];
  beforeEach(async () => {
    stage = await startSentinelStage();
    gateways = [await openGateway(stage.url, 'one', environment), await openGateway(stage.url, 'two', environment)];
    writers = new Writers(gateways);
    viewers = await seatViewers(gateways);
  });
  afterEach(async () => {
    for (const viewer of viewers) viewer.leave();
    for (const gateway of gateways) await gateway.close();
    await stage.stop();
  });

  const promoted = () =>
    waitFor(async () => (await stage.agreedPort()) === stage.replica.port, {
      what: 'the sentinels to agree on the new primary',
      timeoutMs: 20_000,
    });

  async function hasWritten(more: number): Promise<void> {
    const goal = writers.acknowledged.length + more;
    await waitFor(() => writers.acknowledged.length >= goal, { what: `${more} more writes`, timeoutMs: 20_000 });
  }

  test('dies with writes that nobody else has: a gap for who saw them, and for nobody else', async () => {
    const quiet = new Writers(gateways, 'quiet');
    const quietViewers = await seatViewers(gateways, 'quiet');
    viewers.push(...quietViewers);
    const live = viewers.slice(0, 6);
    await allReach(quietViewers, await quiet.write(10));
    await allReach(live, await writers.write(20));
    const early = await seatViewers(gateways);
    await allReach(early, 20);
    for (const viewer of early) viewer.leave();
    await leaveBehind(stage.primary, stage.replica);
    await allReach(live, await writers.write(10));
    await stage.primary.kill('SIGKILL');
    await stage.replica.kill('SIGCONT');
    await promoted();
    const offset = await writers.write(20);
    await allReach(live, offset);
    await allReach(quietViewers, await quiet.write(10));
    for (const viewer of early) await viewer.come(gateways[0] ?? assert.fail());
    await allReach(early, offset);
    viewers.push(...early);
    const ledger = await historyOf(stage, writers.acknowledged);
    for (const viewer of live)
      assert.deepEqual(judgeViewer(viewer, ledger), { verdicts: ['fresh'], declared: ['failover'] });
    for (const viewer of early)
      assert.deepEqual(judgeViewer(viewer, ledger), { verdicts: ['fresh', 'exact'], declared: [] });
    for (const viewer of [...live, ...quietViewers]) assert.equal(viewer.streams.length, 1, 'its stream was never cut');
    assertNobodyLost(quietViewers, await historyOf(stage, quiet.acknowledged, 'quiet'));
    const offsets = writers.acknowledged.map(({ id }) => splitId(id).offset);
    assert.ok(new Set(offsets).size < offsets.length, 'numbers were handed out again');
  });

  test('is replaced in good order under load: streams stay, and nothing that was acknowledged is lost unsaid', async () => {
    writers.start();
    await hasWritten(50);
    await stage.sentinels[0]?.cli('sentinel', 'failover', primaryName);
    await promoted();
    await hasWritten(100);
    await writers.stop();
    await allReach(viewers, await writers.write(5));
    const ledger = await historyOf(stage, writers.acknowledged);
    for (const viewer of viewers) {
      const { declared, verdicts } = judgeViewer(viewer, ledger);
      assert.deepEqual(verdicts, ['fresh']);
      assert.ok(declared.length <= 1 && declared.every((cause) => cause === 'failover'), declared.join());
    }
    assert.equal(
      viewers.every(({ isOpen }) => isOpen),
      true,
    );
  });

  test('stands still, is replaced, and goes on believing itself primary: nobody listens to it any more', async () => {
    writers.start();
    await hasWritten(50);
    await stage.primary.kill('SIGSTOP');
    try {
      await waitFor(() => writers.refusals.length > 0, {
        what: 'writes to fail, each by its deadline',
        timeoutMs: 10_000,
      });
      await promoted();
      await hasWritten(100);
    } finally {
      await stage.primary.kill('SIGCONT');
    }
    await waitFor(async () => (await stage.primary.cli('role')).startsWith('slave'), {
      what: 'the old primary to be put in its place',
      timeoutMs: 20_000,
    });
    await hasWritten(50);
    await writers.stop();
    await allReach(viewers, await writers.write(5));
    const ledger = await historyOf(stage, writers.acknowledged);
    for (const viewer of viewers) {
      const { declared, verdicts } = judgeViewer(viewer, ledger);
      assert.deepEqual(verdicts, ['fresh'], 'its stream stayed');
      assert.ok(declared.length <= 1 && declared.every((cause) => cause === 'failover'), declared.join());
    }
  });
});
