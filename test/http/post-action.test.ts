import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Type } from 'typebox';
import { defineAction, eventBody } from '../../src/actions/action.ts';
import { Refusal, type RefusalCode } from '../../src/errors.ts';
import { parsePosition } from '../../src/log/position.ts';
import { type Appended, declareMs, sampledChat, type Write } from '../../src/log/room-log.ts';
import type { RoomId } from '../../src/model.ts';
import { type Built, buildHttp } from '../rig/build-http.ts';
import { tokenFor } from '../rig/tokens.ts';

const room = 'match-7' as RoomId;
/** Needs a key, a moderator and a text; adds a word of its own to the answer. */
const shout = defineAction({
  kind: 'shout',
  least: 'moderator',
  body: Type.Object({ text: Type.String({ minLength: 1 }) }, { additionalProperties: false }),
  needsKey: true,
  decide: ({ speaker, body }) =>
    body.text === 'no'
      ? new Refusal('malformed', 'Not that.')
      : {
          change: { type: 'event', kind: 'shout', lane: 'must', audience: 'all', body: eventBody(speaker, body) },
          rate: { name: 'shout', burst: 4, perSecond: 0.4, cost: 1 },
          mutable: false,
        },
  answer: ({ connected }) => ({ connected }),
});
const say = defineAction({
  kind: 'say',
  least: 'viewer',
  body: Type.Object({ data: Type.Optional(Type.Unknown()) }, { additionalProperties: false }),
  needsKey: false,
  decide: ({ speaker, body }) => ({
    change: { type: 'event', kind: 'say', lane: 'chat', audience: 'all', body: eventBody(speaker, body) },
    rate: null,
    mutable: true,
  }),
});
const tap = defineAction({
  kind: 'tap',
  least: 'viewer',
  body: Type.Object({}, { additionalProperties: false }),
  needsKey: false,
  decide: () => ({ change: { type: 'count', counter: 'taps', by: 1 }, rate: null, mutable: true }),
});
const actions = new Map([shout, say, tap].map((action) => [action.kind, action]));

let built: Built;
/** Holds the log that `built` writes to, behind what the tests put in front of it. */
let real: Built;
let writes: Write[] = [];
let settles = 0;
/** What each `settle` was for. */
let settled: string[] = [];
/** What the log answers instead of its own; null for its own. */
let appended: Appended | Refusal | null = null;

before(async () => {
  real = await buildHttp({ actions });
  built = await buildHttp({
    actions,
    environment: { RATE_SCALE: '50' },
    log: {
      append: async (write) => {
        writes.push(write);
        if (appended instanceof Refusal) throw appended;
        return appended ?? real.log.append(write);
      },
      settle: async (_room, counter) => {
        settles += 1;
        settled.push(counter);
        return 0;
      },
    },
  });
});
after(async () => {
  await built.close();
  await real.close();
});
beforeEach(() => {
  writes = [];
  settles = 0;
  settled = [];
  appended = null;
});

interface Sent {
  readonly role?: string | null;
  readonly body?: unknown;
  readonly raw?: string;
  readonly headers?: Record<string, string>;
}
function post(kind: string, { role = 'host', body = {}, raw, headers = {} }: Sent = {}) {
  return built.app.inject({
    method: 'POST',
    url: `/rooms/${room}/actions/${kind}`,
    headers: {
      'content-type': 'application/json',
      ...(role === null ? {} : { authorization: `Bearer ${tokenFor(role)}` }),
      ...headers,
    },
    payload: raw ?? JSON.stringify(body),
  });
}
async function assertRefused(sent: ReturnType<typeof post>, code: RefusalCode): Promise<Record<string, unknown>> {
  const answer = await sent;
  assert.equal(answer.json().code, code);
  return { ...answer.json(), headers: answer.headers };
}
const keyed = (key: string) => ({ 'idempotency-key': key });

