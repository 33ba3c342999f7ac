import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Answer, type RunningGateway, startGateway, tokenOf } from '../rig/gateway.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { type ReadOptions, type StreamReader, watch } from '../rig/stream-reader.ts';
import { nowS } from '../rig/tokens.ts';
import { waitFor } from '../rig/wait-for.ts';

/** Where the stream is, and where the session is renewed: one gateway on the embedded log, or two on one Redis. */
interface Pair {
  readonly here: RunningGateway;
  readonly there: RunningGateway;
}

const readers: StreamReader[] = [];
let rooms = 0;
let room = '';

afterEach(() => {
  for (const reader of readers.splice(0)) reader.close();
});

const tokenIn = (sub: string, role = 'viewer', more: Readonly<Record<string, unknown>> = {}): string =>
  tokenOf(sub, role, { rooms: { '*': role }, ...more });
const seat = async ({ url }: RunningGateway, token: string, options: ReadOptions = {}): Promise<StreamReader> => {
  const reader = await watch(url, { room, token, ...options });
  readers.push(reader);
  return reader;
};
const session = async (gateway: RunningGateway, token: string): Promise<void> => {
  const headers = { authorization: `Bearer ${token}` };
  const { status, text } = await gateway.ask(`/rooms/${room}/session`, { method: 'POST', headers });
  assert.equal(status, 200, text);
};
const say = (gateway: RunningGateway, text: string, audience = 'all'): Promise<string> =>
  gateway.post('signal', { type: 'note', data: { text }, audience }, { room, as: tokenIn('hanna', 'host') });
const notes = (reader: StreamReader): unknown[] =>
  reader.named('note').map(({ data }) => (data['data'] as { text: string }).text);
const youOf = async (reader: StreamReader): Promise<unknown> => (await reader.first('resume')).data['you'];
const reauthorized = { cause: 'reauthorized', comeBack: 'yes' };
const endOf = async (reader: StreamReader): Promise<unknown> => {
  await reader.over();
  return reader.heard.at(-1)?.data;
};

