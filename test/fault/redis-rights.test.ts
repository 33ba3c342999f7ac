/**
 * A Redis that denies a right: the gateway is not ready, names it in Redis' own word, writes nothing twice, and goes on
 * by itself once it is granted.
 */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { RoomId } from '../../src/model.ts';
import { type RunningGateway, room } from '../rig/gateway.ts';
import { logKey } from '../rig/keys.ts';
import { type GuardedRedis, leastRights, startGuardedRedis } from '../rig/least-rights.ts';
import { Viewer } from '../rig/viewer.ts';
import { waitFor } from '../rig/wait-for.ts';
import { allReach, assertNobodyLost, historyOf, openGateway, readinessOf, seatViewers, Writers } from './stage.ts';

const id = room as RoomId;
const gift = { gift: 'rose', count: 1 };

describe('a Redis that denies', () => {
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

  const grant = (...rights: string[]) => server.cli('acl', 'setuser', 'some', ...rights);

  const { ready, told, isReadyAgain, lines } = readinessOf(() => gateway);
  /** How many entries of a kind the room's log has. */
  const kept = async (kind: string): Promise<number> =>
    (await server.cli('xrange', logKey(id), '-', '+')).split('\n').filter((line) => line.includes(` ${kind} `)).length;

  /** Repeats keyed writes, as a client does that is told to; then grants the rest, and each is there once. */
  async function assertOnce(giveBack: () => Promise<unknown>): Promise<string> {
    const keyed = [
      ['comment', { text: 'once' }],
      ['gift', gift],
    ] as const;
    const as = gateway.token('ann');
    const before = await kept('gift');
    for (let n = 0; n < 4; n += 1)
      for (const [kind, body] of keyed) await gateway.tryPost(kind, body, { key: `${kind}-1`, as });
    await giveBack();
    await isReadyAgain();
    for (const [kind, body] of keyed) await gateway.post(kind, body, { key: `${kind}-1`, as });
    assert.deepEqual([await kept('comment'), (await kept('gift')) - before, await kept('direct')], [1, 1, before + 1]);
    return gateway.post('signal', { type: 'last', data: {} });
  }

  for (const [missing, named] of [
    ['resetchannels', /SPUBLISH rs:\*.*can't publish to the channel|SPUBLISH rs:\*.*NOPERM/],
    ['-spublish', /SPUBLISH/],
    ['-ssubscribe', /SSUBSCRIBE rs:\*.*'ssubscribe' command/],
    ['-sunsubscribe', /SUNSUBSCRIBE.*'sunsubscribe' command/],
    ['-function|load', /FUNCTION LOAD: NOPERM.*'function\|load' command/],
    ['-fcall', /FCALL.*'fcall' command/],
    ['-info', /INFO/],
    ['-time', /TIME/],
    ['-set', /SET: /],
    ['-xadd', /XADD: /],
    ['-xsetid -hscan', /XSETID, HSCAN: |XSETID: .*HSCAN: /],
    ['resetkeys', /keys rs:\*.*NOPERM/],
    ['resetkeys %R~rs:*', /keys rs:\*.*NOPERM/],
    ['resetkeys ~rs:{match-7}:log', /keys rs:\*.*NOPERM/],
  ] as const) {
    test(`without a right (${missing}) it is not ready and names it, writes nothing, and goes on once it is granted`, async () => {
      await server.setRights(leastRights);
      await grant(...missing.split(' '));
      gateway = await openGateway(server.guardedUrl, 'one');
      const { status, reason } = await ready();
      assert.equal(status, 503);
      assert.match(reason, named);
      assert.equal(lines(named).length, 1, 'one line says it');
      const { status: answered, json } = await gateway.tryPost('comment', { text: 'no' }, { key: 'k' });
      assert.ok(answered === 503 || missing.includes('subscribe'), `answered ${answered} ${json['code']}`);
      if (answered === 503) assert.equal(json['code'], 'log-unavailable');
      assert.ok(answered === 202 || (await server.cli('keys', '*')) === '', 'something was written');
      await server.setRights(leastRights);
      await isReadyAgain();
      const viewer = new Viewer({ id: 'ann', isStaff: false, tags: [] }, false);
      await viewer.come(gateway);
      const last = await gateway.post('comment', { text: 'yes' });
      await waitFor(() => viewer.lastId === last, { what: 'the viewer to have it' });
      viewer.leave();
    });
  }

  test('a user with all commands and keys and no channels writes nothing, however often it is repeated', async () => {
    await server.setRights('~* +@all resetchannels');
    gateway = await openGateway(server.guardedUrl, 'one');
    assert.equal((await ready()).status, 503);
    await assertOnce(() => grant('&*'));
  });

  for (const taken of [
    'resetchannels',
    '-spublish',
    '-ssubscribe',
    '-xadd',
    '-expire',
    '-hset',
    '-fcall',
    '-info',
    '-@all',
    'off',
  ]) {
    test(`a right that is taken away while it runs (${taken}) is named, doubles nothing, and may be given back`, async () => {
      await server.setRights(leastRights);
      gateway = await openGateway(server.guardedUrl, 'one');
      await gateway.post('gift', gift, { as: gateway.token('ann'), key: 'gift-0' });
      const viewers = await seatViewers([gateway]);
      await grant(taken);
      if (taken === 'off') await server.cli('client', 'kill', 'user', 'some');
      const last = await assertOnce(async () => {
        await told(/denies a command that a gateway needs|WRONGPASS|is unreachable/);
        await grant('on');
        await server.setRights(leastRights);
      });
      await allReach(viewers, Number(last.split('.')[1]));
      for (const viewer of viewers) assert.equal(viewer.isOpen, true);
      for (const viewer of viewers) viewer.leave();
    });
  }

  test('gateways, viewers and writers lose nothing under the least rights when Redis is restarted', async () => {
    const own = await startGuardedRedis(leastRights, { appendOnly: true });
    gateway = await openGateway(own.guardedUrl, 'one');
    const two = await openGateway(own.guardedUrl, 'two');
    try {
      const viewers = await seatViewers([gateway, two]);
      const writers = new Writers([gateway, two]);
      writers.start();
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        const enough = writers.acknowledged.length + 40;
        await waitFor(() => writers.acknowledged.length >= enough, { what: 'writes', timeoutMs: 15_000 });
        await own.kill(signal);
        await own.restart();
      }
      await writers.stop();
      await allReach(viewers, await writers.write(5));
      assertNobodyLost(viewers, await historyOf(own, writers.acknowledged));
      assert.equal(await own.cli('acl', 'log'), '');
      for (const viewer of viewers) viewer.leave();
    } finally {
      await two.close();
      await gateway.close();
      await own.stop();
    }
  });
});