describe('an action', () => {
  it('is answered 202 with the id and time of its entry, once that is in the log', async () => {
    const answer = await post('shout', { body: { text: 'hi' }, headers: keyed('first') });
    assert.equal(answer.statusCode, 202);
    const { id, at, ...rest } = answer.json();
    assert.match(id, /^[a-z0-9]{1,12}\.\d+$/);
    assert.deepEqual(rest, { connected: 0 });
    const { epoch, offset } = parsePosition(id) ?? assert.fail();
    const { entries } = await real.log.read(room, { epoch, offset: offset - 1 }, 10);
    assert.deepEqual(
      entries.map((entry) => [entry.kind, entry.offset, entry.at]),
      [['shout', offset, at]],
    );
    const { by, change, mutable } = writes[0] ?? assert.fail();
    assert.equal(by, 'host');
    assert.equal(mutable, false);
    assert.deepEqual(change.type === 'event' && JSON.parse(change.body), {
      from: { id: 'host', name: null, role: 'host' },
      text: 'hi',
    });
  });

  it('checks a request in order: token, then kind and role, then body, then what it decides', async () => {
    await assertRefused(post('shout', { role: null, raw: '{' }), 'unauthorized');
    await assertRefused(post('nothing', { role: null }), 'unauthorized');
    await assertRefused(post('nothing', { raw: '{' }), 'unknown-kind');
    await assertRefused(post('shout', { role: 'viewer', raw: '{' }), 'not-this-role');
    await assertRefused(post('shout', { raw: '{' }), 'malformed');
    await assertRefused(post('shout', { body: { text: 'no' }, headers: keyed('a') }), 'malformed');
    assert.equal(writes.length, 0);
  });

  it('is not hidden behind a property of a map', async () => {
    for (const kind of ['constructor', '__proto__', 'get']) await assertRefused(post(kind), 'unknown-kind');
  });

  it('with a field that it does not know, or without one that it needs, says where', async () => {
    const more = await assertRefused(post('shout', { body: { text: 'a', x: 1 }, headers: keyed('a') }), 'malformed');
    assert.deepEqual(more['errors'], [{ pointer: '#/x', detail: 'is not a known field' }]);
    const less = await assertRefused(post('shout', { headers: keyed('a') }), 'malformed');
    assert.deepEqual(less['errors'], [{ pointer: '#', detail: 'must have required properties text' }]);
    const wrong = await assertRefused(post('shout', { body: { text: 5 }, headers: keyed('a') }), 'malformed');
    assert.deepEqual(wrong['errors'], [{ pointer: '#/text', detail: 'must be string' }]);
  });

  it('that needs nothing may come without a body', async () => {
    const answer = await built.app.inject({
      method: 'POST',
      url: `/rooms/${room}/actions/say`,
      headers: { authorization: `Bearer ${tokenFor('viewer')}` },
    });
    assert.equal(answer.statusCode, 202);
  });

  it('in a body that nests beyond measure is refused before it is parsed', async () => {
    await assertRefused(post('say', { raw: `{"data":${'['.repeat(128)}${']'.repeat(128)}}` }), 'malformed');
    assert.equal((await post('say', { raw: `{"data":${'['.repeat(127)}${']'.repeat(127)}}` })).statusCode, 202);
  });

  it('has its rate scaled by RATE_SCALE', async () => {
    await post('shout', { body: { text: 'a' }, headers: keyed('rate') });
    assert.deepEqual(writes[0]?.rate, { name: 'shout', burst: 2, perSecond: 0.2, cost: 1 });
  });
});