function promises(pair: () => Pair): void {
  const roleOf = { role: 'moderator', tags: ['gold'] };
  const others: readonly (readonly [what: string, role: string, tags: readonly string[]])[] = [
    ['a viewer', 'viewer', []],
    ['a viewer with the same tags', 'viewer', ['gold']],
    ['a moderator without the tag', 'moderator', []],
    ['a moderator with one tag more', 'moderator', ['gold', 'blue']],
    ['a host', 'host', ['gold']],
  ];
  for (const [what, role, tags] of others) {
    it(`ends when its user comes as ${what}, and comes back as that, exactly`, async () => {
      const { here, there } = pair();
      const reader = await seat(here, tokenIn('ann', roleOf.role, { tags: roleOf.tags }));
      const other = await seat(here, tokenIn('mo', 'moderator', { tags: ['gold'] }));
      await say(there, 'before', 'staff');
      await reader.first('note');
      await session(there, tokenIn('ann', role, { tags }));
      assert.deepEqual(await endOf(reader), reauthorized);
      for (const audience of ['all', 'staff', 'tag:gold', 'tag:blue']) await say(there, audience, audience);
      const lastId = reader.lastId;
      const back = await seat(here, tokenIn('ann', role, { tags }), { headers: { 'last-event-id': lastId } });
      assert.equal((await back.first('resume')).data['verdict'], 'exact');
      assert.deepEqual(await youOf(back), { id: 'ann', role });
      await say(there, 'last');
      await back.until(() => notes(back).includes('last'), 'the last one');
      const mine = ['all', ...(role === 'viewer' ? [] : ['staff']), ...tags.map((tag) => `tag:${tag}`)];
      const given = notes(back).filter((text) => text !== 'last');
      assert.deepEqual(
        given,
        ['all', 'staff', 'tag:gold', 'tag:blue'].filter((one) => mine.includes(one)),
      );
      assert.equal(other.isOver, false, 'others of the same rights stay');
    });
  }

  it('lasts longer where its user comes as the same, whatever name and order of tags the token has', async () => {
    const { here, there } = pair();
    const exp = nowS() + 2;
    const reader = await seat(here, tokenIn('ann', 'viewer', { exp, tags: ['a', 'b'], name: 'Ann' }));
    const witness = await seat(here, tokenIn('wim', 'viewer', { exp }));
    await session(there, tokenIn('ann', 'viewer', { tags: ['b', 'a', 'b'], name: 'Anna' }));
    await witness.over(6000);
    await say(there, 'still there');
    await reader.first('note');
  });

  it('ends at once also where the token of another role expires before its own', async () => {
    const { here, there } = pair();
    const reader = await seat(here, tokenIn('ann', 'moderator', { exp: nowS() + 600 }));
    await session(there, tokenIn('ann', 'viewer', { exp: nowS() + 60 }));
    assert.deepEqual(await endOf(reader), reauthorized);
  });

  it('goes by the token that was issued last, where both say when', async () => {
    const { here, there } = pair();
    const [iat, exp] = [nowS() - 100, nowS() + 600];
    const viewer = tokenIn('ann', 'viewer', { iat: iat + 50, exp });
    const reader = await seat(here, viewer);
    await session(there, tokenIn('ann', 'moderator', { iat, exp: exp + 60 }));
    await session(there, viewer);
    await say(there, 'for staff', 'staff');
    await say(there, 'for all');
    await reader.until(() => notes(reader).length > 0, 'what is for all');
    assert.deepEqual([notes(reader), reader.isOver], [['for all'], false]);
    await session(there, tokenIn('ann', 'moderator', { iat: iat + 51, exp }));
    assert.deepEqual(await endOf(reader), reauthorized);
  });

  it('ends in every tab of the user, and in no room but this', async () => {
    const { here, there } = pair();
    const tabs = [await seat(here, tokenIn('ann', 'moderator')), await seat(there, tokenIn('ann', 'host'))];
    const same = await seat(there, tokenIn('ann'));
    const elsewhere = await watch(here.url, { room: `${room}-2`, token: tokenIn('ann', 'moderator') });
    readers.push(elsewhere);
    await session(there, tokenIn('ann'));
    for (const tab of tabs) assert.deepEqual(await endOf(tab), reauthorized);
    await say(there, 'on');
    await same.first('note');
    assert.equal(elsewhere.isOver, false);
  });

  it('is answered at once where it is a pull that waits, with nothing of what the user was, and asked again goes on', async () => {
    const { here, there } = pair();
    const headers = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
    const path = `/rooms/${room}/events`;
    const moderator = tokenIn('ann', 'moderator');
    const { json } = await here.ask(path, headers(moderator));
    const asked = here.ask(`${path}?after=${json['next']}&wait=25`, headers(moderator));
    await waitFor(() => here.gateway.hub.rooms === 1, { what: 'the room to be followed' });
    await waitFor(
      async () => {
        await session(there, tokenIn('ann'));
        return Promise.race([asked.then(() => true), new Promise((resolve) => setImmediate(resolve, false))]);
      },
      { what: 'the pull to be answered', timeoutMs: 5000 },
    );
    const ended: Answer = await asked;
    assert.deepEqual([ended.status, ended.json['events'], ended.json['nextPollMs']], [200, [], 0]);
    await say(there, 'staff', 'staff');
    await say(there, 'all');
    const again = await here.ask(`${path}?after=${ended.json['next']}`, headers(tokenIn('ann')));
    const events = again.json['events'] as { data: { data: { text: string } } }[];
    assert.deepEqual(
      events.map(({ data }) => data.data.text),
      ['all'],
    );
    assert.equal(again.json['verdict'], 'exact');
  });
}

describe('on the embedded log, a stream', () => {
  let gateway: RunningGateway;
  before(async () => {
    gateway = await startGateway({ environment: { LINGER_MS: '0', RENEW_MS: '50' } });
  });
  after(() => gateway?.close());
  promises(() => {
    rooms += 1;
    room = `one-${rooms}`;
    return { here: gateway, there: gateway };
  });
});

describe('on Redis, a stream of another gateway than the session came to', () => {
  let redis: RedisServer;
  let east: RunningGateway;
  let west: RunningGateway;
  before(async () => {
    redis = await startRedis();
    const environment = { LINGER_MS: '0', RENEW_MS: '50' };
    [east, west] = await Promise.all([
      startGateway({ redisUrl: redis.url, environment }),
      startGateway({ redisUrl: redis.url, environment }),
    ]);
  });
  after(async () => {
    await Promise.all([east?.close(), west?.close()]);
    await redis?.stop();
  });
  promises(() => {
    rooms += 1;
    room = `two-${rooms}`;
    return { here: east, there: west };
  });
});

describe('a pull whose token expires while it waits', () => {
  it('is refused when its time has come, to the millisecond, and is given nothing', async () => {
    const gateway = await startGateway();
    try {
      room = 'expiring';
      const exp = nowS() + 2.35;
      const headers = { authorization: `Bearer ${tokenIn('ann', 'viewer', { exp })}` };
      const { json } = await gateway.ask(`/rooms/${room}/events`, { headers });
      const path = `/rooms/${room}/events?after=${json['next']}&wait=25`;
      const answer = await gateway.ask(path, { headers });
      const lateMs = Date.now() - exp * 1000;
      assert.deepEqual([answer.status, answer.json['code']], [401, 'unauthorized']);
      assert.ok(lateMs >= 0 && lateMs < 700, `it came ${lateMs} ms after the token's end`);
    } finally {
      await gateway.close();
    }
  });
});
