import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import type { RoomId } from '../../src/model.ts';
import { type Answer, type RunningGateway, startGateway, tokenOf } from '../rig/gateway.ts';
import { nodeChannel, roomChannel } from '../rig/keys.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { type ReadOptions, type StreamReader, watch } from '../rig/stream-reader.ts';

const writers = 4;
const writesEach = 50;

let redis: RedisServer;
let east: RunningGateway;
let west: RunningGateway;
let spy: Redis;
const readers: StreamReader[] = [];
let rooms = 0;
let room = '';

before(async () => {
  redis = await startRedis();
  const start = (nodeId: string): Promise<RunningGateway> =>
    startGateway({ redisUrl: redis.url, environment: { NODE_ID: nodeId, COUNT_MS: '10' } });
  [east, west] = await Promise.all([start('east'), start('west')]);
  spy = new Redis({ path: redis.socketPath });
});
after(async () => {
  spy?.disconnect();
  await Promise.all([east, west].map((gateway) => gateway?.close()));
  await redis?.stop();
});
afterEach(() => {
  for (const reader of readers.splice(0)) reader.close();
});

const newRoom = (): void => {
  rooms += 1;
  room = `pair-${rooms}`;
};
const tokenIn = (sub: string, role = 'viewer'): string => tokenOf(sub, role, { rooms: { '*': role } });
const seat = async (gateway: RunningGateway, sub: string, options: ReadOptions = {}): Promise<StreamReader> => {
  const reader = await watch(gateway.url, { room, token: tokenIn(sub), ...options });
  readers.push(reader);
  return reader;
};
const beat = (gateway: RunningGateway, mark: string, key?: string): Promise<Answer> =>
  gateway.tryPost(
    'signal',
    { type: 'beat', data: { mark } },
    { room, as: tokenIn('hanna', 'host'), ...(key === undefined ? {} : { key }) },
  );
const marks = (reader: StreamReader): string[] =>
  reader.named('beat').map(({ data }) => (data['data'] as { mark: string }).mark);
const ids = (reader: StreamReader): (string | undefined)[] => reader.named('beat').map(({ id }) => id);
const offsets = (reader: StreamReader): number[] => ids(reader).map((id) => Number(id?.split('.')[1]));
const assertRising = (numbers: readonly number[]): void =>
  assert.deepEqual(
    numbers,
    [...new Set(numbers)].sort((a, b) => a - b),
  );

/** Writers that go through both gateways in turn, all at the same time. */
const writeAll = (): Promise<unknown> =>
  Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let n = 0; n < writesEach; n += 1) {
        const { status, text } = await beat((writer + n) % 2 === 0 ? east : west, `${writer}-${n}`);
        assert.equal(status, 202, text);
      }
    }),
  );

