/** How a stream's bytes are cut up on the wire, so that no client and no proxy on the way waits for more than there is. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { gunzipSync, constants as zlib } from 'node:zlib';
import { parseEventStream } from '../rig/clients.ts';
import { dechunk, isChunked } from '../rig/dechunk.ts';
import { type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { passTo, startPlainNginx } from '../rig/plain-nginx.ts';
import { pythonWithRequests } from '../rig/python.ts';
import { watch } from '../rig/stream-reader.ts';
import { waitFor } from '../rig/wait-for.ts';

let gateway: RunningGateway;
before(async () => {
  gateway = await startGateway();
});
after(() => gateway.close());

/** A stream over a bare socket, as bytes. */
async function openBare(version: string, extra = '', sub = 'ann') {
  const socket: Socket = connect(gateway.port, '127.0.0.1');
  await once(socket, 'connect');
  let bytes = Buffer.alloc(0);
  socket.on('data', (more: Buffer) => {
    bytes = Buffer.concat([bytes, more]);
  });
  socket.on('error', () => undefined);
  socket.write(
    `GET /rooms/${room}/stream HTTP/${version}\r\nHost: x\r\nAuthorization: Bearer ${tokenOf(sub)}\r\n${extra}\r\n`,
  );
  const end = (): number => bytes.indexOf('\r\n\r\n');
  const body = (): Buffer => (end() === -1 ? Buffer.alloc(0) : bytes.subarray(end() + 4));
  const head = (): string => bytes.toString('latin1', 0, Math.max(0, end()));
  return { socket, head, body, isOver: () => socket.readableEnded || socket.destroyed };
}
const eventsOf = (plain: Buffer): string[] => parseEventStream(plain).map(({ event }) => event);
const ban = (user: string) => gateway.post('ban', { user, seconds: 1 }, { as: tokenOf('mo', 'moderator') });

describe('the body of a stream', () => {
  it('is chunks of whole events for HTTP/1.1, and its end is the last one', async () => {
    const stream = await openBare('1.1', '', 'cem');
    await waitFor(() => eventsOf(Buffer.concat(dechunk(stream.body()).chunks)).includes('state'), {
      what: 'the state',
    });
    await gateway.post('comment', { text: 'first' });
    await gateway.post('comment', { text: 'second 🎉' });
    await waitFor(() => stream.body().includes('second'), { what: 'the comments' });
    await ban('cem');
    await waitFor(stream.isOver, { what: 'the end of the connection' });
    assert.ok(isChunked(stream.head()));
    assert.match(stream.head(), /^connection: close\r?$/im);
    const { chunks, isOver } = dechunk(stream.body());
    assert.ok(isOver, 'with a last chunk, so that nobody takes it for a cut');
    for (const chunk of chunks) assert.match(chunk.toString(), /\n\n$/, 'a chunk ends where an event ends');
    assert.deepEqual(eventsOf(Buffer.concat(chunks)).slice(-3), ['comment', 'comment', 'end']);
  });

  it('is the same in gzip, whose every chunk can be unpacked when it comes', async () => {
    const stream = await openBare('1.1', 'Accept-Encoding: gzip\r\n', 'dan');
    const plain = (): Buffer => {
      const { chunks } = dechunk(stream.body());
      return chunks.length === 0
        ? Buffer.alloc(0)
        : gunzipSync(Buffer.concat(chunks), { finishFlush: zlib.Z_SYNC_FLUSH });
    };
    await waitFor(() => eventsOf(plain()).includes('state'), { what: 'the state' });
    await gateway.post('comment', { text: 'packed' });
    await waitFor(() => plain().includes('packed'), { what: 'the comment' });
    await ban('dan');
    await waitFor(stream.isOver, { what: 'the end of the connection' });
    assert.ok(dechunk(stream.body()).isOver);
    assert.equal(eventsOf(plain()).at(-1), 'end');
  });

  it('is bare for HTTP/1.0, which knows no chunks, and its end is that of the connection', async () => {
    const stream = await openBare('1.0', '', 'eve');
    await waitFor(() => eventsOf(stream.body()).includes('state'), { what: 'the state' });
    assert.ok(!isChunked(stream.head()));
    assert.match(stream.body().toString(), /^retry: \d+\n\n/);
    await ban('eve');
    await waitFor(stream.isOver, { what: 'the end of the connection' });
    assert.match(stream.body().toString(), /\nevent: end\ndata: .*\n\n$/);
  });

  it('of a stream that is turned away at the door has a length', async () => {
    const small = await startGateway({ environment: { VIEWERS_MAX: '1' } });
    const first = await watch(small.url);
    try {
      const answer = await small.ask(`/rooms/${room}/stream`, {
        headers: { authorization: `Bearer ${tokenOf('bob')}` },
      });
      assert.equal(answer.headers.get('content-length'), String(answer.text.length));
      assert.match(answer.headers.get('cache-control') ?? '', /no-transform/);
    } finally {
      first.close();
      await small.close();
    }
  });
});

