import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { type RunningGateway, startGateway, tokenOf } from '../rig/gateway.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { watch } from '../rig/stream-reader.ts';
import { waitFor } from '../rig/wait-for.ts';

const tokenIn = (sub: string, role = 'viewer', more: Readonly<Record<string, unknown>> = {}): string =>
  tokenOf(sub, role, { rooms: { '*': role }, ...more });
const [ann, mo] = [tokenIn('ann'), tokenIn('mo', 'moderator')];
let rooms = 0;

interface PulledEvent {
  readonly id: string;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** The promises, on one gateway or over two that share a Redis. */
function promises(name: string, open: () => Promise<readonly [RunningGateway, RunningGateway]>): void {
  describe(name, () => {
    let one: RunningGateway;
    let two: RunningGateway;
    let room = '';
    before(async () => {
      [one, two] = await open();
    });
    after(() => Promise.all([one.close(), two.close()]));
    beforeEach(() => {
      rooms += 1;
      room = `retract-${rooms}`;
    });

    const say = (text: string, as = ann): Promise<string> => one.post('comment', { text }, { room, as });
    const retract = (id: string): Promise<string> => two.post('retract', { id }, { room, as: mo });
    const pull = async (afterId: string, token = ann): Promise<readonly PulledEvent[]> => {
      const headers = { authorization: `Bearer ${token}` };
      const { json } = await two.ask(`/rooms/${room}/events?after=${afterId}`, { headers });
      return json['events'] as PulledEvent[];
    };

    it('tells everyone who watches, by an event with the id of what is gone', async () => {
      const reader = await watch(two.url, { room, token: ann });
      const id = await say('bad words');
      const retraction = await retract(id);
      const { data, id: at } = await reader.first('retract');
      assert.deepEqual([at, data['id']], [retraction, id]);
      assert.deepEqual(data['from'], { id: 'mo', name: null, role: 'moderator' });
      assert.equal(typeof data['at'], 'number');
      reader.close();
    });

    it('is served to nobody again: not live, not by history, not on a resume, not pulled', async () => {
      const seated = await watch(one.url, { room, token: ann });
      const first = await say('hello');
      const id = await say('bad words');
      const last = await say('bye');
      await seated.until(() => seated.named('comment').length === 3, 'the comments, live');
      const retraction = await retract(id);
      await seated.first('retract');
      for (const { url } of [one, two]) {
        for (const query of [{ history: '10' }, { lastEventId: first }]) {
          const back = await watch(url, { room, token: tokenIn('bob'), query });
          await back.first('retract');
          assert.ok(!back.text.includes('bad words'), `${JSON.stringify(query)} at ${url}`);
          assert.deepEqual(
            back.heard.flatMap(({ event, id }) => (id === undefined || event === 'resume' ? [] : [id])),
            [...('history' in query ? [first] : []), last, retraction],
          );
          if ('lastEventId' in query) assert.equal(back.named('resume')[0]?.data['verdict'], 'exact');
          back.close();
        }
      }
      const events = await pull(first);
      assert.deepEqual(
        events.map((event) => event.id),
        [last, retraction],
      );
      assert.ok(!JSON.stringify(await pull(first, tokenIn('hanna', 'host'))).includes('bad words'));
      seated.close();
    });

    it('is told to those whom it was for, and to nobody else', async () => {
      const [bob, gus] = [tokenIn('bob'), tokenIn('gus', 'viewer', { tags: ['gold'] })];
      const readers = await Promise.all(
        [ann, bob, gus, mo].map((token) => watch(two.url, { room, token, query: { history: '1' } })),
      );
      const host = { room, as: tokenIn('hanna', 'host') };
      const direct = await one.post('direct', { to: ['bob'], type: 'text', data: {} }, host);
      const gold = await one.post('signal', { type: 'beat', data: {}, audience: 'tag:gold' }, host);
      const staff = await one.post('signal', { type: 'beat', data: {}, audience: 'staff' }, host);
      for (const id of [direct, gold, staff]) await retract(id);
      await say('last');
      const told = await Promise.all(
        readers.map(async (reader) => {
          await reader.first('comment');
          reader.close();
          return reader.named('retract').map(({ data }) => data['id']);
        }),
      );
      assert.deepEqual(told, [[], [direct], [gold], [staff]]);
    });

    it('changes nothing the second time and says when it was', async () => {
      const id = await say('bad words');
      const first = await retract(id);
      assert.equal(await retract(id), first);
      assert.equal(await one.post('retract', { id }, { room, as: tokenIn('hanna', 'host'), key: 'k' }), first);
      assert.deepEqual(
        (await pull(id)).map((event) => event.id),
        [first],
      );
    });

    it('is for moderators, and for events that the room still has', async () => {
      const id = await say('words');
      const [epoch] = id.split('.');
      assert.equal((await one.tryPost('retract', { id }, { room, as: ann })).json['code'], 'not-this-role');
      const ban = await one.post('mute', { user: 'bob' }, { room, as: mo });
      for (const other of [`${epoch}.99`, `${epoch}.0`, 'other.1', ban]) {
        const { status, json } = await one.tryPost('retract', { id: other }, { room, as: mo });
        assert.deepEqual([status, json['code']], [404, 'not-found'], other);
        assert.match(String(json['detail']), /event/);
      }
      assert.equal((await one.tryPost('retract', { id: 'x' }, { room, as: mo })).json['code'], 'malformed');
    });

    it('leaves the gifts and the count that came with it', async () => {
      const reader = await watch(two.url, { room, token: ann });
      const gift = { gift: 'rose', count: 3, message: 'bad words' };
      const key = 'gift-1';
      const sent = await one.tryPost('gift', gift, { room, as: ann, key });
      assert.deepEqual([sent.status, sent.json['total']], [202, 3]);
      const again = await two.tryPost('gift', gift, { room, as: ann, key });
      assert.deepEqual(again.json, sent.json);
      const receipt = await reader.first('direct');
      assert.deepEqual([receipt.data['of'], receipt.data['type']], [sent.json['id'], 'gift']);
      await reader.until(() => reader.named('state').length === 2, 'the sum as state');
      await retract(String(sent.json['id']));
      await reader.first('retract');
      const part = await two.ask(`/rooms/${room}/state/gifts`, { headers: { authorization: `Bearer ${ann}` } });
      assert.deepEqual(part.json['value'], { total: 3 });
      assert.equal(reader.named('gift').length, 1);
      assert.equal((await one.tryPost('gift', gift, { room, as: ann })).json['code'], 'malformed');
      reader.close();
    });
  });
}

promises('an event that was retracted, on one gateway', async () => {
  const gateway = await startGateway();
  return [gateway, gateway];
});

let redis: RedisServer;
before(async () => {
  redis = await startRedis();
});
after(() => redis.stop());
promises('an event that was retracted, over two gateways', async () => [
  await startGateway({ redisUrl: redis.url, environment: { NODE_ID: 'one' } }),
  await startGateway({ redisUrl: redis.url, environment: { NODE_ID: 'two' } }),
]);

describe('a viewer that does not read while an event is retracted', () => {
  /** Far more than may wait for a viewer, and less than a page or a tape holds. */
  const fillings = 40;
  const filling = { type: 'beat', data: { words: 'x'.repeat(15_000) } };
  const bad = { type: 'beat', data: { words: 'bad words' } };
  let gateway: RunningGateway;

  /** A stream that is open and not read. */
  async function openUnread(room: string, query: string): Promise<IncomingMessage> {
    const asked = request(`${gateway.url}/rooms/${room}/stream?${query}`, {
      agent: false,
      headers: { authorization: `Bearer ${ann}` },
    });
    asked.on('error', () => undefined).end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    return answer.pause();
  }

  /** Reads on until a text comes, and gives all that came. */
  async function readUpTo(answer: IncomingMessage, end: string): Promise<string> {
    let text = '';
    answer.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    answer.resume();
    await waitFor(() => text.includes(end), { what: `${end} to come`, timeoutMs: 20_000 });
    answer.destroy();
    return text;
  }

  const isStalled = (): Promise<boolean> =>
    waitFor(() => gateway.gateway.hub.hubCounters.streamCounters.waiting > 0, { what: 'bytes to wait for it' });

  beforeEach(async () => {
    const bytesMax = String(64 * 1024 * 1024);
    gateway = await startGateway({ environment: { TAPE_BYTES_MAX: bytesMax, LOG_BYTES_MAX: bytesMax } });
  });
  afterEach(() => gateway.close());

  const host = (room: string) => ({ room, as: tokenIn('hanna', 'host') });
  async function write(room: string): Promise<string> {
    for (let n = 0; n < fillings; n += 1) await gateway.post('signal', filling, host(room));
    return gateway.post('signal', bad, host(room));
  }
  async function retract(room: string, id: string): Promise<string> {
    const witness = await watch(gateway.url, { room, token: mo });
    const retraction = await gateway.post('retract', { id }, host(room));
    await witness.first('retract');
    witness.close();
    return retraction;
  }

  it('gets nothing of it from the tape that it reads', async () => {
    const room = 'seated';
    const answer = await openUnread(room, '');
    await waitFor(() => gateway.gateway.hub.viewers === 1, { what: 'its seat' });
    const id = await write(room);
    await isStalled();
    const text = await readUpTo(answer, `id: ${await retract(room, id)}\n`);
    assert.ok(!text.includes('bad words'));
    assert.equal(text.split('event: beat\n').length - 1, fillings, 'everything else comes');
    assert.ok(!text.includes('event: gap\n'));
  });

  it('gets nothing of it from the page that is being handed to it', async () => {
    const room = 'returning';
    const first = await gateway.post('signal', bad, host(room));
    const id = await write(room);
    const answer = await openUnread(room, `lastEventId=${first}`);
    await isStalled();
    const text = await readUpTo(answer, `id: ${await retract(room, id)}\n`);
    assert.ok(!text.includes('bad words'));
    assert.equal(text.split('event: beat\n').length - 1, fillings, 'everything else comes, once');
    assert.ok(!text.includes('event: gap\n'));
  });
});
