import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { InjectOptions } from 'fastify';
import { readSince, writeState } from '../../src/http/get-state.ts';
import type { Tail } from '../../src/log/position.ts';
import type { Epoch } from '../../src/model.ts';
import { type Built, buildHttp } from '../rig/build-http.ts';
import { makeToken, tokenFor } from '../rig/tokens.ts';

let built: Built;
let rooms = 0;
before(async () => {
  built = await buildHttp({ environment: { STATE_PARTS_MAX: '4' } });
});
after(() => built.close());

/** A room that no other test knows, and one caller in it. */
function enterRoom(role: string | null = 'host') {
  rooms += 1;
  const base = `/rooms/room-${rooms}/state`;
  const token = role === null ? null : roomToken(role, `room-${rooms}`);
  const call = (method: 'GET' | 'PUT' | 'DELETE', path: string, options: InjectOptions = {}) =>
    built.app.inject({
      method,
      url: `${base}${path}`,
      ...options,
      headers: {
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
        ...(options.payload === undefined ? {} : { 'content-type': 'application/json' }),
        ...options.headers,
      },
    });
  return {
    name: `room-${rooms}`,
    get: (path = '', headers: Record<string, string> = {}) => call('GET', path, { headers }),
    put: (part: string, payload: string, headers: Record<string, string> = {}) =>
      call('PUT', `/${part}`, { payload, headers }),
    remove: (part: string, headers: Record<string, string> = {}) => call('DELETE', `/${part}`, { headers }),
  };
}
const roomToken = (role: string, room: string): string => makeToken({ claims: { sub: role, rooms: { [room]: role } } });

