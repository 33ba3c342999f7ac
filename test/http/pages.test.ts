import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { fullPageS, momentS } from '../../src/http/get-pages.ts';
import { keptMs } from '../../src/hub/shared-pages.ts';
import type { Position } from '../../src/log/position.ts';
import type { Change } from '../../src/log/room-log.ts';
import type { RoomId, UserId } from '../../src/model.ts';
import { type Built, buildHttp } from '../rig/build-http.ts';
import { makeToken } from '../rig/tokens.ts';

let built: Built;
let rooms = 0;
before(async () => {
  built = await buildHttp({ environment: { ANONYMOUS_VIEWERS: 'on', CHAT_PER_SECOND: '0' } });
});
after(() => built.close());

const brief = `public, max-age=${momentS}`;
const kept = `public, max-age=${fullPageS}, immutable`;
const bearer = (role: string, room: string): Record<string, string> => ({
  authorization: `Bearer ${makeToken({ claims: { sub: role, rooms: { [room]: role } } })}`,
});

/** A room that no other test knows. */
function enterRoom(from: Built = built) {
  rooms += 1;
  const room = `room-${rooms}`;
  const write = async (change: Change): Promise<Position> => {
    const plain = {
      room: room as RoomId,
      by: 'ann' as UserId,
      role: 'service' as const,
      once: null,
      rate: null,
      mutable: false,
    };
    const answer = await from.log.append({ ...plain, change });
    assert.ok(answer.outcome === 'kept', JSON.stringify(answer));
    return answer.position;
  };
  const say = (audience: 'all' | 'staff' = 'all'): Promise<Position> =>
    write({ type: 'event', kind: 'note', lane: 'must', audience, body: '{"text":"words"}' });
  return {
    room,
    write,
    say,
    async fill(upTo: number) {
      for (let n = 1; n <= upTo; n += 1) await say();
    },
    get: (page: number | string, headers: Record<string, string> = {}) =>
      from.app.inject({ method: 'GET', url: `/rooms/${room}/pages/${page}`, headers }),
  };
}

