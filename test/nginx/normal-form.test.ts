import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { isNormalTarget } from '../../src/http/normal-form.ts';
import { type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { type Nginx, startNginx } from '../rig/nginx.ts';
import { type RawAnswer, rawRequest, sendRaw } from '../rig/raw-http.ts';
import { readStream, type StreamReader, watch } from '../rig/stream-reader.ts';

// nginx chooses a way, with its limits, by what it reads; a gateway serves what it reads. Where they read one text
// differently, limits, caches and routing are passed by. So both refuse what can be read in more than one way.

const streamsMax = 3;

let gateway: RunningGateway;
let nginx: Nginx;
/** What reached the gateway. */
let asked: string[] = [];
const readers: StreamReader[] = [];

before(async () => {
  gateway = await startGateway({ environment: { ANONYMOUS_VIEWERS: 'on', DEMO: 'on' } });
  gateway.gateway.app.server.on('request', ({ url }) => void asked.push(String(url)));
  nginx = await startNginx(
    { groups: { blue: { servers: [{ name: 'blue-1', address: `127.0.0.1:${gateway.port}` }] } } },
    {
      change: (text) => text.replace('limit_conn ringside_streams 1000;', `limit_conn ringside_streams ${streamsMax};`),
    },
  );
});
after(async () => {
  await nginx.stop();
  await gateway.close();
});
beforeEach(() => {
  asked = [];
});
afterEach(() => {
  for (const reader of readers.splice(0)) reader.close();
});

function assertMalformed(answer: RawAnswer, what: string): void {
  const { status, headers, json } = answer;
  assert.deepEqual([status, json['code']], [400, 'malformed'], `${what}: ${answer.body}`);
  assert.match(headers['content-type'] ?? '', /^application\/problem\+json/, what);
  assert.equal(headers['cache-control'], 'no-store', what);
}

const codes = (text: string): string => text.replace(/./g, (char) => `%${char.charCodeAt(0).toString(16)}`);
const strange = [
  `/rooms/${room}/%73tream`,
  `/rooms/${room}/strea%6D`,
  `/rooms/${room}/strea%6d`,
  `/rooms/${room}/${codes('stream')}`,
  `/rooms/${room.replace('m', '%6D')}/stream`,
  `/%72ooms/${room}/stream`,
  `/rooms%2F${room}/stream`,
  `/rooms/${room}%2fstream`,
  `/rooms/${room}/stream%00`,
  `/rooms/${room}/stream%20`,
  `/rooms/${room}/stream%3F`,
  `/rooms/${room}/stream%`,
  `/rooms/${room}/stream%7`,
  `/rooms/${room}/stream%zz`,
  `/rooms/${room}/stream#x`,
  `/rooms/${room}/stream#`,
  `/rooms/${room}/stream?#x`,
  `/rooms/${room}/stream?x=1#&access_token=t`,
  `/rooms/${room}/stream;x`,
  `/rooms/${room}/stream;x=1?y`,
  `/rooms/${room};x/stream`,
  `//rooms/${room}/stream`,
  `/rooms//${room}/stream`,
  `/rooms/${room}//stream`,
  `/rooms/${room}/stream//`,
  `/./rooms/${room}/stream`,
  `/rooms/./${room}/stream`,
  `/rooms/${room}/./stream`,
  `/rooms/${room}/stream/.`,
  `/rooms/${room}/x/../stream`,
  `/rooms/${room}/stream/..`,
  `/../rooms/${room}/stream`,
  `/rooms/%2e/${room}/stream`,
  `/rooms/x/%2e%2e/${room}/stream`,
  `/rooms\\${room}\\stream`,
  `/rooms/${room}\\stream`,
  `/rooms/${room}/stream\x00`,
  `/rooms/${room}/stream\x7f`,
  `/rooms/${room}/str\xe9am`,
  `/rooms/${room}/stream*`,
  `/rooms/${room}/stream:`,
  `/rooms/${room}/stream@x`,
  `/rooms/${room}/stream+`,
  `/rooms/${room}/stream,`,
  `/rooms/${room}/stream=`,
  `/rooms/${room}/stream&x`,
  `/rooms/${room}/stream|x`,
  `/rooms/${room}/stream"`,
  `/rooms/{${room}}/stream`,
  `http://x/rooms/${room}/stream`,
  `https://x/rooms/${room}/stream`,
  `HTTP://x/rooms/${room}/stream`,
  `http://x/rooms/${room}/%73tream`,
  `http://x`,
  '*',
  `rooms/${room}/stream`,
  '/demo/../openapi.json',
  '/demo/%2e%2e/openapi.json',
  `/rooms/${room}/state?%61ccess_token=t`,
  `/rooms/${room}/state?access%5Ftoken=t`,
  `/rooms/${room}/state?x=1&access_toke%6E=t`,
  `/rooms/${room}/state?x&%73ince=1`,
  `/rooms/${room}/state?%=1`,
];

describe('a request target that can be read in more than one way', () => {
  it('is refused by nginx, before anything is decided by it and before a gateway hears of it', async () => {
    for (const target of strange) {
      assertMalformed(await sendRaw(nginx.port, rawRequest(`GET ${target}`)), target);
    }
    assert.deepEqual(asked, []);
  });

  it('is refused by a gateway that is reached without nginx, also where nothing is served', async () => {
    // The others are no HTTP to Node either, and go no further than its parser.
    for (const target of strange.filter((one) => /^(?:[/*]|https?:)[\x21-\x7e]*$/i.test(one))) {
      assertMalformed(await sendRaw(gateway.port, rawRequest(`GET ${target}`)), target);
    }
    for (const method of ['POST', 'PUT', 'DELETE', 'HEAD']) {
      const { status } = await sendRaw(gateway.port, rawRequest(`${method} /rooms/${room}/%73tate`));
      assert.equal(status, 400, method);
    }
  });

  it('is refused whatever the method, by nginx too', async () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'PROPFIND', 'TRACE']) {
      const { status } = await sendRaw(nginx.port, rawRequest(`${method} /rooms/${room}/%73tream`));
      assert.equal(status, 400, method);
    }
    assert.deepEqual(asked, []);
  });

  it('opens no stream beyond the limits', async () => {
    for (let nth = 0; nth < streamsMax; nth += 1) readers.push(await watch(nginx.url));
    const target = `/rooms/${room}/%73tream?access_token=${tokenOf('ann')}`;
    for (const spelled of [target, `/rooms/${room}/stream#x`, `/rooms/${room}/./stream`]) {
      assertMalformed(await sendRaw(nginx.port, rawRequest(`GET ${spelled}`)), spelled);
    }
    const more = await readStream(nginx.url);
    await more.over();
    assert.equal(more.named('end').length, 1);
    assert.equal(gateway.gateway.hub.viewers, streamsMax);
  });
});

describe('a request target in normal form', () => {
  const plain = [
    ['/openapi.json', 200],
    ['/demo/', 200],
    ['/demo/?room=demo', 200],
    ['/', 404],
    ['/.well-known/x', 404],
    ['/a..b/...', 404],
    ['/~x_y-z.', 404],
    [`/rooms/${room}/stream/`, 404],
    [`/rooms/${room}/Stream`, 404],
    [`/rooms/${room}/state`, 200],
    [`/rooms/${room}/state?`, 200],
    [`/rooms/${room}/state?x=%61%2F%23&y=a/b?c`, 200],
    [`/rooms/${room}/state?=&&`, 200],
    ['/rooms/a.b~c_d-e/state', 200],
  ] as const;

  it('is the same to nginx and to a gateway', async () => {
    for (const [target, status] of plain) {
      assert.equal((await sendRaw(gateway.port, rawRequest(`GET ${target}`))).status, status, target);
      assert.equal((await sendRaw(nginx.port, rawRequest(`GET ${target}`))).status, status, `${target} by nginx`);
    }
  });

  it('reaches a gateway as it was sent, with its whole query', async () => {
    const target = `/rooms/${room}/events?after=&limit=5&x=%61+b&x=/?&access_token=${tokenOf('ann')}`;
    assert.equal((await sendRaw(nginx.port, rawRequest(`GET ${target}`))).status, 200);
    assert.deepEqual(asked, [target]);
  });

  it('is told from the others by one rule, and not by two', async () => {
    // The rule of nginx.conf against that of the gateway, on targets put together by chance from what matters.
    const parts = ['/', '/', '.', '..', 'a', 'rooms', '%61', '#', '?', '&', '=', ';', '~', '-', '_', '*', ':'];
    const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
    let state = seed;
    const next = (max: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
      return state % max;
    };
    for (let nth = 0; nth < 400; nth += 1) {
      const target = `/${Array.from({ length: 1 + next(7) }, () => parts[next(parts.length)]).join('')}`;
      const { status } = await sendRaw(nginx.port, rawRequest(`GET ${target}`));
      assert.equal(status !== 400, isNormalTarget(target), `${target}, SEED=${seed}`);
    }
  });
});

describe('what nginx cannot read', () => {
  const long = 'x'.repeat(40_000);
  const unreadable: readonly (readonly [string, string])[] = [
    ['a target that is too long', rawRequest(`GET /rooms/${room}/state?x=${long}`)],
    ['a header that is too long', rawRequest(`GET /rooms/${room}/state`, [`Cookie: x=${long}`])],
    [
      'a head that is too large',
      rawRequest(
        `GET /rooms/${room}/state`,
        Array.from({ length: 9 }, (_, at) => `X-${at}: ${long.slice(0, 9000)}`),
      ),
    ],
    ['no host', `GET /rooms/${room}/state HTTP/1.1\r\nConnection: close\r\n\r\n`],
    ['another protocol', `GET /rooms/${room}/state HTTP/3.0\r\nHost: x\r\n\r\n`],
    ['a method in small letters', rawRequest(`get /rooms/${room}/state`)],
    ['a space in the target', rawRequest(`GET /rooms/${room}/sta te`)],
    ['TRACE', rawRequest(`TRACE /rooms/${room}/state`)],
    ['CONNECT', rawRequest('CONNECT x:1')],
    ['an unknown transfer coding', rawRequest(`POST /rooms/${room}/actions/like`, ['Transfer-Encoding: x'])],
    ['a length that is none', rawRequest(`POST /rooms/${room}/actions/like`, ['Content-Length: x'])],
    ['chunks that are none', `${rawRequest(`POST /rooms/${room}/actions/like`, ['Transfer-Encoding: chunked'])}x\r\n`],
  ];
  for (const [what, text] of unreadable) {
    it(`is refused with a problem document: ${what}`, async () => {
      assertMalformed(await sendRaw(nginx.port, text), what);
      assert.deepEqual(asked, []);
    });
  }

  it('is told softly to who asks for a stream, as a browser would give up for good', async () => {
    const path = `/rooms/${room}/stream`;
    for (const text of [
      rawRequest(`GET ${path}?access_token=${long}`),
      rawRequest(`GET ${path}`, [`Cookie: x=${long}`]),
    ]) {
      const { status, headers, body } = await sendRaw(nginx.port, text);
      assert.equal(status, 200);
      assert.match(headers['content-type'] ?? '', /^text\/event-stream/);
      assert.match(body, /retry: \d{4}\nevent: end\ndata: \{"cause":"overloaded","comeBack":"yes"\}\n\n/);
    }
    assert.deepEqual(asked, []);
  });
});