describe('setting a state part', () => {
  it('answers its new version, as its tag too, and keeps the value to the letter', async () => {
    const { put, get } = enterRoom();
    const answer = await put('score', ' { "home" : 12345678901234567890, "b": [ 1.0 , "a  b" ] } ');
    assert.equal(answer.statusCode, 200);
    const { id, at, version } = answer.json();
    assert.equal(version, 1);
    assert.match(id, /^[a-z0-9]+\.1$/);
    assert.equal(typeof at, 'number');
    assert.equal(answer.headers.etag, '"1"');
    const part = await get('/score');
    assert.equal(part.headers.etag, '"1"');
    assert.ok(part.body.endsWith('"part":"score","version":1,"value":{"home":12345678901234567890,"b":[1.0,"a  b"]}}'));
    assert.ok((await get()).body.includes('"score":{"version":1,"value":{"home":12345678901234567890,'));
  });

  it('takes any JSON value', async () => {
    const { put, get } = enterRoom();
    for (const value of ['null', 'false', '0', '""', '[]', '"\\u2028\\ud800"']) {
      assert.equal((await put('x', value)).statusCode, 200, value);
      assert.ok((await get('/x')).body.endsWith(`"value":${value}}`));
    }
  });

  it('is for hosts, and not under a name that the protocol uses', async () => {
    const viewer = enterRoom('viewer');
    assert.equal((await viewer.put('x', '1')).json().code, 'not-this-role');
    assert.equal((await viewer.remove('x')).json().code, 'not-this-role');
    assert.equal((await enterRoom('moderator').put('x', '1')).json().code, 'not-this-role');
    assert.equal((await enterRoom(null).put('x', '1')).json().code, 'unauthorized');
    const host = enterRoom();
    for (const name of ['likes', 'state', 'pin']) {
      assert.equal((await host.put(name, '1')).json().code, 'reserved-name');
      assert.equal((await host.remove(name)).json().code, 'reserved-name');
    }
    for (const name of ['X', '__proto__', 'a'.repeat(33), '1a', 'a%20b']) {
      assert.equal((await host.put(name, '1')).json().code, 'malformed', name);
    }
  });

  it('nests at most 32 levels and has at most 16 KiB', async () => {
    const { put } = enterRoom();
    assert.equal((await put('x', '['.repeat(32) + ']'.repeat(32))).statusCode, 200);
    assert.equal((await put('x', '['.repeat(33) + ']'.repeat(33))).json().code, 'malformed');
    assert.equal((await put('x', '['.repeat(200_000))).json().code, 'too-large');
    assert.equal((await put('x', '')).json().code, 'malformed');
    assert.equal((await put('x', '{}', { 'content-type': 'text/plain' })).json().code, 'unsupported-media-type');
  });

  it('of one part too many is refused', async () => {
    const { put } = enterRoom();
    for (const name of ['a', 'b', 'c', 'd']) assert.equal((await put(name, '1')).statusCode, 200);
    assert.equal((await put('e', '1')).json().code, 'state-full');
  });

  it('twice with one key happens once', async () => {
    const { put, get } = enterRoom();
    const headers = { 'idempotency-key': 'k' };
    const first = await put('x', '1', headers);
    assert.equal((await put('x', ' 1', headers)).body, first.body);
    assert.equal((await put('x', '2', headers)).json().code, 'key-reused');
    assert.equal((await put('x', '1.0', headers)).json().code, 'key-reused');
    assert.equal((await put('y', '1', headers)).json().code, 'key-reused');
    const other = { 'idempotency-key': 'order' };
    const kept = await put('z', '{"home":1,"guest":{"a":"é","b":[]}}', other);
    assert.equal((await put('z', '{"guest":{"b":[],"a":"\\u00e9"},"home":1}', other)).body, kept.body);
    const { version } = kept.json();
    await put('z', '1', { 'if-match': `"${version}"`, 'idempotency-key': 'cond' });
    assert.equal((await put('z', '1', { 'if-match': ` "${version}" `, 'idempotency-key': '"cond"' })).statusCode, 200);
    assert.equal((await get()).json().total, 3);
  });

  it('or removing one is answered by its key before anything is judged, however the part stands now', async () => {
    const { put, remove } = enterRoom();
    const any = { 'if-match': '*' };
    const key = (name: string) => ({ 'idempotency-key': name });
    await put('x', '1');
    const set = await put('x', '2', { ...any, ...key('set') });
    const removed = await remove('x', { ...any, ...key('remove') });
    assert.deepEqual([set.statusCode, removed.statusCode], [200, 200]);
    assert.equal((await remove('x', { ...any, ...key('remove') })).body, removed.body);
    const again = await put('x', '2', { ...any, ...key('set') });
    assert.deepEqual([again.body, again.headers.etag], [set.body, set.headers.etag]);
    assert.equal((await put('x', '2', { ...any, ...key('other') })).statusCode, 412);
    assert.equal((await put('x', '2', { 'if-match': '"1"', ...key('set') })).json().code, 'key-reused');
  });
});

describe('the rate of writing state', () => {
  it('is one for setting and removing parts and for the actions that do so', async () => {
    const { put, remove, name } = enterRoom();
    const act = (kind: string, body: unknown) =>
      built.app.inject({
        method: 'POST',
        url: `/rooms/${name}/actions/${kind}`,
        payload: JSON.stringify(body),
        headers: { 'content-type': 'application/json', authorization: `Bearer ${roomToken('host', name)}` },
      });
    for (let n = 0; n < 97; n += 1) assert.equal((await put('x', `${n}`)).statusCode, 200);
    assert.equal((await remove('x')).statusCode, 200);
    assert.equal((await act('pin', { text: 'a' })).statusCode, 202);
    assert.equal((await act('settings', { data: {} })).statusCode, 202);
    for (const refused of [
      await put('x', '1'),
      await remove('x'),
      await act('pin', {}),
      await act('settings', { data: {} }),
    ]) {
      assert.equal(refused.json().code, 'rate-limited');
      assert.equal(refused.headers['retry-after'], '1');
    }
    built.clock.advance(20);
    assert.equal((await put('x', '1')).statusCode, 200);
    assert.equal((await put('x', '1')).json().code, 'rate-limited');
  });
});

