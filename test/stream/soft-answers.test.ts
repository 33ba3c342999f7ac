/** What meets a stream that cannot be opened now: never a status that ends an EventSource for good. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { jwkOf, makeEc, makeToken } from '../rig/tokens.ts';
import { waitFor } from '../rig/wait-for.ts';

const toClose: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close();
});

async function start(environment: Record<string, string> = {}): Promise<RunningGateway> {
  const gateway = await startGateway({ environment });
  toClose.push(() => gateway.close());
  return gateway;
}

/** A connection that sends what it is told, and keeps what it gets. */
async function openWire(port: number): Promise<{ socket: Socket; text: () => string; isOver: () => boolean }> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
  });
  socket.on('error', () => undefined);
  toClose.push(() => socket.destroy());
  await once(socket, 'connect');
  return { socket, text: () => text, isOver: () => socket.readableEnded || socket.destroyed };
}

const bearer = `Authorization: Bearer ${tokenOf('ann')}`;
const head = (method: string, path: string, ...lines: string[]): string =>
  `${[`${method} ${path} HTTP/1.1`, 'Host: 127.0.0.1', ...lines].join('\r\n')}\r\n\r\n`;
const stream = (...lines: string[]): string => head('GET', `/rooms/${room}/stream`, ...lines);
const softly = /^HTTP\/1\.1 200 [\s\S]*content-type: text\/event-stream[\s\S]*\r\n\r\nretry: \d+\n\nevent: end\n/i;