describe('an idempotency key', () => {
  it('gives a repeat the first answer, bare or quoted, whatever the white space', async () => {
    const first = await post('say', { body: { data: 'once' }, headers: keyed('k"1') });
    const again = await post('say', { raw: ' { "data" : "once" } ', headers: keyed('"k\\"1"') });
    assert.equal(first.statusCode, 202);
    assert.equal(again.body, first.body);
  });

  it('gives a repeat the first answer, in whatever order and spelling the same fields are sent', async () => {
    const first = await post('say', { body: { data: { a: 'é', b: [1, { c: 2, d: 3 }] } }, headers: keyed('order') });
    const raw = '{"data":{"b":[1,{"d":3,"c":2}],"\\u0061":"\\u00e9"}}';
    assert.equal((await post('say', { raw, headers: keyed('order') })).body, first.body);
    await assertRefused(post('say', { raw: raw.replace('3', '3.0'), headers: keyed('order') }), 'key-reused');
  });

  it('with another body or another action is refused', async () => {
    await post('say', { body: { data: 1 }, headers: keyed('k2') });
    await assertRefused(post('say', { body: { data: 2 }, headers: keyed('k2') }), 'key-reused');
    await post('say', { headers: keyed('k3') });
    await assertRefused(post('tap', { headers: keyed('k3') }), 'key-reused');
  });

  it('may not be missing where the action needs one', async () => {
    await assertRefused(post('shout', { body: { text: 'a' } }), 'malformed');
  });

  for (const key of ['', '""', 'x'.repeat(129), `"${'x'.repeat(129)}"`, 'é', '"open', 'a\tb', '"a"b"']) {
    it(`is malformed when it is ${JSON.stringify(key.slice(0, 12))} (${key.length} long)`, async () => {
      await assertRefused(post('say', { headers: keyed(key) }), 'malformed');
    });
  }

  it('may have 128 characters', async () => {
    assert.equal((await post('say', { headers: keyed('x'.repeat(128)) })).statusCode, 202);
    assert.equal(writes[0]?.once?.key.length, 128);
  });
});

describe("the log's no", () => {
  const refused = (code: string, more = {}): Appended =>
    ({ outcome: 'refused', code, retryAfterMs: 0, version: 0, ...more }) as Appended;

  for (const code of ['banned', 'muted', 'room-ended', 'key-reused', 'state-full', 'not-found'] as const) {
    it(`becomes the refusal of the same code: ${code}`, async () => {
      appended = refused(code);
      await assertRefused(post('say'), code);
    });
  }

  it('says in whole seconds when there will be room', async () => {
    appended = refused('rate-limited', { retryAfterMs: 1200 });
    const { headers } = await assertRefused(post('say'), 'rate-limited');
    assert.equal((headers as Record<string, string>)['retry-after'], '2');
  });

  it('of not knowing stays one', async () => {
    appended = new Refusal('outcome-unknown', 'The log did not answer in time.');
    await assertRefused(post('say'), 'outcome-unknown');
  });
});

const kept = (pending: boolean): Appended =>
  ({
    outcome: 'kept',
    position: { epoch: 'e', offset: 1 },
    at: 1,
    connected: 0,
    total: 1,
    pending,
    repeated: false,
  }) as Appended;

describe('a count', () => {
  it('that left a sum pending is settled once, COUNT_MS later, however many there were', async () => {
    appended = kept(true);
    for (let n = 0; n < 5; n += 1) await post('tap');
    assert.equal(built.pendingFlush.waiting, 1);
    built.clock.advance(999);
    assert.equal(settles, 0);
    built.clock.advance(1);
    assert.equal(settles, 1);
    assert.equal(built.pendingFlush.waiting, 0);
  });

  it('that left nothing pending is not', async () => {
    appended = kept(false);
    await post('tap');
    assert.equal(built.pendingFlush.waiting, 0);
  });
});

describe('chat', () => {
  it('that left something to declare is settled once, a second later, however much there was', async () => {
    appended = kept(true);
    for (let n = 0; n < 5; n += 1) await post('say');
    assert.equal(built.pendingFlush.waiting, 1);
    built.clock.advance(declareMs - 1);
    assert.deepEqual(settled, []);
    built.clock.advance(1);
    assert.deepEqual(settled, [sampledChat]);
    assert.equal(built.pendingFlush.waiting, 0);
  });

  it('that left nothing to declare is not', async () => {
    appended = kept(false);
    await post('say');
    assert.equal(built.pendingFlush.waiting, 0);
  });
});
