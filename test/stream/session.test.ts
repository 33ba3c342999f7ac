import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { type Answer, type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { type ReadOptions, readStream, type StreamReader, watch } from '../rig/stream-reader.ts';
import { nowS } from '../rig/tokens.ts';
import { waitFor } from '../rig/wait-for.ts';

const readers: StreamReader[] = [];
const gateways: RunningGateway[] = [];
let redis: RedisServer | null = null;

afterEach(async () => {
  for (const reader of readers.splice(0)) reader.close();
  await Promise.all(gateways.splice(0).map((gateway) => gateway.close()));
  await redis?.stop();
  redis = null;
});

async function start(environment: Readonly<Record<string, string>> = {}, redisUrl?: string): Promise<RunningGateway> {
  const gateway = await startGateway({ environment, ...(redisUrl === undefined ? {} : { redisUrl }) });
  gateways.push(gateway);
  return gateway;
}
async function open(gateway: RunningGateway, options?: ReadOptions): Promise<StreamReader> {
  const reader = await readStream(gateway.url, options);
  readers.push(reader);
  return reader;
}
async function seat(gateway: RunningGateway, options?: ReadOptions): Promise<StreamReader> {
  const reader = await watch(gateway.url, options);
  readers.push(reader);
  return reader;
}
const renew = (gateway: RunningGateway, token: string) =>
  gateway.ask(`/rooms/${room}/session`, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
const anyRoom = (sub: string, role = 'viewer', more: Readonly<Record<string, unknown>> = {}): string =>
  tokenOf(sub, role, { rooms: { '*': role }, ...more });

/** A stream that says "not now": 200, when to come back, why, and nothing else. */
async function assertSoftNo(reader: StreamReader, cause: string): Promise<void> {
  await reader.over();
  assert.equal(reader.status, 200);
  assert.equal(reader.headers['content-type'], 'text/event-stream');
  assert.ok((reader.retryMs ?? 0) > 0, 'it says when to come back');
  assert.deepEqual(
    reader.heard.map(({ event, id, data }) => ({ event, id, data })),
    [{ event: 'end', id: undefined, data: { cause, comeBack: 'yes' } }],
  );
}

describe('a session', () => {
  it('ends a stream when its token expires, and prolongs those whose user came with a newer one, over any gateway', async () => {
    redis = await startRedis();
    const [here, there] = [await start({}, redis.url), await start({}, redis.url)];
    const exp = nowS() + 2;
    const expiring = await seat(here, { token: tokenOf('eve', 'viewer', { exp }) });
    const same = await seat(here, { token: tokenOf('sam', 'viewer', { exp }) });
    const other = await seat(here, { token: tokenOf('oda', 'viewer', { exp }) });
    // A user's own news only: others with the same expiry are not prolonged with it.
    assert.equal((await renew(here, tokenOf('sam'))).status, 200);
    assert.equal((await renew(there, tokenOf('oda'))).status, 200);
    await expiring.over(6000);
    assert.ok(Date.now() >= exp * 1000, 'it did not end before its time');
    assert.deepEqual(expiring.heard.at(-1)?.data, { cause: 'expired', comeBack: 'with-new-token' });
    await here.post('comment', { text: 'still there?' });
    for (const reader of [same, other]) assert.equal((await reader.first('comment')).data['text'], 'still there?');
    assert.equal(expiring.named('comment').length, 0);
  });

  it('is a cookie for one room that opens the stream', async () => {
    const gateway = await start();
    const token = tokenOf('ann');
    const { status, json, headers } = await renew(gateway, token);
    assert.equal(status, 200);
    assert.ok(Number(json['expiresAt']) > Date.now());
    const cookie = headers.get('set-cookie') ?? '';
    assert.match(cookie, new RegExp(`^ringside=${token.replaceAll('.', '\\.')};`));
    for (const part of [`; Path=/rooms/${room}`, '; HttpOnly', '; SameSite=Lax', '; Max-Age=']) {
      assert.ok(cookie.includes(part), `${cookie} should hold ${part}`);
    }
    const [pair = ''] = cookie.split(';');
    const reader = await seat(gateway, { token: null, headers: { cookie: pair } });
    assert.deepEqual((await reader.first('resume')).data['you'], { id: 'ann', role: 'viewer' });
    const strange = await open(gateway, { token: null, headers: { cookie: pair, origin: 'https://evil.example' } });
    assert.equal(strange.status, 403);
    const asQuery = await seat(gateway, { token: null, query: { access_token: token } });
    assert.deepEqual((await asQuery.first('resume')).data['you'], { id: 'ann', role: 'viewer' });
  });

  it('takes a bearer token and nothing else', async () => {
    const gateway = await start();
    const token = tokenOf('ann');
    const post = (init: RequestInit, query = '') =>
      gateway.ask(`/rooms/${room}/session${query}`, { method: 'POST', ...init });
    assert.equal((await post({})).status, 401);
    assert.equal((await post({}, `?access_token=${token}`)).status, 401);
    const own = { cookie: `ringside=${token}`, origin: gateway.url };
    assert.equal((await post({ headers: own })).status, 401);
  });
});

describe('the door', () => {
  it('answers 401 without a good token and 403 for another room', async () => {
    const gateway = await start();
    const expired = tokenOf('ann', 'viewer', { exp: nowS() - 1 });
    for (const token of [null, 'nonsense', expired]) assert.equal((await open(gateway, { token })).status, 401);
    const elsewhere = tokenOf('ann', 'viewer', { rooms: { 'match-8': 'viewer' } });
    assert.equal((await open(gateway, { token: elsewhere })).status, 403);
  });

  it('tells the banned and those who come to an ended room never to come back, by 204', async () => {
    const gateway = await start();
    const banned = await seat(gateway, { token: tokenOf('bob') });
    const stays = await seat(gateway);
    await gateway.post('ban', { user: 'bob' }, { as: tokenOf('mo', 'moderator') });
    await banned.over();
    assert.deepEqual(banned.heard.at(-1)?.data, { cause: 'banned', comeBack: 'no' });
    assert.equal((await open(gateway, { token: tokenOf('bob') })).status, 204);
    await gateway.post('unban', { user: 'bob' }, { as: tokenOf('mo', 'moderator') });
    assert.equal((await seat(gateway, { token: tokenOf('bob') })).status, 200);
    await gateway.post('end', {});
    await stays.over();
    assert.deepEqual(stays.heard.at(-1)?.data, { cause: 'ended', comeBack: 'no' });
    const late = await open(gateway);
    assert.equal(late.status, 204);
    await late.over();
    assert.equal(late.text, '');
  });

  it('lets people watch without a name where ANONYMOUS_VIEWERS is on, and write nothing', async () => {
    const gateway = await start({ ANONYMOUS_VIEWERS: 'on' });
    const reader = await seat(gateway, { token: null });
    assert.deepEqual((await reader.first('resume')).data['you'], { id: null, role: 'viewer' });
    await gateway.post('comment', { text: 'hello' });
    assert.equal((await reader.first('comment')).data['text'], 'hello');
    const write = await gateway.ask(`/rooms/${room}/actions/comment`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"text":"me too"}',
    });
    assert.deepEqual([write.status, write.json['code']], [401, 'unauthorized']);
    assert.equal((await open(gateway, { token: 'nonsense' })).status, 401, 'a bad token is worse than none');
  });

  it('keeps EventSource alive while Redis is unavailable: 200, when to come back, and the end', async () => {
    redis = await startRedis();
    const gateway = await start({ LOG_DEADLINE_MS: '200' }, redis.url);
    await redis.kill('SIGKILL');
    await assertSoftNo(await open(gateway), 'failed');
    const pulled = await gateway.ask(`/rooms/${room}/events`, {
      headers: { authorization: `Bearer ${tokenOf('ann')}` },
    });
    assert.deepEqual([pulled.status, pulled.json['code']], [503, 'log-unavailable']);
  });
});

