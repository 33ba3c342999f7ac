import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Answer, type RunningGateway, startGateway, tokenOf } from '../rig/gateway.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { type StreamReader, watch } from '../rig/stream-reader.ts';

const tokenIn = (sub: string, role = 'viewer', more: Readonly<Record<string, unknown>> = {}): string =>
  tokenOf(sub, role, { rooms: { '*': role }, ...more });
const [ann, bob, mo, hanna] = [tokenIn('ann'), tokenIn('bob'), tokenIn('mo', 'moderator'), tokenIn('hanna', 'host')];
const service = tokenIn('platform', 'service');
const rulesOf = ['ban', 'mute', 'unban', 'unmute'];
let rooms = 0;

/** What of bans and mutes a stream was told, by kind and reason. */
const told = (reader: StreamReader): string =>
  reader.heard
    .filter(({ event }) => rulesOf.includes(event))
    .map(({ event, data }) => `${event} ${data['reason']}`)
    .join(', ');

/** Settled when the gateway has let the next pull in. */
function oneVisit({ gateway: { hub } }: RunningGateway): Promise<void> {
  const use = hub.use.bind(hub);
  return new Promise((resolve) => {
    hub.use = async (...asked) => {
      hub.use = use;
      const found = await use(...asked);
      assert.ok(found !== null);
      const { attendance } = found.room;
      const enter = attendance.enter.bind(attendance);
      attendance.enter = async (visitor) => {
        attendance.enter = enter;
        const answer = await enter(visitor);
        resolve();
        return answer;
      };
      return found;
    };
  });
}