describe('a page of a public room', () => {
  it('says what it covers, and holds the events as they are pulled', async () => {
    const { get, say, write } = enterRoom();
    const { epoch } = await say();
    await say('staff');
    await write({ type: 'put', part: 'title', value: '"x"', ifVersion: null });
    const { statusCode, headers, body } = await get(0);
    assert.equal(statusCode, 200);
    assert.match(String(headers['content-type']), /^application\/json/);
    const { events, ...head } = JSON.parse(body);
    assert.deepEqual(head, { epoch, version: `${epoch}.0`, page: 0, from: 1, to: 3, full: false });
    const [note, state] = events;
    assert.deepEqual([note.id, note.event, note.data.text], [`${epoch}.1`, 'note', 'words']);
    assert.equal(typeof note.data.at, 'number');
    assert.deepEqual(state, {
      id: `${epoch}.3`,
      event: 'state',
      data: { total: 3, parts: { title: { version: 3, value: 'x' } }, removed: [] },
    });
    assert.equal(events.length, 2);
  });

  it('may be kept long under the present version once it is full, and for a moment otherwise', async () => {
    const { get, fill } = enterRoom();
    await fill(120);
    const bare = await get(0);
    const { version, full, epoch } = bare.json();
    assert.deepEqual([full, bare.headers['cache-control']], [true, brief]);
    const named = await get(`0?v=${version}`);
    assert.equal(named.headers['cache-control'], kept);
    assert.equal(named.body, bare.body);
    for (const address of ['1', `1?v=${version}`, 'latest', `latest?v=${version}`, `0?v=${epoch}.99`, '0?v=other.0']) {
      const { statusCode, headers } = await get(address);
      assert.deepEqual([statusCode, headers['cache-control']], [200, brief], address);
    }
    assert.equal((await get('latest')).json().page, 1);
  });

  it('costs no body where it is known', async () => {
    const { get, fill, say } = enterRoom();
    await fill(3);
    const { headers } = await get(0);
    const etag = String(headers.etag);
    for (const sent of [etag, `W/${etag}`, `"x", ${etag}`]) {
      const { statusCode, body, headers: again } = await get(0, { 'if-none-match': sent });
      assert.deepEqual([statusCode, body, again['cache-control'], again.etag], [304, '', brief, etag]);
    }
    await say();
    built.clock.advance(keptMs);
    const changed = await get(0, { 'if-none-match': etag });
    assert.deepEqual([changed.statusCode, changed.json().to], [200, 4]);
  });

  it('has another address once something in the room was retracted, and says nothing of that under any', async () => {
    const { get, fill, write } = enterRoom();
    await fill(150);
    const before = (await get(0)).json();
    const target: Position = { epoch: before.epoch, offset: 42 };
    await write({ type: 'retract', target, body: `{"id":"${before.epoch}.42"}` });
    built.clock.advance(keptMs);
    const version = `${before.epoch}.151`;
    for (const [address, cacheControl] of [
      ['0', brief],
      [`0?v=${before.version}`, brief],
      [`0?v=${version}`, kept],
    ] as const) {
      const { headers, json } = await get(address);
      const page = json();
      assert.deepEqual([headers['cache-control'], page.version, page.full], [cacheControl, version, true], address);
      assert.equal(page.events.length, 98);
      assert.ok(!page.events.some(({ id }: { id: string }) => id === `${before.epoch}.42`));
    }
    const etags = [(await get(0)).headers.etag, (await get(`0?v=${before.version}`)).headers.etag];
    assert.equal(new Set(etags).size, 1);
    const { events } = (await get(1)).json();
    assert.deepEqual(events.at(-1).event, 'retract');
  });

  it('is not found where there is none, which caches keep for a moment', async () => {
    const { get, fill } = enterRoom();
    await fill(5);
    for (const page of [1, 7, 9_999_999_999_999]) {
      const { statusCode, headers, json } = await get(page);
      assert.deepEqual([statusCode, json().code, headers['cache-control']], [404, 'not-found', brief]);
    }
    for (const page of ['-1', '01', 'x', '1.5', '10000000000000', 'last', '0?v=x', '0?v=', '0?v=a.1&v=a.2']) {
      const { statusCode, json } = await get(page);
      assert.deepEqual([statusCode, json().code], [400, 'malformed'], page);
    }
  });
});

describe('a page and tokens', () => {
  it('is the same for somebody with a token, and no cache may keep that answer', async () => {
    const { get, fill, room, say } = enterRoom();
    await fill(99);
    await say('staff');
    const bare = await get(0);
    const { version } = bare.json();
    const { headers, body } = await get(`0?v=${version}`, bearer('host', room));
    assert.deepEqual([body, headers['cache-control']], [bare.body, 'no-store']);
    assert.deepEqual((await get(1, bearer('host', room))).json().events, [], 'not even staff get what is for staff');
    assert.equal((await get(7, bearer('host', room))).headers['cache-control'], 'no-store');
    for (const answer of [bare, await get(0, bearer('host', room))]) {
      assert.match(String(answer.headers.vary), /Authorization, Cookie/);
    }
  });

  it('is refused to a bad token, to one for another room, and to who is banned', async () => {
    const { get, room, write } = enterRoom();
    await write({
      type: 'rule',
      kind: 'ban',
      rule: 'ban',
      user: 'viewer' as UserId,
      seconds: 0,
      body: '{"user":"viewer"}',
    });
    assert.equal((await get(0, { authorization: 'Bearer x' })).json().code, 'unauthorized');
    assert.equal((await get(0, bearer('viewer', 'elsewhere'))).json().code, 'not-this-room');
    const banned = await get(0, bearer('viewer', room));
    assert.deepEqual([banned.json().code, banned.headers['cache-control']], ['banned', 'no-store']);
  });

  it('is not there where rooms are not public, whoever asks', async () => {
    const closed = await buildHttp();
    try {
      const { get, say, room } = enterRoom(closed);
      await say();
      for (const headers of [{}, bearer('host', room)]) {
        const { statusCode, json, headers: answered } = await get(0, headers);
        assert.deepEqual([statusCode, json().code, answered['cache-control']], [404, 'not-found', 'no-store']);
      }
    } finally {
      await closed.close();
    }
  });
});