describe('two gateways on one Redis', () => {
  it('show the same events in the same order, whichever gateway they were written and watched through', async () => {
    newRoom();
    const gzip = { headers: { 'accept-encoding': 'gzip' } };
    const all = [await seat(east, 'ann'), await seat(west, 'bob'), await seat(west, 'cem', gzip)];
    await writeAll();
    const total = writers * writesEach;
    for (const reader of all) await reader.until(() => marks(reader).length >= total, 'every beat');
    const first: StreamReader | undefined = all[0];
    assert.ok(first);
    assert.equal(new Set(marks(first)).size, total);
    assertRising(offsets(first));
    for (const reader of all) {
      assert.deepEqual(ids(reader), ids(first));
      assert.deepEqual(marks(reader), marks(first));
      assert.equal(reader.named('gap').length, 0);
    }
    // What one writer wrote comes in the order in which it was answered.
    for (let writer = 0; writer < writers; writer += 1) {
      const own: string[] = marks(first).filter((mark) => mark.startsWith(`${writer}-`));
      assert.deepEqual(
        own,
        Array.from({ length: writesEach }, (_, n) => `${writer}-${n}`),
      );
    }
  });

  it('let a viewer that was cut off one resume on the other, exactly, again and again', async () => {
    newRoom();
    const control = await seat(east, 'con');
    const writing = writeAll();
    const got: (string | undefined)[] = [];
    let lastId: string | null = null;
    const total = writers * writesEach;
    for (let turn = 0; got.length < total; turn += 1) {
      assert.ok(turn <= total, 'every turn brings something');
      const headers: Record<string, string> = lastId === null ? {} : { 'last-event-id': lastId };
      const reader = await seat(turn % 2 === 0 ? east : west, 'ann', { headers, query: { history: '200' } });
      const verdict = (await reader.first('resume')).data['verdict'];
      assert.equal(verdict, lastId === null ? 'fresh' : 'exact');
      const enough = Math.min(total - got.length, 15);
      await reader.until(() => ids(reader).length >= enough, 'some more beats');
      reader.close();
      got.push(...ids(reader));
      lastId = reader.lastId;
      assert.equal(reader.named('gap').length, 0);
    }
    await writing;
    await control.until(() => ids(control).length === total, 'every beat at the control');
    assert.deepEqual(got, ids(control));
  });

  it('share state, likes and moderation', async () => {
    newRoom();
    const [here, there] = [await seat(east, 'ann'), await seat(west, 'bob')];
    await east.ask(`/rooms/${room}/state/score`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${tokenIn('hanna', 'host')}`, 'content-type': 'application/json' },
      body: '{"home":1}',
    });
    await Promise.all([east, west].map((gateway) => gateway.post('like', { count: 20 }, { room, as: tokenIn('ann') })));
    for (const reader of [here, there]) {
      await reader.until(() => reader.named('likes').at(-1)?.data['total'] === 40, 'all the likes');
      const sum = reader.named('likes').reduce((all, { data }) => all + Number(data['delta']), 0);
      assert.equal(sum, 40, 'the sums that were told add up');
      await reader.until(
        () => reader.named('state').some(({ id, data }) => id && 'score' in (data['parts'] as object)),
        'the score',
      );
    }
    await west.post('ban', { user: 'ann' }, { room, as: tokenIn('mo', 'moderator') });
    await here.over();
    assert.equal(here.heard.at(-1)?.data['cause'], 'banned');
    const refused = await east.tryPost('comment', { text: 'but' }, { room, as: tokenIn('ann') });
    assert.equal(refused.json['code'], 'banned');
    assert.equal(there.isOver, false);
  });
});

describe('a direct signal', () => {
  it('reaches its user through the one node that the user is on, and is kept for those who are away', async () => {
    newRoom();
    const channels = [roomChannel(room as RoomId), ...['east', 'west'].map((id) => nodeChannel(room as RoomId, id))];
    const published: string[] = [];
    // How many watch is told to everyone, whenever it changes.
    spy.on('smessage', (channel: string, message: string) => message.startsWith('~') || published.push(channel));
    await spy.ssubscribe(...(channels as [string, ...string[]]));
    const [ann, bob] = [await seat(east, 'ann'), await seat(west, 'bob')];
    const send = (to: readonly string[], text: string): Promise<Answer> =>
      east.tryPost('direct', { to, type: 'text', data: { text } }, { room, as: tokenIn('mo', 'moderator') });
    const texts = (reader: StreamReader): unknown[] =>
      reader.named('direct').map(({ data }) => (data['data'] as { text: string }).text);

    published.length = 0;
    assert.equal((await send(['bob'], 'one')).json['connected'], 1);
    await bob.until(() => texts(bob).length === 1, 'it');
    assert.deepEqual(published, [channels[2]], 'only the node concerned was told');

    published.length = 0;
    assert.equal((await send(['ann', 'bob', 'zoe'], 'two')).json['connected'], 2);
    await ann.until(() => texts(ann).length === 1, 'it');
    await bob.until(() => texts(bob).length === 2, 'it');
    assert.deepEqual([...published].sort(), [channels[1], channels[2]]);

    const lastId = bob.lastId;
    bob.close();
    await bob.until(async () => (await send(['bob'], 'probe')).json['connected'] === 0, 'bob to be known as away');
    published.length = 0;
    await send(['bob'], 'three');
    assert.deepEqual(published, [], 'nobody is told of what is for nobody here');
    const back = await seat(east, 'bob', { headers: { 'last-event-id': lastId } });
    assert.equal((await back.first('resume')).data['verdict'], 'exact');
    await back.until(() => texts(back).at(-1) === 'three', 'what was kept');
    const zoe = await seat(west, 'zoe', { query: { history: '50' } });
    await zoe.until(() => texts(zoe).length === 1, 'hers');
    assert.deepEqual([texts(ann), texts(zoe)], [['two'], ['two']]);
    await spy.sunsubscribe(...(channels as [string, ...string[]]));
  });
});

describe('an idempotency key', () => {
  it('repeated through the other gateway is answered the same, and there is one event', async () => {
    newRoom();
    const reader = await seat(west, 'ann');
    const [first, again] = [await beat(east, 'once', 'k-1'), await beat(west, 'once', 'k-1')];
    assert.deepEqual([first.status, again.status], [202, 202]);
    assert.equal(again.text, first.text);
    const other = await beat(west, 'another', 'k-1');
    assert.deepEqual([other.status, other.json['code']], [422, 'key-reused']);
    await beat(east, 'last');
    await reader.until(() => marks(reader).includes('last'), 'the last one');
    assert.deepEqual(marks(reader), ['once', 'last']);
  });

  it('sent thirty times at once through both is one event', async () => {
    newRoom();
    const reader = await seat(east, 'ann');
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, n) => beat(n % 2 === 0 ? east : west, 'once', 'k-2')),
    );
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([202]));
    assert.equal(new Set(answers.map(({ text }) => text)).size, 1, 'every answer is the same');
    await beat(west, 'last');
    await reader.until(() => marks(reader).includes('last'), 'the last one');
    assert.deepEqual(marks(reader), ['once', 'last']);
  });
});
