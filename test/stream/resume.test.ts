import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type RunningGateway, startGateway, tokenOf } from '../rig/gateway.ts';
import { type ReadOptions, readStream, type StreamReader, watch } from '../rig/stream-reader.ts';
import { waitFor } from '../rig/wait-for.ts';

const open: StreamReader[] = [];
let gateway: RunningGateway;
let small: RunningGateway;

before(async () => {
  gateway = await startGateway({ environment: { HEARTBEAT_MS: '50', STATE_INLINE_BYTES: '100', COUNT_MS: '10' } });
  small = await startGateway({ environment: { LOG_ENTRIES_MAX: '10' } });
});
after(async () => {
  for (const reader of open) reader.close();
  await Promise.all([gateway.close(), small.close()]);
});

const read = async (options: ReadOptions = {}, of: RunningGateway = gateway): Promise<StreamReader> => {
  const reader = await watch(of.url, options);
  open.push(reader);
  return reader;
};
const resumeOf = async (options: ReadOptions, of?: RunningGateway): Promise<Record<string, unknown>> => {
  const reader = await read(options, of);
  reader.close();
  return (await reader.first('resume')).data;
};
/** A room of its own for each test, with a host and a viewer in it. */
let rooms = 0;
function newRoom() {
  rooms += 1;
  const name = `resume-${rooms}`;
  const host = tokenOf('hanna', 'host', { rooms: { [name]: 'host' } });
  const token = tokenOf('ann', 'viewer', { rooms: { [name]: 'viewer' } });
  const say = (n: number, of: RunningGateway = gateway): Promise<string> =>
    of.post('signal', { type: 'beat', data: { n } }, { as: host, room: name });
  const sayMany = async (count: number, of?: RunningGateway): Promise<string[]> => {
    const ids: string[] = [];
    for (let n = 1; n <= count; n += 1) ids.push(await say(n, of));
    return ids;
  };
  const put = (part: string, value: unknown, of: RunningGateway = gateway) =>
    of.ask(`/rooms/${name}/state/${part}`, {
      method: value === undefined ? 'DELETE' : 'PUT',
      headers: { authorization: `Bearer ${host}`, 'content-type': 'application/json' },
      ...(value === undefined ? {} : { body: JSON.stringify(value) }),
    });
  return { name, host, token, say, sayMany, put, as: { room: name, token } };
}
const beats = (reader: StreamReader): unknown[] =>
  reader.named('beat').map(({ data }) => (data['data'] as { n: number }).n);
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, n) => from + n);