/** Says each line when it has it, as a script of a platform's own would. */
const reader = `
import sys, requests
url, token, way = sys.argv[1:4]
answer = requests.get(url, headers={"Authorization": "Bearer " + token}, stream=True)
parts = answer.iter_lines() if way == "lines" else answer.iter_content(chunk_size=None)
for part in parts:
    sys.stdout.write(part.decode() + "\\n")
    sys.stdout.flush()
print("over")
`;

describe("Python's requests", () => {
  for (const way of ['lines', 'parts']) {
    it(`has each event when it was sent, and not with the next one (by ${way})`, async () => {
      const sub = `py-${way}`;
      const address = `${gateway.url}/rooms/${room}/stream`;
      const child = spawn(pythonWithRequests(), ['-c', reader, address, tokenOf(sub), way]);
      let said = '';
      let complained = '';
      child.stdout.on('data', (bytes: Buffer) => {
        said += bytes.toString();
      });
      child.stderr.on('data', (bytes: Buffer) => {
        complained += bytes.toString();
      });
      const exited = once(child, 'exit');
      const says = (text: string): Promise<unknown> =>
        waitFor(() => said.includes(text), { what: `${text}; it said ${said} ${complained}`, timeoutMs: 20_000 });
      try {
        await says('event: state');
        for (let n = 1; n <= 5; n += 1) {
          await gateway.post('comment', { text: `number ${n}.` });
          // Nothing more is written before it has this one.
          await says(`number ${n}.`);
        }
        await ban(sub);
        await says('over');
        assert.deepEqual(await exited, [0, null], complained);
      } finally {
        child.kill('SIGKILL');
      }
    });
  }
});

type Middleware = (request: IncomingMessage, response: ServerResponse, next: () => void) => void;
const compression = createRequire(import.meta.url)('compression') as (options: object) => Middleware;

/** As somebody sets it up who has never heard of event streams: it buffers, and compresses whatever it can. */
const compressesAll = `
      proxy_set_header Accept-Encoding "";
      gzip on; gzip_types *; gzip_proxied any; gzip_min_length 0;`;

describe('a proxy that compresses what it passes on', () => {
  it('such as a stock nginx that buffers, too, brings each event at once', async () => {
    const nginx = await startPlainNginx({ server: passTo(`127.0.0.1:${gateway.port}`, compressesAll) });
    const options = { headers: { 'accept-encoding': 'gzip' }, socketPath: nginx.socketPath };
    const stream = await watch('http://gateway', options);
    try {
      for (let n = 1; n <= 3; n += 1) {
        const id = await gateway.post('comment', { text: `comment ${n}` });
        await stream.until(() => stream.lastId === id, `comment ${n}`);
      }
      assert.match(stream.headers['cache-control'] ?? '', /\bno-transform\b/);
    } finally {
      stream.close();
      await nginx.stop();
    }
  });

  it('such as a development server or a back end of a page leaves a stream alone, so that each event comes at once', async () => {
    const compress = compression({ filter: () => true, threshold: 0 });
    const proxy = createServer((asked, answer) =>
      compress(asked, answer, () => {
        // A gzip of the gateway's own it would leave alone in any case.
        const { 'accept-encoding': _, ...headers } = asked.headers;
        const forward = request(`${gateway.url}${asked.url}`, { headers, agent: false }, (got) => {
          answer.writeHead(got.statusCode ?? 502, got.headers);
          got.pipe(answer);
        });
        answer.on('close', () => forward.destroy());
        forward.on('error', () => answer.destroy());
        forward.end();
      }),
    );
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const { port } = proxy.address() as AddressInfo;
    const stream = await watch(`http://127.0.0.1:${port}`, { headers: { 'accept-encoding': 'gzip' } });
    try {
      for (let n = 1; n <= 3; n += 1) {
        const id = await gateway.post('comment', { text: `comment ${n}` });
        await stream.until(() => stream.lastId === id, `comment ${n}`);
      }
      assert.equal(stream.headers['content-encoding'], undefined);
      assert.match(stream.headers['cache-control'] ?? '', /^no-store, no-transform$/);
    } finally {
      stream.close();
      proxy.closeAllConnections();
      await new Promise((resolve) => proxy.close(resolve));
    }
  });
});
