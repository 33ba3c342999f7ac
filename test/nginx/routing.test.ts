import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { readGroups } from '../../src/groups/groups-file.ts';
import { murmurHash2 } from '../../src/groups/murmur.ts';
import { placesOf, slotOf, slotsCount } from '../../src/groups/slots.ts';
import { isRoomId, type RoomId } from '../../src/model.ts';
import { type GroupsText, type Nginx, startNginx, startUpstream, type Upstream } from '../rig/nginx.ts';
import { waitFor } from '../rig/wait-for.ts';

let home: string;
let upstreams: Upstream[] = [];
let nginx: Nginx | null = null;

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'ringside-upstreams-'));
});
after(() => rm(home, { recursive: true, force: true }));
beforeEach(async () => {
  upstreams = await Promise.all(['blue-1', 'blue-2', 'green-1'].map((name) => startUpstream(name, home)));
});
afterEach(async () => {
  await nginx?.stop();
  nginx = null;
  await Promise.all(upstreams.map((upstream) => upstream.close()));
});

const server = (name: string, more: object = {}) => ({ name, address: `unix:${join(home, `${name}.sock`)}`, ...more });
const two = () => ({
  blue: { servers: [server('blue-1'), server('blue-2')] },
  green: { servers: [server('green-1')] },
});
const start = async (more: GroupsText = {}, change?: (text: string) => string): Promise<Nginx> => {
  nginx = await startNginx({ groups: two(), ...more }, change ? { change } : {});
  return nginx;
};
const rooms = Array.from({ length: 40 }, (_, at) => `room-${at}` as RoomId);

/** Over a connection of its own, with headers that `fetch` would not send. */
function send(
  url: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; slot: string; by: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { agent: false, headers }, (answer) => {
      answer.resume();
      const { 'x-slot': slot = '', 'x-answered-by': by = '' } = answer.headers;
      resolve({ status: answer.statusCode ?? 0, slot: String(slot), by: String(by) });
    });
    asked.on('error', reject).end();
  });
}

const multiplier = 0x5bd1e995;
/** `multiplier` times this is 1, by 32 bits. */
const inverse = 0xe59b19bd;

/** A room of eight characters with this hash: MurmurHash2 is turned round for its last four. */
function roomWithHash(hash: number): RoomId | null {
  let state = hash ^ (hash >>> 15) ^ (hash >>> 30);
  state = Math.imul(state, inverse);
  state ^= (state >>> 13) ^ (state >>> 26);
  for (let nth = 0; nth < 20_000; nth += 1) {
    const first = `q${nth.toString(36).padStart(3, '0')}`;
    let part = Math.imul(Buffer.from(first).readUInt32LE(0), multiplier);
    part = Math.imul(part ^ (part >>> 24), multiplier);
    const before = Math.imul(8, multiplier) ^ part;
    let rest = Math.imul(state ^ Math.imul(before, multiplier), inverse);
    rest = Math.imul(rest ^ (rest >>> 24), inverse);
    const last = Buffer.alloc(4);
    last.writeInt32LE(rest);
    const room = `${first}${last.toString('latin1')}`;
    if (isRoomId(room) && murmurHash2(Buffer.from(room)) === hash >>> 0) return room;
  }
  return null;
}