describe('a viewer that returns with its last id', () => {
  it('gets what it missed, once and in order, and then what comes live', async () => {
    const { as, say, sayMany } = newRoom();
    const ids = await sayMany(30);
    const reader = await read({ ...as, headers: { 'last-event-id': String(ids[9]) } });
    const { data, id } = await reader.first('resume');
    assert.deepEqual(data, {
      verdict: 'exact',
      from: ids[9],
      to: ids[9],
      missed: 0,
      cause: null,
      you: { id: 'ann', role: 'viewer' },
    });
    assert.equal(id, ids[9]);
    await reader.until(() => beats(reader).length === 20, 'the missed ones');
    await say(31);
    await reader.until(() => beats(reader).length === 21, 'the live one');
    assert.deepEqual(beats(reader), range(11, 31));
    assert.deepEqual(
      reader.heard.slice(0, 3).map(({ event }) => event),
      ['resume', 'state', 'beat'],
    );
    assert.match(reader.text, /^retry: [1-9][0-9]*\n\nid: [a-z0-9.]+\nevent: resume\n/);
  });

  it('is believed by its header before its query, and by its query where there is no header', async () => {
    const { as, sayMany } = newRoom();
    const ids = await sayMany(4);
    const [first = '', , third = ''] = ids;
    const both = await resumeOf({ ...as, headers: { 'last-event-id': first }, query: { lastEventId: third } });
    assert.equal(both['from'], first);
    const query = await resumeOf({ ...as, query: { lastEventId: third } });
    assert.deepEqual([query['verdict'], query['from']], ['exact', third]);
    const empty = await resumeOf({ ...as, headers: { 'last-event-id': '' }, query: { lastEventId: third } });
    assert.equal(empty['from'], third);
    assert.equal((await resumeOf({ ...as, query: { lastEventId: '' } }))['verdict'], 'fresh');
  });

  it('is told how many it missed where the log was trimmed, to the number', async () => {
    const { as, sayMany } = newRoom();
    const ids = await sayMany(40, small);
    const reader = await read({ ...as, headers: { 'last-event-id': String(ids[2]) } }, small);
    const { data } = await reader.first('resume');
    await reader.until(() => beats(reader).at(-1) === 40, 'what is left');
    const first = Number(beats(reader)[0]);
    assert.ok(first > 20 && first <= 31, `kept from ${first}`);
    assert.deepEqual(beats(reader), range(first, 40));
    assert.deepEqual(
      [data['verdict'], data['cause'], data['missed'], data['to']],
      ['gap', 'trimmed', first - 1 - 3, ids[first - 2]],
    );
    const state = await reader.first('state');
    assert.equal(state.data['whole'], true, 'after a gap the state is whole');
  });

  it('is never answered with an error, whatever it believes to be an id', async () => {
    const { as, sayMany } = newRoom();
    const [id = ''] = await sayMany(1);
    const [epoch = ''] = id.split('.');
    const strange = [
      'garbage',
      '.',
      `${epoch}.`,
      `${epoch}.-1`,
      `${epoch}.01`,
      `${epoch}.1 `,
      `${epoch}.1e1`,
      `.1`,
      `${epoch}.1.1`,
      `${epoch}.999999999999999`,
      `${epoch}.9999999999999999999`,
      'foreign.1',
      `${epoch.toUpperCase()}.1`,
      'x'.repeat(12_000),
      '0'.repeat(12_000),
      `${epoch}.${'1'.repeat(11_000)}`,
      '__proto__.1',
      '"',
      '{}',
    ];
    for (const text of strange) {
      const short = text.slice(0, 40);
      for (const options of [{ headers: { 'last-event-id': text } }, { query: { lastEventId: text } }]) {
        const data = await resumeOf({ ...as, ...options });
        // A header's value ends where its trailing white space begins.
        const isGood = text.trim() === id && 'headers' in options;
        assert.equal(data['verdict'], isGood ? 'exact' : 'reset', short);
        assert.deepEqual([data['to'], data['missed']], [id, isGood ? 0 : null], short);
      }
    }
    for (const text of ['\0', `${id}\0`, '\r\nx: y', '\u2028', '\ud83d\ude00', '%']) {
      const data = await resumeOf({ ...as, query: { lastEventId: text } });
      assert.equal(data['verdict'], 'reset', JSON.stringify(text));
    }
    const latin = await resumeOf({ ...as, headers: { 'last-event-id': '\u00e9\u00ff\t!' } });
    assert.equal(latin['verdict'], 'reset');
  });

  it('given twice in the query, the id is refused or no id, and never an internal error', async () => {
    const { name, token } = newRoom();
    const { status, json } = await gateway.ask(`/rooms/${name}/stream?lastEventId=a.1&lastEventId=b.2`, {
      headers: { authorization: `Bearer ${token}` },
    });
    assert.deepEqual([status, json['code']], [400, 'malformed']);
  });
});

describe('a first visit', () => {
  it('gets as much history as it asks for, and none unasked', async () => {
    const { as, sayMany } = newRoom();
    await sayMany(210);
    for (const count of [0, 1, 200]) {
      const reader = await read({ ...as, query: { history: String(count) } });
      assert.equal((await reader.first('resume')).data['verdict'], 'fresh');
      await reader.until(() => beats(reader).length === count, `${count} of history`);
      assert.deepEqual(beats(reader), range(211 - count, 210));
      reader.close();
    }
    const unasked = await read(as);
    await waitFor(() => unasked.comments.length > 0, { what: 'the stream to go quiet' });
    assert.deepEqual(beats(unasked), []);
  });

  it('is refused more history than 200, and what is no number', async () => {
    const { name, token } = newRoom();
    for (const history of ['201', '9999', '10000', '-1', '1.5', 'all', '', ' 1']) {
      const reader = await readStream(gateway.url, { room: name, token, query: { history } });
      await reader.over();
      assert.equal(reader.status, 400, `history=${history}`);
      assert.match(String(reader.headers['content-type']), /^application\/problem\+json/);
    }
  });

  it('with history keeps to it only while it has no id', async () => {
    const { as, sayMany } = newRoom();
    const ids = await sayMany(5);
    const reader = await read({ ...as, query: { history: '5' }, headers: { 'last-event-id': String(ids[3]) } });
    await reader.until(() => beats(reader).length === 1, 'the missed one');
    assert.deepEqual(beats(reader), [5]);
  });
});