/** The promises, on one gateway or over two that share a Redis. */
function promises(name: string, open: () => Promise<readonly [RunningGateway, RunningGateway]>): void {
  describe(name, () => {
    let one: RunningGateway;
    let two: RunningGateway;
    let room = '';
    const readers: StreamReader[] = [];
    before(async () => {
      [one, two] = await open();
    });
    after(() => Promise.all([one.close(), two.close()]));
    beforeEach(() => {
      for (const reader of readers.splice(0)) reader.close();
      rooms += 1;
      room = `moderation-${rooms}`;
    });
    after(() => {
      for (const reader of readers) reader.close();
    });

    const seat = async (token: string | null, at = two, query: Record<string, string> = {}): Promise<StreamReader> => {
      const reader = await watch(at.url, { room, token, query });
      readers.push(reader);
      return reader;
    };
    const act = (kind: string, body: unknown, as: string): Promise<string> => one.post(kind, body, { room, as });
    const codeOf = async (kind: string, body: unknown, as: string): Promise<unknown> =>
      (await one.tryPost(kind, body, { room, as })).json['code'];
    const get = (path: string, token: string | null): Promise<Answer> =>
      two.ask(`/rooms/${room}/${path}`, token === null ? {} : { headers: { authorization: `Bearer ${token}` } });

    it("a moderator's ban of a host or the service changes nothing for them, and ends no stream of theirs", async () => {
      const host = await seat(hanna);
      for (const user of ['hanna', 'platform']) await act('ban', { user }, mo);
      await act('mute', { user: 'hanna' }, mo);
      await act('comment', { text: 'still here' }, hanna);
      await act('notice', { title: 'still here' }, service);
      await host.first('notice');
      assert.equal(told(host), 'ban null, ban null, mute null');
      assert.equal(host.isOver, false);
      assert.equal((await get('events', hanna)).status, 200);
      assert.equal((await get('state', service)).status, 200);
      // The same person as a viewer is bound: the token says what somebody is.
      assert.equal(await codeOf('comment', { text: 'x' }, tokenIn('hanna')), 'banned');
    });

    it("a host's ban ends a moderator's streams, and no moderator can lift it", async () => {
      const [asModerator, asHost] = [await seat(mo), await seat(tokenIn('mo', 'host'))];
      await act('ban', { user: 'mo', reason: 'enough' }, hanna);
      await asModerator.over();
      assert.deepEqual(asModerator.heard.at(-1)?.data, { cause: 'banned', comeBack: 'no', reason: 'enough' });
      const max = tokenIn('max', 'moderator');
      assert.equal(await codeOf('unban', { user: 'mo' }, max), 'not-this-role');
      assert.equal(await codeOf('ban', { user: 'mo', seconds: 1 }, max), 'not-this-role');
      assert.equal(await codeOf('retract', { id: 'a.1' }, mo), 'banned');
      assert.equal((await get('rules', mo)).json['code'], 'banned');
      await act('comment', { text: 'bye' }, hanna);
      await asHost.first('comment');
      assert.equal(asHost.isOver, false);
      await act('unban', { user: 'mo' }, hanna);
      await act('unban', { user: 'mo' }, max);
    });

    it('nobody sets a rule on oneself', async () => {
      for (const kind of ['ban', 'mute']) assert.equal(await codeOf(kind, { user: 'mo' }, mo), 'not-this-role');
    });

    it('the staff and who was acted on are told, with the reason; the room is not', async () => {
      const first = await act('comment', { text: 'before' }, ann);
      const all = [await seat(bob), await seat(ann), await seat(mo), await seat(hanna, one), await seat(null)];
      await act('mute', { user: 'bob', reason: 'too loud' }, mo);
      await act('unmute', { user: 'bob', reason: 'sorry' }, mo);
      await act('comment', { text: 'last' }, ann);
      await Promise.all(all.map((reader) => reader.first('comment')));
      const both = 'mute too loud, unmute sorry';
      assert.deepEqual(all.map(told), [both, '', both, both, '']);
      // The same for who comes back, who pulls, and who reads a page.
      const back = await Promise.all([bob, ann, mo, null].map((token) => seat(token, one, { lastEventId: first })));
      await Promise.all(back.map((reader) => reader.first('comment')));
      assert.deepEqual(back.map(told), [both, '', both, '']);
      const pulled = await Promise.all([bob, ann, mo, null].map((token) => get(`events?after=${first}`, token)));
      assert.deepEqual(
        pulled.map(({ text }) => text.includes('too loud')),
        [true, false, true, false],
      );
      for (const token of [null, bob, mo]) assert.ok(!(await get('pages/0', token)).text.includes('too loud'));
    });

    it('who was away hears of a mute on return, and of a ban once it is over', async () => {
      const first = await act('comment', { text: 'before' }, ann);
      const away = await seat(bob);
      const gone = await seat(tokenIn('gus'));
      away.close();
      await act('mute', { user: 'bob', reason: 'one' }, mo);
      await act('ban', { user: 'gus', reason: 'two' }, mo);
      await gone.over();
      assert.equal(gone.heard.at(-1)?.data['reason'], 'two');
      await act('unban', { user: 'gus', reason: 'three' }, mo);
      await act('comment', { text: 'last' }, ann);
      for (const [token, expected] of [
        [bob, 'mute one'],
        [tokenIn('gus'), 'ban two, unban three'],
      ] as const) {
        const back = await seat(token, two, { lastEventId: first });
        await back.first('comment');
        assert.equal(told(back), expected);
        assert.equal(back.named('resume')[0]?.data['verdict'], 'exact');
      }
    });

    it('a pull that waits ends with the ban, and gets nothing of what comes after', async () => {
      const { next } = (await get('events', bob)).json;
      const entered = oneVisit(two);
      const waiting = get(`events?after=${next}&wait=20`, bob);
      await entered;
      const ban = await act('ban', { user: 'bob', reason: 'spam' }, mo);
      await act('comment', { text: 'after' }, ann);
      const { json, text } = await waiting;
      assert.deepEqual([json['next'], text.includes('spam'), text.includes('after')], [ban, true, false]);
      assert.equal((await get(`events?after=${ban}`, bob)).json['code'], 'banned');
    });

    it('what is retracted after the end is served to nobody again', async () => {
      const reader = await seat(ann);
      const id = await act('comment', { text: 'bad words' }, ann);
      const end = await act('end', { reason: 'over' }, hanna);
      await reader.over();
      assert.deepEqual(
        reader.heard.slice(-2).map(({ event }) => event),
        ['comment', 'end'],
      );
      const before = (await get('pages/0', null)).json;
      const retraction = await act('retract', { id }, mo);
      const { json, text } = await get(`pages/0?v=${retraction}`, null);
      assert.ok(!text.includes('bad words'));
      assert.deepEqual([before['version'], json['version']], [id.replace(/\d+$/, '0'), retraction]);
      const [epoch] = id.split('.');
      const pulled = (await get(`events?after=${epoch}.0`, ann)).json['events'] as { id: string; event: string }[];
      assert.deepEqual(
        pulled.map((event) => [event.id, event.event]),
        [
          [end, 'end'],
          [retraction, 'retract'],
        ],
      );
      // A cursor behind the end is as good as any.
      const rest = (await get(`events?after=${end}&wait=5`, ann)).json;
      assert.deepEqual([rest['verdict'], rest['next']], ['exact', retraction]);
      assert.equal((await get(`stream?lastEventId=${id}`, ann)).status, 204);
      assert.equal(await codeOf('comment', { text: 'x' }, hanna), 'room-ended');
      await act('ban', { user: 'bob' }, mo);
      assert.equal((await get('events', bob)).json['code'], 'banned');
      await act('unban', { user: 'bob' }, mo);
    });
  });
}

let redis: RedisServer;
const environment = { ANONYMOUS_VIEWERS: 'on' };

promises('moderation on one gateway', async () => {
  const gateway = await startGateway({ environment });
  return [gateway, gateway];
});

describe('moderation over two gateways', () => {
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis.stop());
  promises('on one Redis', async () => [
    await startGateway({ redisUrl: redis.url, environment: { ...environment, NODE_ID: 'one' } }),
    await startGateway({ redisUrl: redis.url, environment: { ...environment, NODE_ID: 'two' } }),
  ]);
});