describe('rooms behind nginx', () => {
  it('are in the slots that we say, also at the edges of each', async () => {
    const { url } = await start({}, (text) =>
      text.replace('location = /=read {', 'location = /=read {\n      add_header X-Slot $ringside_slot always;'),
    );
    const slotHashes = 17_179_869;
    const edges = Array.from({ length: slotsCount }, (_, slot) => slot * slotHashes).flatMap((edge) =>
      [edge - 1, edge].flatMap((hash) => (hash < 0 ? [] : (roomWithHash(hash) ?? []))),
    );
    // What rounding leaves after the last slot's share.
    const beyond = [0xffff_ffff, 0xffff_fffe, slotHashes * slotsCount + 1].flatMap((hash) => roomWithHash(hash) ?? []);
    assert.ok(edges.length > 400, `only ${edges.length} rooms at edges were found`);
    assert.ok(beyond.length > 0);
    const strange = [
      '0',
      'A',
      'a',
      'a.',
      'a~',
      'a-',
      'a_',
      'A.b_c~d-e',
      'default',
      'hostnames',
      'z'.repeat(64),
      '0'.repeat(63),
    ];
    const lengths = Array.from({ length: 64 }, (_, at) => `x${'y'.repeat(at)}`);
    const all = [...edges, ...beyond, ...strange, ...lengths, ...rooms] as RoomId[];
    for (const room of all) {
      const { slot } = await send(`${url}/rooms/${room}/events`);
      assert.equal(Number(slot), slotOf(room), `${room}, of hash ${murmurHash2(Buffer.from(room))}`);
    }
    assert.deepEqual(
      beyond.map((room) => slotOf(room)),
      beyond.map(() => slotsCount - 1),
    );
  });

  it('land on their group, whose name the gateway is told', async () => {
    const { url, file } = await start();
    const places = placesOf(readGroups(JSON.stringify({ groups: two() })));
    assert.ok(file);
    for (const room of rooms) {
      const way = ['stream', 'state', 'events', 'actions/like'][rooms.indexOf(room) % 4];
      const { by } = await send(`${url}/rooms/${room}/${way}`, { 'x-ringside-group': 'forged' });
      assert.equal(by.split('-')[0], places.of(room)[0], room);
    }
    const told = upstreams.flatMap(({ name, received }) =>
      received.map(({ headers }) => [name.split('-')[0], headers['x-ringside-group']]),
    );
    assert.equal(told.length, rooms.length);
    assert.deepEqual(
      told.filter(([group, said]) => group !== said),
      [],
    );
  });

  it('that are hot land on all of their groups, and are misrouted in none', async () => {
    const { url } = await start({ hotRooms: { 'Match.7': ['green', 'blue'] } });
    const answered = new Set<string>();
    for (let nth = 0; nth < 12; nth += 1) answered.add((await send(`${url}/rooms/Match.7/stream`)).by);
    assert.deepEqual([...answered].sort(), ['blue-1', 'blue-2', 'green-1']);
    const told = new Set(
      upstreams.flatMap(({ received }) => received.map(({ headers }) => headers['x-ringside-group'])),
    );
    assert.deepEqual([...told], ['hot']);
    // Another room, though nginx would compare plain words without regard to capitals.
    const places = placesOf(readGroups(JSON.stringify({ groups: two() })));
    for (const other of ['match.7', 'Matchx7'] as RoomId[]) {
      for (let nth = 0; nth < 4; nth += 1) {
        const { by } = await send(`${url}/rooms/${other}/stream`);
        assert.equal(by.split('-')[0], places.of(other)[0], other);
      }
    }
  });

  it('never land on a server that is drained', async () => {
    const blue = { servers: [server('blue-1', { drain: true }), server('blue-2')] };
    const { url } = await start({ groups: { ...two(), blue } });
    for (const room of rooms) assert.notEqual((await send(`${url}/rooms/${room}/stream`)).by, 'blue-1');
  });

  it('are served by another group while nobody of their own is there', async () => {
    const { url } = await start();
    await upstreams[2]?.close();
    for (const room of rooms) {
      const { status, by } = await send(`${url}/rooms/${room}/stream`);
      assert.equal(status, 200);
      assert.match(by, /^blue-/);
    }
  });
});