describe('a condition', () => {
  it('If-Match lets only the writer through that knows the version', async () => {
    const { put, remove } = enterRoom();
    await put('x', '1');
    assert.equal((await put('x', '2', { 'if-match': '"1"' })).json().version, 2);
    const late = await put('x', '3', { 'if-match': '"1"' });
    assert.equal(late.statusCode, 412);
    assert.equal(late.json().version, 2);
    assert.equal((await remove('x', { 'if-match': '"1"' })).json().version, 2);
    assert.equal((await remove('x', { 'if-match': '"2"' })).statusCode, 200);
    assert.equal((await put('x', '4', { 'if-match': '"2"' })).json().version, 0);
    assert.equal((await put('x', '4', { 'if-match': '"0"' })).statusCode, 200);
  });

  it('If-Match: * asks only that there is a part', async () => {
    const { put, remove } = enterRoom();
    const any = { 'if-match': '*' };
    assert.equal((await put('x', '1', any)).statusCode, 412);
    assert.equal((await remove('x', any)).statusCode, 412);
    await put('x', '1');
    assert.equal((await put('x', '2', any)).statusCode, 200);
    const all = await Promise.all([1, 2, 3].map((n) => put('x', String(n), any)));
    assert.deepEqual(
      all.map(({ statusCode }) => statusCode),
      [200, 200, 200],
    );
    assert.equal((await remove('x', any)).statusCode, 200);
    assert.equal((await put('x', '1', any)).statusCode, 412);
  });

  it('If-None-Match: * asks that there is none', async () => {
    const { put, remove } = enterRoom();
    const none = { 'if-none-match': '*' };
    assert.equal((await put('x', '1', none)).statusCode, 200);
    const again = await put('x', '2', none);
    assert.equal(again.statusCode, 412);
    assert.equal(again.json().version, 1);
    await remove('x');
    assert.equal((await put('x', '3', none)).statusCode, 200);
  });

  for (const header of ['1', '"1", "2"', 'W/"1"', '"a"', '"01"', '"-1"', '""', '"1" ,']) {
    it(`that cannot be read is malformed: ${header}`, async () => {
      assert.equal((await enterRoom().put('x', '1', { 'if-match': header })).json().code, 'malformed');
    });
  }

  it('beside its opposite is malformed', async () => {
    const { put, remove } = enterRoom();
    assert.equal((await put('x', '1', { 'if-match': '*', 'if-none-match': '*' })).json().code, 'malformed');
    assert.equal((await put('x', '1', { 'if-none-match': '"1"' })).json().code, 'malformed');
    assert.equal((await remove('x', { 'if-none-match': '*' })).json().code, 'malformed');
  });
});

describe('removing a state part', () => {
  it('takes it out of the state and tells those who knew it', async () => {
    const { put, remove, get } = enterRoom();
    await put('x', '1');
    await put('y', '2');
    assert.equal((await remove('x', { 'content-type': 'application/json' })).json().version, 3);
    const { parts, removed, total, since } = (await get('?since=2')).json();
    assert.deepEqual({ parts, removed, total, since }, { parts: {}, removed: ['x'], total: 3, since: 2 });
    const whole = (await get()).json();
    assert.deepEqual(whole.parts, { y: { version: 2, value: 2 } });
    assert.deepEqual(whole.removed, []);
    assert.equal(whole.since, null);
    assert.equal((await get('/x')).json().code, 'not-found');
    assert.equal((await remove('x')).json().code, 'not-found');
  });
});

