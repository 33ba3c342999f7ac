/** What viewers are told when Redis loses one key of their room, as it does under an evicting policy. */

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { RoomId } from '../../src/model.ts';
import { type RunningGateway, room, tokenOf } from '../rig/gateway.ts';
import { metaKey, nodesKey, rulesKey, stateKey, whereKey } from '../rig/keys.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { readStream, type StreamReader, watch } from '../rig/stream-reader.ts';
import { openGateway } from './stage.ts';

describe('a Redis that loses one key of a room', () => {
  let server: RedisServer;
  let one: RunningGateway;
  let two: RunningGateway;
  const readers: StreamReader[] = [];
  beforeEach(async () => {
    server = await startRedis();
    one = await openGateway(server.url, 'one');
    two = await openGateway(server.url, 'two');
  });
  afterEach(async () => {
    for (const reader of readers.splice(0)) reader.close();
    for (const gateway of [one, two]) await gateway.close();
    await server.stop();
  });

  async function seat(gateway: RunningGateway, user: string, headers = {}): Promise<StreamReader> {
    const reader = await watch(gateway.url, { token: tokenOf(user), headers });
    readers.push(reader);
    return reader;
  }
  const lose = (key: (id: RoomId) => string) => server.cli('del', key(room as RoomId));
  const partsOf = (reader: StreamReader): string[] =>
    Object.keys((reader.named('state').at(-1)?.data['parts'] ?? {}) as object);

  for (const [name, key, left] of [
    ['state', stateKey, ['likes']],
    ['meta', metaKey, ['likes', 'title']],
  ] as const) {
    test(`${name}: who watches gets a gap and the whole state, who returns a reset and the same`, async () => {
      await one.put('title', { text: 'Final' });
      await one.post('like', { count: 5 }, { as: tokenOf('ann') });
      const gone = await seat(two, 'cem');
      const { lastId } = gone;
      gone.close();
      const open = [await seat(one, 'ann'), await seat(two, 'ben')];
      await lose(key);
      for (const reader of open) {
        const { data } = await reader.first('gap');
        assert.deepEqual([data['lane'], data['cause'], data['missed']], ['all', 'failover', null]);
        await reader.until(() => reader.named('state').length > 1, 'the state');
        assert.equal(reader.named('state').at(-1)?.data['whole'], true);
        assert.deepEqual(partsOf(reader).toSorted(), left);
      }
      const back = await seat(one, 'cem', { 'last-event-id': lastId });
      assert.equal(back.named('resume')[0]?.data['verdict'], 'reset');
      assert.deepEqual(partsOf(back).toSorted(), left);
      const id = await two.post('comment', { text: 'on we go' });
      for (const reader of [...open, back]) await reader.until(() => reader.lastId === id, 'what comes then');
    });
  }

  test('meta or rules: who is banned gets in nowhere, and a room that has ended stays ended', async () => {
    await one.post('ban', { user: 'ann' });
    for (const key of [metaKey, rulesKey, metaKey, rulesKey]) {
      const ben = await seat(one, 'ben');
      await lose(key);
      assert.equal((await two.tryPost('comment', { text: 'x' }, { as: tokenOf('ann') })).json['code'], 'banned');
      assert.equal((await readStream(two.url, { token: tokenOf('ann') })).status, 204);
      ben.close();
    }
    await one.post('end', {});
    for (const key of [metaKey, rulesKey, metaKey]) {
      await lose(key);
      assert.equal((await two.tryPost('comment', { text: 'x' })).json['code'], 'room-ended');
      assert.equal((await readStream(one.url, { token: tokenOf('ben') })).status, 204);
    }
  });

  for (const [name, key] of Object.entries({ whereKey, nodesKey })) {
    test(`${name}: no direct signal is lost, whenever it is sent`, async () => {
      const ann = await seat(one, 'ann');
      const ben = await seat(two, 'ben');
      const sent: string[] = [];
      for (let n = 0; n < 40; n += 1) {
        if (n % 10 === 5) await lose(key);
        // What everybody hears moves positions past what somebody may have missed.
        sent.push(await one.post('direct', { to: ['ann', 'ben'], type: 'a', data: { n } }));
        await two.post('comment', { text: `${n}` });
      }
      for (const reader of [ann, ben]) {
        await reader.until(() => reader.named('comment').length === 40, 'the comments');
        const got = reader.named('direct').map(({ id }) => id);
        assert.deepEqual(got, sent);
        assert.equal(reader.named('gap').length, 0);
      }
    });
  }
});