describe('the state on connect', () => {
  it('is whole for a newcomer, and for one that returns only what changed and went since', async () => {
    const { as, put, say } = newRoom();
    await put('score', { home: 1 });
    await put('clock', 10);
    await put('poll', 'open');
    const newcomer = await read(as);
    const whole = (await newcomer.first('state')).data;
    assert.deepEqual(whole, {
      total: 3,
      parts: {
        score: { version: 1, value: { home: 1 } },
        clock: { version: 2, value: 10 },
        poll: { version: 3, value: 'open' },
      },
      removed: [],
      whole: true,
    });
    const id = await say(1);
    await put('clock', 11);
    await put('poll', undefined);
    const back = await read({ ...as, headers: { 'last-event-id': id } });
    const state = await back.first('state');
    assert.deepEqual(state.data, { total: 6, parts: { clock: { version: 5, value: 11 } }, removed: ['poll'] });
    assert.equal(state.id, undefined, 'a snapshot has no id');
    await newcomer.until(() => newcomer.named('state').length === 3, 'the changes, live');
    assert.deepEqual(
      newcomer
        .named('state')
        .slice(1)
        .map(({ id: at, data }) => [at?.split('.')[1], data]),
      [
        ['5', { total: 5, parts: { clock: { version: 5, value: 11 } }, removed: [] }],
        ['6', { total: 6, parts: {}, removed: ['poll'] }],
      ],
    );
  });

  it('leaves out the values that are too large for a stream, which can be fetched', async () => {
    const { as, put, name, token } = newRoom();
    const long = 'x'.repeat(200);
    const reader = await read(as);
    await put('line-up', long);
    await reader.until(() => reader.named('state').length === 2, 'the change');
    const newcomer = await read(as);
    for (const state of [reader.named('state')[1], newcomer.named('state')[0]]) {
      assert.deepEqual(state?.data['parts'], { 'line-up': { version: 1 } });
    }
    const { json } = await gateway.ask(`/rooms/${name}/state?since=0`, {
      headers: { authorization: `Bearer ${token}` },
    });
    assert.deepEqual(json['parts'], { 'line-up': { version: 1, value: long } });
  });
});

describe('the bytes of a stream', () => {
  it('go on with comments while nothing happens', async () => {
    const { as } = newRoom();
    const reader = await read(as);
    await reader.until(() => reader.comments.length >= 3, 'three heartbeats');
    assert.match(reader.text, /\n\n:\n\n/);
  });

  it('are gzip exactly where the client takes it', async () => {
    const { as, sayMany } = newRoom();
    const cases: readonly (readonly [string | undefined, boolean])[] = [
      [undefined, false],
      ['', false],
      ['gzip', true],
      ['gzip, deflate, br, zstd', true],
      ['deflate, gzip;q=1.0, *;q=0.5', true],
      ['GZIP;Q=0.001', true],
      ['*', true],
      ['gzip;q=0', false],
      ['gzip;q=0.0, *', false],
      ['identity', false],
      ['br', false],
      ['*;q=0', false],
      ['gzip;q=nonsense', false],
    ];
    await sayMany(3);
    for (const [accept, isGzip] of cases) {
      const headers = accept === undefined ? {} : { 'accept-encoding': accept };
      const reader = await read({ ...as, headers, query: { history: '3' } });
      assert.equal(reader.headers['content-encoding'], isGzip ? 'gzip' : undefined, `Accept-Encoding: ${accept}`);
      assert.match(String(reader.headers['vary']), /Accept-Encoding/i);
      await reader.until(() => beats(reader).length === 3, 'its history, decoded');
      assert.deepEqual(beats(reader), [1, 2, 3]);
      reader.close();
    }
  });

  it('come under headers that let no cache and no proxy hold them back', async () => {
    const { headers } = await read(newRoom().as);
    assert.equal(headers['content-type'], 'text/event-stream');
    assert.equal(headers['cache-control'], 'no-store, no-transform');
    assert.equal(headers['x-accel-buffering'], 'no');
    assert.equal(headers['x-content-type-options'], 'nosniff');
    assert.equal(headers['content-length'], undefined);
  });
});