describe('reading the state', () => {
  it('of a room that nobody wrote is empty', async () => {
    const answer = (await enterRoom('viewer').get()).json();
    assert.deepEqual({ ...answer, epoch: '' }, { epoch: '', total: 0, since: null, parts: {}, removed: [] });
  });

  it('since a total or an event id gives only what came after', async () => {
    const { put, get } = enterRoom();
    await put('x', '1');
    const { id } = (await put('y', '2')).json();
    await put('z', '3');
    for (const since of ['2', id]) {
      const { parts, since: from } = (await get(`?since=${since}`)).json();
      assert.deepEqual(parts, { z: { version: 3, value: 3 } });
      assert.equal(from, 2);
    }
    assert.deepEqual(Object.keys((await get('?since=0')).json().parts), ['x', 'y', 'z']);
    assert.deepEqual((await get('?since=3')).json().parts, {});
  });

  it('since something foreign or in the future is whole and says so', async () => {
    const { put, get } = enterRoom();
    await put('x', '1');
    for (const since of ['9', 'zzz.1']) {
      const { parts, since: from } = (await get(`?since=${since}`)).json();
      assert.deepEqual(parts, { x: { version: 1, value: 1 } });
      assert.equal(from, null);
    }
  });

  for (const since of ['', 'a', '-1', '1.5.2', '01', '1e3', 'A.1', '1&since=2']) {
    it(`since something that cannot be read is malformed: ${JSON.stringify(since)}`, async () => {
      assert.equal((await enterRoom().get(`?since=${since}`)).json().code, 'malformed');
    });
  }

  it('costs no body while nothing changed', async () => {
    const { put, get } = enterRoom();
    await put('x', '1');
    const { headers, body } = await get();
    const etag = String(headers.etag);
    assert.equal(etag, `"${JSON.parse(body).epoch}.1"`);
    for (const sent of [etag, `W/${etag}`, `"a", ${etag}`, `W/"b",W/${etag} `, '*']) {
      const answer = await get('', { 'if-none-match': sent });
      assert.equal(answer.statusCode, 304, sent);
      assert.equal(answer.body, '');
      assert.equal(answer.headers.etag, etag);
      assert.equal(answer.headers['cache-control'], 'no-store');
    }
    for (const sent of ['"a"', etag.slice(1, -1), ''])
      assert.equal((await get('', { 'if-none-match': sent })).statusCode, 200);
    assert.equal((await get('/x', { 'if-none-match': '"1"' })).statusCode, 304);
    await put('x', '2');
    assert.equal((await get('', { 'if-none-match': etag })).statusCode, 200);
    assert.equal((await get('/x', { 'if-none-match': '"1"' })).statusCode, 200);
  });

  it('needs a token, unless rooms may be watched without: then any cache may keep it for a second', async () => {
    assert.equal((await enterRoom(null).get()).statusCode, 401);
    const open = await buildHttp({ environment: { ANONYMOUS_VIEWERS: 'on' } });
    try {
      const url = '/rooms/match-7/state';
      const anonymous = await open.app.inject(url);
      assert.equal(anonymous.headers['cache-control'], 'public, max-age=1, stale-while-revalidate=5');
      assert.equal(anonymous.headers.vary, 'Authorization, Cookie');
      const headers = { authorization: `Bearer ${tokenFor('viewer')}` };
      assert.equal((await open.app.inject({ url, headers })).headers['cache-control'], 'no-store');
    } finally {
      await open.close();
    }
  });
});

describe('what since can prove', () => {
  const lineage = [{ epoch: 'old' as Epoch, last: 12 }];
  const tail: Tail = { epoch: 'new' as Epoch, offset: 20, first: 6, lineage };
  const cases: [since: string | undefined, from: number | null][] = [
    [undefined, null],
    ['5', 5],
    ['4', null],
    ['20', 20],
    ['21', null],
    ['new.20', 20],
    ['old.12', 12],
    ['old.13', null],
    ['old.4', null],
    ['alien.8', null],
  ];
  for (const [since, from] of cases) {
    it(`${since ?? 'nothing'} builds on ${from ?? 'nothing'}`, () => {
      assert.equal(readSince(since, tail), from);
    });
  }

  it('names no removed part in a whole answer', () => {
    const parts = new Map([
      ['a', { version: 9, value: '{"x":1}' }],
      ['b', { version: 10, value: null }],
      ['c', { version: 7, value: '2' }],
    ]);
    const state = { tail, total: 10, parts, banned: false, ended: false };
    assert.deepEqual(JSON.parse(writeState(state, null)), {
      epoch: 'new',
      total: 10,
      since: null,
      parts: { a: { version: 9, value: { x: 1 } }, c: { version: 7, value: 2 } },
      removed: [],
    });
    assert.deepEqual(JSON.parse(writeState(state, 8)), {
      epoch: 'new',
      total: 10,
      since: 8,
      parts: { a: { version: 9, value: { x: 1 } } },
      removed: ['b'],
    });
  });
});
