/** What somebody else may write into a room's keys and channels: the process lives, and what is lost is declared. */

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import type { RoomId } from '../../src/model.ts';
import { type RunningGateway, room, tokenOf } from '../rig/gateway.ts';
import {
  audienceKey,
  logKey,
  metaKey,
  nodeChannel,
  nodesKey,
  roomChannel,
  rulesKey,
  stateKey,
  whereKey,
} from '../rig/keys.ts';
import { splitId } from '../rig/ledger.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { makeToken } from '../rig/tokens.ts';
import type { Viewer } from '../rig/viewer.ts';
import { waitFor } from '../rig/wait-for.ts';
import { allReach, assertNobodyLost, historyOf, judgeViewer, openGateway, seatViewers, Writers } from './stage.ts';

const id = room as RoomId;

describe('a Redis that somebody else writes to', () => {
  let server: RedisServer;
  let gateway: RunningGateway;
  let writers: Writers;
  let viewers: Viewer[];
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());
  beforeEach(async () => {
    await server.flush();
    gateway = await openGateway(server.url, 'one');
    writers = new Writers([gateway]);
    viewers = await seatViewers([gateway]);
  });
  afterEach(async () => {
    for (const viewer of viewers) viewer.leave();
    await gateway.close();
  });

  /** A room of the same gateway and Redis that nobody has touched. */
  async function assertOthersGoOn(): Promise<void> {
    const as = makeToken({ claims: { sub: 'ann', rooms: { other: 'viewer' } } });
    await gateway.post('comment', { text: 'here all is well' }, { room: 'other', as });
  }

  async function leaveAfter(writes: number): Promise<Viewer[]> {
    const leaving = await seatViewers([gateway]);
    await allReach([...viewers, ...leaving], await writers.write(writes));
    for (const viewer of leaving) viewer.leave();
    return leaving;
  }

  async function comeAgain(returning: readonly Viewer[], offset: number, over = gateway): Promise<void> {
    for (const viewer of returning) await viewer.come(over);
    await allReach(returning, offset);
    for (const viewer of returning) viewer.leave();
  }

  test('garbage on the channels is left out with a line in the log, and costs nobody an entry', async () => {
    await allReach(viewers, await writers.write(5));
    const heads = `6 5 abc 1795379114000`;
    for (const text of [
      'garbage',
      '',
      '\n',
      '+',
      '+likes x',
      '+li\rkes 3',
      '=',
      '= ann',
      '=soon ann',
      '1 2 3',
      '{"type":"entry"}',
      `${heads} comment chat all`,
      `${heads} comment chat all\nno json`,
      `${heads} comment chat all\n"text"`,
      `${heads} comment chat nobody\n{}`,
      `${heads} com\rment chat all\n{}`,
      `${heads} comment loud all\n{}`,
      `${heads} ban must users\nann`,
      `${heads} ban must all\n{"user"`,
      `x 5 abc 1 comment chat all\n{}`,
    ]) {
      await server.cli('spublish', roomChannel(id), text);
      await server.cli('spublish', nodeChannel(id, 'one'), text);
    }
    await allReach(viewers, await writers.write(10));
    assert.ok(gateway.lines.some((line) => line.includes('not written by a gateway')));
    assertNobodyLost(viewers, await historyOf(server, writers.acknowledged));
  });

  for (const [name, entry] of [
    ['with an id of its time', '*'],
    ['with the next number', '6-0'],
    ['beside the last one', '5-1'],
    ['far ahead', '999999-7'],
  ] as const) {
    test(`a strange entry ${name} is never served, and the room goes on`, async () => {
      const returning = await leaveAfter(5);
      await server.cli('xadd', logKey(id), entry, 'who', 'knows');
      const late = await seatViewers([gateway]);
      const offset = await writers.write(10);
      await allReach([...viewers, ...late], offset);
      for (const viewer of late) viewer.leave();
      await comeAgain(returning, offset);
      await assertOthersGoOn();
      assertNobodyLost([...viewers, ...late, ...returning], await historyOf(server, writers.acknowledged));
    });
  }

  for (const [name, isLeftOut, spoil] of [
    ['deleted', true, async () => void (await server.cli('xdel', logKey(id), '7-0', '8-0'))],
    [
      'replaced by garbage',
      // It is the oldest entry then, and is trimmed like one that is too old.
      false,
      async () => {
        await server.cli('del', logKey(id));
        await server.cli('xadd', logKey(id), '8-0', 'e', '8 7 garbage');
      },
    ],
  ] as const) {
    test(`entries that were ${name} are a declared gap for who needs them, and nothing to the others`, async (t) => {
      const returning = await leaveAfter(5);
      await allReach(viewers, await writers.write(5));
      await spoil();
      const offset = await writers.write(5);
      await allReach(viewers, offset);
      // The gateway that they come to has no tape of the room, so it must read the log.
      const other = await openGateway(server.url, 'two');
      t.after(() => other.close());
      await comeAgain(returning, offset, other);
      const ledger = await historyOf(server, writers.acknowledged);
      assertNobodyLost(viewers, ledger);
      for (const viewer of returning) assert.deepEqual(judgeViewer(viewer, ledger).declared, ['trimmed']);
      assert.equal(
        other.lines.some((line) => line.includes('unreadable or missing')),
        isLeftOut,
      );
      const answer = await other.ask(`/rooms/${room}/events?after=${ledger.tip?.epoch}.6`, {
        headers: { authorization: `Bearer ${tokenOf('ann')}` },
      });
      assert.deepEqual([answer.json['verdict'], answer.json['cause']], ['gap', 'trimmed']);
    });
  }

  for (const [name, key] of Object.entries({ logKey, metaKey, stateKey, rulesKey, whereKey, nodesKey, audienceKey })) {
    test(`a key of another type (${name}) is trouble for its room alone, and over when it is gone`, async () => {
      await allReach(viewers, await writers.write(10));
      await server.cli('del', key(id));
      await server.cli('set', key(id), 'poison');
      for (const kind of ['comment', 'direct']) {
        const body = kind === 'comment' ? { text: 'x' } : { to: ['bob'], type: 'note', data: { text: 'x' } };
        const { status } = await gateway.tryPost(kind, body, { key: kind });
        assert.ok(status === 202 || status === 503, `${kind} was answered ${status}`);
      }
      const asked = await gateway.ask(`/rooms/${room}/state`, {
        headers: { authorization: `Bearer ${tokenOf('ann')}` },
      });
      assert.ok([200, 503].includes(asked.status), asked.text);
      await assertOthersGoOn();
      for (const viewer of viewers) assert.equal(viewer.isOpen, true);
      await server.cli('del', key(id));
      const kept = await gateway.post('comment', { text: 'well again' });
      for (const viewer of viewers) {
        await waitFor(() => viewer.lastId === kept, { what: `${viewer.person.id} to go on`, timeoutMs: 8000 });
      }
    });
  }

  test('meta that makes no sense is trouble for its room alone, and over when it is gone', async () => {
    for (const [field, value] of [
      ['lineage', 'who:knows what'],
      ['offset', 'many'],
      ['epoch', 'not an epoch'],
      ['published', 'nothing'],
      ['touched', 'never'],
    ] as const) {
      const { epoch } = splitId(await gateway.post('comment', { text: field }));
      await server.cli('hset', metaKey(id), field, value);
      const { status } = await gateway.tryPost('comment', { text: 'x' });
      assert.ok(status === 202 || status === 503, `${field}: ${status}`);
      await waitFor(() => gateway.gateway.hub.viewers === viewers.length, { what: 'every viewer to stay' });
      await assertOthersGoOn();
      await server.cli('del', metaKey(id));
      const kept = await gateway.post('comment', { text: 'well again' });
      assert.notEqual(splitId(kept).epoch, epoch);
      for (const viewer of viewers) {
        await waitFor(() => viewer.lastId === kept, {
          what: `${viewer.person.id} to go on after ${field}`,
          timeoutMs: 8000,
        });
      }
    }
  });
});