describe('a stream that cannot be opened now', () => {
  it('is told to come back while the key set was never reached, and opens once it is there', async () => {
    const pair = makeEc();
    let isThere = false;
    const server = createServer((_request, response) => {
      if (!isThere) response.socket?.destroy();
      else response.end(JSON.stringify({ keys: [jwkOf(pair.publicKey, { kid: 'one' })] }));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    toClose.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const gateway = await start({ TOKEN_JWKS_URL: `http://127.0.0.1:${port}/keys` });
    const authorization = `Bearer ${makeToken({ alg: 'ES256', key: pair.privateKey, header: { kid: 'one' } })}`;
    const answer = await gateway.ask(`/rooms/${room}/stream`, { headers: { authorization } });
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.text, /^retry: \d+\n\nevent: end\ndata: \{"cause":"failed","comeBack":"yes"\}\n\n$/);
    assert.equal((await gateway.ask(`/rooms/${room}/state`, { headers: { authorization } })).status, 503);
    isThere = true;
    const isOpen = async (): Promise<boolean> => {
      const { body } = await fetch(`${gateway.url}/rooms/${room}/stream`, { headers: { authorization } });
      const first = await body?.getReader().read();
      return /event: resume/.test(Buffer.from(first?.value ?? []).toString());
    };
    await waitFor(isOpen, { what: 'the stream to open', timeoutMs: 10_000 });
  });

  it('is told to come back where a hook or the gateway itself fails', async () => {
    const gateway = await start();
    gateway.gateway.hub.admit = () => Promise.reject(new TypeError('a bug'));
    const answer = await gateway.ask(`/rooms/${room}/stream`, {
      headers: { authorization: `Bearer ${tokenOf('ann')}` },
    });
    assert.equal(answer.status, 200);
    assert.match(answer.text, /"comeBack":"yes"/);
    assert.ok(gateway.lines.some((line) => line.includes('a bug')));
  });

  it('still hears a hard no for what the request itself lacks', async () => {
    const gateway = await start();
    const as = { headers: { authorization: `Bearer ${tokenOf('ann')}` } };
    assert.equal((await gateway.ask(`/rooms/${room}/stream`)).status, 401);
    assert.equal((await gateway.ask('/rooms/other/stream', as)).status, 403);
    assert.equal((await gateway.ask(`/rooms/${room}/stream?history=999`, as)).status, 400);
    assert.equal((await fetch(`${gateway.url}/rooms/${room}/stream`, { ...as, method: 'HEAD' })).status, 405);
  });
});

describe('a large head', () => {
  it('is read up to what nginx lets pass: cookies of 60 KB, and a token in the address beside them', async () => {
    const gateway = await start();
    const cookies = Array.from({ length: 4 }, (_, n) => `Cookie: c${n}=${'x'.repeat(15_000)}`);
    for (const request of [
      stream(bearer, ...cookies),
      stream(bearer, `Cookie: c=${'x'.repeat(17_000)}`),
      head('GET', `/rooms/${room}/stream?access_token=${tokenOf('ann')}&_=${'y'.repeat(12_000)}`, ...cookies.slice(1)),
    ]) {
      const wire = await openWire(gateway.port);
      wire.socket.write(request);
      await waitFor(() => wire.text().includes('event: resume'), { what: `a stream; it was: ${wire.text()}` });
      wire.socket.destroy();
    }
  });

  it('beyond that is refused with a problem document, also while it is still being sent', async () => {
    const gateway = await start();
    for (const bytes of [140_000, 2_000_000]) {
      const wire = await openWire(gateway.port);
      wire.socket.write(stream(bearer, `Cookie: c=${'x'.repeat(bytes)}`));
      await waitFor(() => wire.isOver(), { what: 'the connection to end' });
      assert.match(wire.text(), /^HTTP\/1\.1 431 [\s\S]*application\/problem\+json[\s\S]*"code":"head-too-large"/);
    }
  });
});

describe('a head that is none', () => {
  it('is refused with a problem document', async () => {
    const gateway = await start();
    const wire = await openWire(gateway.port);
    wire.socket.write('GET / HTTP/1.1\r\nno colon\r\n\r\n');
    await waitFor(() => wire.isOver(), { what: 'the connection to end' });
    assert.match(wire.text(), /^HTTP\/1\.1 400 [\s\S]*connection: close[\s\S]*"code":"malformed"/);
  });

  it('of which half comes ends with the time for it, also behind another request', async () => {
    const gateway = await start();
    gateway.gateway.app.server.headersTimeout = 200;
    for (const before of ['', head('GET', '/openapi.json')]) {
      const wire = await openWire(gateway.port);
      wire.socket.write(`${before}GET /rooms/${room}/stream HTTP/1.1\r\nHost: a\r\n`);
      await waitFor(() => wire.isOver(), { what: 'the connection to end', timeoutMs: 10_000 });
      assert.match(wire.text(), /HTTP\/1\.1 408 [\s\S]*"code":"too-slow"/);
    }
    await waitFor(() => gateway.connections() === 0, { what: 'every descriptor to be free' });
  });
});

describe('a stream that breaks when its connection is taken over', () => {
  it('is cut, and gives back all that it held', async () => {
    const gateway = await start({ LINGER_MS: '0', RENEW_MS: '50' });
    const { hub } = gateway.gateway;
    const open = hub.open.bind(hub);
    hub.open = () => {
      throw new TypeError('a bug');
    };
    const broken = await openWire(gateway.port);
    broken.socket.write(stream(bearer));
    await waitFor(broken.isOver, { what: 'the connection to be cut' });
    assert.equal(hub.viewers, 0);
    await waitFor(() => hub.rooms === 0, { what: 'the room to be let go' });
    hub.open = open;
    const wire = await openWire(gateway.port);
    wire.socket.write(stream(bearer));
    await waitFor(() => wire.text().includes('event: resume'), { what: 'the stream to open' });
  });
});

describe('requests on one connection', () => {
  it('a stream behind others is opened in its turn', async () => {
    const gateway = await start();
    const wire = await openWire(gateway.port);
    wire.socket.write(head('GET', `/rooms/${room}/events`, bearer) + head('GET', '/openapi.json') + stream(bearer));
    await waitFor(() => wire.text().includes('event: resume'), { what: 'the stream to open' });
    assert.equal(wire.text().match(/HTTP\/1\.1 200/g)?.length, 3);
    await gateway.post('comment', { text: 'hello' });
    await waitFor(() => wire.text().includes('"hello"'), { what: 'the comment' });
    wire.socket.destroy();
    await waitFor(() => gateway.gateway.hub.viewers === 0, { what: 'the viewer to be gone' });
  });

  it('a stream whose client leaves before its turn leaves nothing behind', async () => {
    const gateway = await start();
    const wire = await openWire(gateway.port);
    wire.socket.write(head('GET', `/rooms/${room}/events?wait=20`, bearer) + stream(bearer));
    await waitFor(() => gateway.gateway.hub.rooms === 1, { what: 'the pull to wait' });
    wire.socket.destroy();
    await waitFor(() => gateway.connections() === 0, { what: 'the descriptor to be free' });
    assert.equal(gateway.gateway.hub.viewers, 0);
  });

  it('what comes behind a stream is thrown away, and the stream goes on', async () => {
    const gateway = await start();
    const wire = await openWire(gateway.port);
    wire.socket.write(stream(bearer) + stream(bearer) + head('GET', '/openapi.json'));
    await waitFor(() => wire.text().includes('event: resume'), { what: 'the stream to open' });
    wire.socket.write(head('GET', '/openapi.json'));
    await gateway.post('comment', { text: 'hello' });
    await waitFor(() => wire.text().includes('"hello"'), { what: 'the comment' });
    assert.equal(wire.text().match(/HTTP\/1\.1 200/g)?.length, 1);
    assert.equal(gateway.gateway.hub.viewers, 1);
    wire.socket.destroy();
    await waitFor(() => gateway.gateway.hub.viewers === 0, { what: 'the viewer to be gone' });
  });

  it('a stream that is turned away behind another request is answered softly in its turn', async () => {
    const gateway = await start({ VIEWERS_MAX: '1' });
    const first = await openWire(gateway.port);
    first.socket.write(stream(bearer));
    await waitFor(() => first.text().includes('event: resume'), { what: 'the first stream' });
    const wire = await openWire(gateway.port);
    wire.socket.write(head('GET', '/openapi.json') + stream(bearer));
    await waitFor(() => softly.test(wire.text().slice(wire.text().lastIndexOf('HTTP/1.1'))), {
      what: 'the soft answer',
    });
  });
});