describe('a limit', () => {
  it('of VIEWERS_MAX is a soft no, and holds nobody out once there is room', async () => {
    const gateway = await start({ VIEWERS_MAX: '1' });
    const first = await seat(gateway);
    await assertSoftNo(await open(gateway, { token: tokenOf('bob') }), 'overloaded');
    first.close();
    await waitFor(() => gateway.gateway.hub.viewers === 0, { what: 'the first to have left' });
    await seat(gateway, { token: tokenOf('bob') });
  });

  it('of VIEWERS_MAX holds for those who come at the same moment', async () => {
    const gateway = await start({ VIEWERS_MAX: '3' });
    const all = await Promise.all(Array.from({ length: 20 }, (_, n) => open(gateway, { token: tokenOf(`u${n}`) })));
    await Promise.all(all.map((reader) => reader.until(() => reader.heard.length > 0, 'a first event')));
    assert.ok(gateway.gateway.hub.viewers <= 3);
    assert.equal(all.filter((reader) => reader.heard[0]?.event === 'resume').length, gateway.gateway.hub.viewers);
  });

  it('of ROOMS_MAX is a soft no for one more room, until a room is idle', async () => {
    const gateway = await start({ ROOMS_MAX: '1' });
    const first = await seat(gateway, { room: 'a', token: anyRoom('ann') });
    await assertSoftNo(await open(gateway, { room: 'b', token: anyRoom('ann') }), 'overloaded');
    const pulled = await gateway.ask('/rooms/b/events', { headers: { authorization: `Bearer ${anyRoom('ann')}` } });
    assert.deepEqual([pulled.status, pulled.json['code']], [503, 'overloaded']);
    assert.ok(Number(pulled.headers.get('retry-after')) >= 1);
    first.close();
    await waitFor(() => gateway.gateway.hub.viewers === 0, { what: 'the first to have left' });
    await seat(gateway, { room: 'b', token: anyRoom('ann') });
  });

  it('of AUDIENCE_CLASSES_MAX is a soft no for one more class of viewers in a room', async () => {
    const gateway = await start({ AUDIENCE_CLASSES_MAX: '2' });
    const gold = await seat(gateway, { token: tokenOf('ann', 'viewer', { tags: ['gold'] }) });
    const plain = await seat(gateway, { token: tokenOf('bob') });
    await assertSoftNo(await open(gateway, { token: tokenOf('cem', 'moderator') }), 'overloaded');
    const dan = await seat(gateway, { token: tokenOf('dan', 'viewer', { tags: ['gold'] }) });
    gold.close();
    await gateway.post('signal', { type: 'glitter', data: {}, audience: 'tag:gold' });
    await dan.first('glitter');
    assert.equal(plain.named('glitter').length, 0);
  });

  it('of PULLS_MAX lets one more puller ask again later instead of waiting', async () => {
    const gateway = await start({ PULLS_MAX: '1' });
    const headers = { authorization: `Bearer ${tokenOf('ann')}` };
    const { json } = await gateway.ask(`/rooms/${room}/events`, { headers });
    const path = `/rooms/${room}/events?after=${json['next']}&wait=20`;
    let answered = 0;
    const asked: Promise<Answer>[] = [];
    const ask = (): Promise<Answer> => {
      const answer = gateway.ask(path, { headers }).finally(() => {
        answered += 1;
      });
      asked.push(answer);
      return answer;
    };
    // Whoever comes first gets the place, and the other is answered at once.
    const turnedAway = await Promise.race([ask(), ask()]);
    assert.deepEqual([turnedAway.status, turnedAway.json['events']], [200, []]);
    assert.ok(Number(turnedAway.json['nextPollMs']) > 0);
    assert.equal(answered, 1, 'the other one waits');
    await gateway.post('comment', { text: 'wake up' });
    const counts = (await Promise.all(asked)).map(({ json }) => (json['events'] as unknown[]).length);
    assert.deepEqual(counts.sort(), [0, 1]);
  });
});