describe('what a client says of itself', () => {
  const forged = {
    'x-forwarded-for': '203.0.113.9',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'evil.example',
    'x-real-ip': '203.0.113.9',
    forwarded: 'for=203.0.113.9',
    'x-ringside-group': 'forged',
  };
  const receivedHeaders = (): Record<string, unknown> =>
    upstreams.flatMap(({ received }) => received)[0]?.headers ?? {};

  it('is not believed', async () => {
    const { url, port } = await start();
    await send(`${url}/rooms/room-1/state`, forged);
    const { 'x-forwarded-for': from, 'x-forwarded-proto': scheme, host, ...rest } = receivedHeaders();
    assert.deepEqual([from, scheme, host], ['127.0.0.1', 'http', `127.0.0.1:${port}`]);
    assert.deepEqual(
      [rest['x-forwarded-host'], rest['x-real-ip'], rest['forwarded']],
      [undefined, undefined, undefined],
    );
    assert.notEqual(rest['x-ringside-group'], 'forged');
  });

  it('is believed of a proxy that the file trusts, up to the first stranger', async () => {
    const { url } = await start({ trustedProxies: ['127.0.0.1', '10.0.0.0/8'] });
    await send(`${url}/rooms/room-1/state`, { ...forged, 'x-forwarded-for': '198.51.100.7, 203.0.113.9, 10.1.2.3' });
    const { 'x-forwarded-for': from, 'x-forwarded-proto': scheme } = receivedHeaders();
    assert.deepEqual([from, scheme], ['203.0.113.9', 'https']);
  });
});

describe('what nginx says of itself', () => {
  it('is for its own machine only', async () => {
    // As seen through a proxy that is trusted, so that one machine can play two.
    const { url } = await start({ trustedProxies: ['127.0.0.1'] });
    for (const path of ['ringside-groups', 'ringside-status']) {
      assert.equal((await send(`${url}/${path}`)).by, '');
      // For others it is a path like any other.
      assert.match((await send(`${url}/${path}`, { 'x-forwarded-for': '203.0.113.9' })).by, /^(?:blue|green)-/);
    }
  });

  it('cannot be asked for by the names of the ways', async () => {
    const { url } = await start();
    for (const path of ['groups', 'status', 'stream', 'write-post'].map((name) => `=${name}`)) {
      for (const spelled of [path, `%3D${path.slice(1)}`, `/${path}`, `./${path}`]) {
        const { status, by } = await send(`${url}/${spelled}`);
        assert.deepEqual([status, by], [400, ''], spelled);
      }
    }
  });
});

describe('what nginx writes down', () => {
  it('never holds a token, whatever happens to the request', async () => {
    const running = await start({ unlimited: [] }, (text) =>
      text
        .replace(/(ringside_(?:opens|writes):16m rate=)\d+r\/s/g, '$11r/m')
        .replace(/(ringside_(?:opens|writes) burst=)\d+/g, '$12'),
    );
    const canary = 'eyJcanary';
    const paths = ['stream', 'state', 'events', 'pages/1', 'nothing', 'actions/like'];
    const ask = async (): Promise<void> => {
      for (const path of paths) {
        const url = `${running.url}/rooms/room-1/${path}?access_token=${canary}&x=1`;
        const headers = { authorization: `Bearer ${canary}`, cookie: `ringside=${canary}`, referer: url };
        await fetch(url, { headers }).then((answer) => answer.arrayBuffer());
        await fetch(url, { method: 'POST', body: '{}', headers }).then((answer) => answer.arrayBuffer());
      }
    };
    await ask();
    await Promise.all(upstreams.map((upstream) => upstream.close()));
    await ask();
    const logged = await waitFor(
      async () => {
        const lines = (await running.accessLog()).trim().split('\n');
        return lines.length >= 4 * paths.length && lines.map((line) => JSON.parse(line) as Record<string, unknown>);
      },
      { what: 'the access log to be written' },
    );
    assert.ok(logged.some(({ path, upstreamStatus }) => path === '/rooms/room-1/stream' && upstreamStatus === '200'));
    assert.ok(
      logged.some(({ limited }) => limited !== ''),
      'a limit was reached too',
    );
    assert.ok(
      logged.some(({ status }) => status === 503),
      'an upstream failed too',
    );
    assert.ok(!(await running.written()).includes(canary));
  });
});
