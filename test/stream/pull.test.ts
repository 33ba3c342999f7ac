import assert from 'node:assert/strict';
import { request } from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Answer, type RunningGateway, startGateway, tokenOf } from '../rig/gateway.ts';
import { watch } from '../rig/stream-reader.ts';
import { waitFor } from '../rig/wait-for.ts';

interface PulledEvent {
  readonly id: string;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

let gateway: RunningGateway;
let rooms = 0;
let room = '';

before(async () => {
  gateway = await startGateway({
    environment: { LINGER_MS: '0', RENEW_MS: '50', PULLS_MAX: '3', LOG_ENTRIES_MAX: '1000' },
  });
});
after(() => gateway.close());
beforeEach(() => {
  rooms += 1;
  room = `pull-${rooms}`;
});

const tokenIn = (sub: string, role = 'viewer', more: Readonly<Record<string, unknown>> = {}): string =>
  tokenOf(sub, role, { rooms: { '*': role }, ...more });
const ann = tokenIn('ann');
const pull = (query: Readonly<Record<string, string | number>> = {}, token = ann): Promise<Answer> =>
  gateway.ask(
    `/rooms/${room}/events?${new URLSearchParams(Object.entries(query).map(([name, value]): [string, string] => [name, String(value)]))}`,
    {
      headers: { authorization: `Bearer ${token}` },
    },
  );
const eventsOf = ({ json }: Answer): PulledEvent[] => json['events'] as PulledEvent[];
const post = (kind: string, body: unknown, as = tokenIn('hanna', 'host')): Promise<string> =>
  gateway.post(kind, body, { room, as });
const beat = (n: number, audience = 'all'): Promise<string> => post('signal', { type: 'beat', data: { n }, audience });
const begin = async (token = ann): Promise<string> => String((await pull({}, token)).json['next']);
/** Settles when so many clients wait here; a waiting client is a user of the room, so the room is not let go. */
async function waiting(answer: Promise<Answer>): Promise<{ readonly answer: Promise<Answer>; isBack(): boolean }> {
  let isBack = false;
  const noted = answer.finally(() => {
    isBack = true;
  });
  await waitFor(() => gateway.gateway.hub.rooms === 1, { what: 'the room to be followed' });
  return { answer: noted, isBack: () => isBack };
}

describe('a client that pulls', () => {
  it('walks through everything with a cursor, once and in order', async () => {
    const first = await pull();
    assert.deepEqual([first.status, first.json['verdict'], first.json['events']], [200, 'fresh', []]);
    assert.equal(first.headers.get('cache-control'), 'no-store');
    const ids: string[] = [];
    for (let n = 1; n <= 25; n += 1) ids.push(await beat(n));
    const walked: PulledEvent[] = [];
    let after = String(first.json['next']);
    for (let steps = 1; ; steps += 1) {
      const answer = await pull({ after, limit: 7 });
      assert.deepEqual([answer.json['verdict'], answer.json['missed']], ['exact', 0]);
      const events = eventsOf(answer);
      walked.push(...events);
      after = String(answer.json['next']);
      assert.equal(answer.json['nextPollMs'] === 0, events.length === 7, 'a full answer says to go on at once');
      if (events.length < 7) break;
      assert.ok(steps < 5);
    }
    assert.deepEqual(
      walked.map(({ id }) => id),
      ids,
    );
    assert.equal(after, ids.at(-1));
    const again = await pull({ after: String(ids[19]) });
    assert.deepEqual(eventsOf(again), walked.slice(20), 'any event id is a cursor');
  });

  it('gets byte for byte the data that a stream gets', async () => {
    const reader = await watch(gateway.url, { room, token: ann });
    const after = await begin();
    await post('comment', { text: 'tést \u2028 "quoted" \u0000 👩‍🚀' });
    await beat(1);
    await gateway.ask(`/rooms/${room}/state/score`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${tokenIn('hanna', 'host')}`, 'content-type': 'application/json' },
      body: '{"home":1}',
    });
    await reader.until(() => reader.heard.length === 5, 'the three events, live');
    const events = eventsOf(await pull({ after }));
    const live = reader.heard.slice(2).map(({ event, id, data }) => ({ id, event, data }));
    assert.deepEqual(events, live);
    reader.close();
  });

  it('is told what its id is worth', async () => {
    const id = await beat(1);
    const [epoch] = id.split('.');
    for (const after of ['garbage', 'foreign.1', `${epoch}.99`, '\0', 'x'.repeat(5000)]) {
      const { status, json } = await pull({ after });
      assert.deepEqual([status, json['verdict'], json['missed'], json['next']], [200, 'reset', null, id], after);
    }
    assert.equal((await pull({ after: '' })).json['verdict'], 'fresh');
    assert.equal((await pull({ after: `${epoch}.0` })).json['verdict'], 'exact');
  });

  it('learns the exact number of events that the log has forgotten', async () => {
    const small = await startGateway({ environment: { LOG_ENTRIES_MAX: '10' } });
    try {
      const ids: string[] = [];
      for (let n = 1; n <= 40; n += 1) ids.push(await small.post('signal', { type: 'beat', data: { n } }));
      const { json } = await small.ask(`/rooms/match-7/events?after=${ids[4]}`, {
        headers: { authorization: `Bearer ${tokenOf('ann')}` },
      });
      const [first] = json['events'] as PulledEvent[];
      assert.ok(first);
      assert.deepEqual([json['verdict'], json['cause']], ['gap', 'trimmed']);
      assert.equal(json['missed'], ids.indexOf(first.id) - 5);
    } finally {
      await small.close();
    }
  });

  it('is refused a limit, a wait or a cursor that is none', async () => {
    for (const query of ['limit=501', 'limit=-1', 'limit=x', 'wait=31', 'wait=1.5', 'wait=', 'after=a.1&after=a.2']) {
      const { status, json } = await gateway.ask(`/rooms/${room}/events?${query}`, {
        headers: { authorization: `Bearer ${ann}` },
      });
      assert.deepEqual([status, json['code']], [400, 'malformed'], query);
    }
    const zero = await pull({ limit: 0 });
    assert.ok(zero.status === 200 || zero.status === 400);
  });

  it('passes the same gate as a stream: what is not for it takes room in the log and none in the answer', async () => {
    const after = await begin();
    await beat(1);
    await beat(2, 'staff');
    await beat(3, 'tag:gold');
    await post('direct', { to: ['bob'], type: 'text', data: { n: 4 } });
    await beat(5);
    const seen = async (token: string): Promise<unknown[]> =>
      eventsOf(await pull({ after }, token)).map(({ data }) => (data['data'] as { n: number }).n);
    assert.deepEqual(await seen(ann), [1, 5]);
    assert.deepEqual(await seen(tokenIn('gus', 'viewer', { tags: ['gold'] })), [1, 3, 5]);
    assert.deepEqual(await seen(tokenIn('mo', 'moderator')), [1, 2, 5]);
    assert.deepEqual(await seen(tokenIn('bob')), [1, 4, 5]);
    // Three entries that are not for it: an empty answer with a cursor that has moved on.
    const first = await pull({ after, limit: 1 });
    const hidden = await pull({ after: String(first.json['next']), limit: 3 });
    assert.deepEqual([eventsOf(hidden), hidden.json['nextPollMs']], [[], 0]);
    assert.equal(eventsOf(await pull({ after: String(hidden.json['next']) })).length, 1);
  });

  it('is refused as a stream would be: 401, 403, and 403 when banned', async () => {
    assert.equal((await gateway.ask(`/rooms/${room}/events`)).status, 401);
    assert.equal((await pull({}, tokenOf('ann'))).json['code'], 'not-this-room');
    await post('ban', { user: 'bob' });
    assert.equal((await pull({}, tokenIn('bob'))).json['code'], 'banned');
  });
});

describe('a client that waits', () => {
  it('is woken by an event that it may see, and slept through those that it may not', async () => {
    const { answer, isBack } = await waiting(pull({ after: await begin(), wait: 20 }));
    await beat(1, 'staff');
    await post('direct', { to: ['bob'], type: 'text', data: {} });
    // A stream of the same room has got past them, so the waiting one would have been woken by now.
    const reader = await watch(gateway.url, { room, token: tokenIn('bob'), query: { history: '1' } });
    await reader.first('direct');
    reader.close();
    assert.equal(isBack(), false);
    const id = await beat(2);
    const back = await answer;
    assert.deepEqual(
      eventsOf(back).map((one) => one.id),
      [id],
    );
    assert.deepEqual([back.json['verdict'], back.json['next']], ['exact', id]);
  });

  it('is woken by a signal to it alone, which counts it as connected', async () => {
    const { answer } = await waiting(pull({ after: await begin(), wait: 20 }));
    const sent = await gateway.tryPost(
      'direct',
      { to: ['ann', 'bob'], type: 'text', data: { text: 'psst' } },
      { room, as: tokenIn('mo', 'moderator') },
    );
    assert.equal(sent.json['connected'], 1);
    const [event] = eventsOf(await answer);
    assert.deepEqual([event?.event, event?.data['data']], ['direct', { text: 'psst' }]);
  });

  it('is answered empty when its time is over, and at once where there is something or nothing to come', async () => {
    const after = await begin();
    const empty = await pull({ after, wait: 1 });
    assert.deepEqual([empty.status, eventsOf(empty), empty.json['next']], [200, [], after]);
    const id = await beat(1);
    assert.equal(eventsOf(await pull({ after, wait: 30 })).length, 1);
    assert.equal((await pull({ after: 'foreign.1', wait: 30 })).json['verdict'], 'reset');
    await post('end', {});
    const ended = await pull({ after: id, wait: 30 });
    assert.deepEqual([ended.status, eventsOf(ended).map(({ event }) => event)], [200, ['end']]);
    const beyond = await pull({ after: String(ended.json['next']), wait: 30 });
    assert.deepEqual([beyond.status, eventsOf(beyond)], [200, []]);
  });

  it('frees everything when it leaves', async () => {
    const after = await begin();
    const { hub } = gateway.gateway;
    await waitFor(() => hub.rooms === 0, { what: 'the idle rooms to be let go' });
    // Three rounds of as many as may wait: a place that was not freed would be missed.
    for (let round = 1; round <= 3; round += 1) {
      const before = gateway.connections();
      const asked = [1, 2, 3].map((n) => {
        const one = request(`${gateway.url}/rooms/${room}/events?after=${after}&wait=30`, {
          agent: false,
          headers: { authorization: `Bearer ${tokenIn(`ann-${n}`)}` },
        });
        one.on('error', () => undefined);
        one.on('response', () => assert.fail('it was answered before anything happened'));
        one.end();
        return one;
      });
      await waitFor(() => gateway.connections() >= before + 3 && hub.rooms === 1, { what: 'all to be waiting' });
      for (const one of asked) one.destroy();
      await waitFor(() => hub.rooms === 0, { what: 'the room to be let go', timeoutMs: 3000 });
    }
    const { answer } = await waiting(pull({ after, wait: 20 }));
    await beat(1);
    assert.equal(eventsOf(await answer).length, 1);
  });

  it('is answered when the gateway closes', async () => {
    const own = await startGateway();
    const headers = { authorization: `Bearer ${tokenOf('ann')}` };
    const { json } = await own.ask('/rooms/match-7/events', { headers });
    const answer = own.ask(`/rooms/match-7/events?after=${json['next']}&wait=30`, { headers });
    const reader = await watch(own.url, {});
    await reader.first('resume');
    const startedMs = performance.now();
    await own.close();
    const { status } = await answer;
    assert.ok(status === 200 || status === 503, `it was answered ${status}`);
    assert.ok(performance.now() - startedMs < 10_000, 'it does not hold the gateway for its whole wait');
  });
});
