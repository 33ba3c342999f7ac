import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { openBrowser } from '../rig/browser.ts';
import { type GatewayProcess, room, startGateway, startGatewayProcess, tokenOf } from '../rig/gateway.ts';
import { readStream, type StreamReader, watch } from '../rig/stream-reader.ts';
import { secret } from '../rig/tokens.ts';
import { waitFor } from '../rig/wait-for.ts';

const listening = /listens on (\S+?)"/;
/** Well below `DRAIN_MS`, so that nothing was waited for until it was cut. */
const promptMs = 5000;

const readers: StreamReader[] = [];
const sockets: Socket[] = [];
const processes: GatewayProcess[] = [];
let home: string;

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'ringside-shutdown-'));
});
after(() => rm(home, { recursive: true, force: true }));
afterEach(async () => {
  for (const reader of readers.splice(0)) reader.close();
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(processes.splice(0).map((gateway) => gateway.close()));
});

async function start(environment: Readonly<Record<string, string>> = {}): Promise<GatewayProcess> {
  const gateway = await startGatewayProcess({ TOKEN_SECRET: secret, ...environment });
  processes.push(gateway);
  return gateway;
}
async function addressOf(gateway: GatewayProcess): Promise<string> {
  return (await gateway.prints(listening))[1] ?? '';
}
async function seat(url: string, options: Parameters<typeof watch>[1] = {}): Promise<StreamReader> {
  const reader = await watch(url, options);
  readers.push(reader);
  return reader;
}
/** A connection that has said so much and says no more. */
async function halfSaid(port: number, text: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  if (text !== '') await new Promise((sent) => socket.write(text, sent));
  return socket;
}

describe('a gateway that is told to end', () => {
  it('tells every stream to come back, answers who waits, and exits 0 at once', async () => {
    const gateway = await start();
    const url = await addressOf(gateway);
    const streams = [
      await seat(url),
      await seat(url, { headers: { 'accept-encoding': 'gzip' } }),
      await seat(url, { token: tokenOf('mo', 'moderator') }),
    ];
    const port = Number(new URL(url).port);
    await halfSaid(port, '');
    await halfSaid(port, 'GET / HTTP/1.1\r\nhost: x');
    const pull = `GET /rooms/${room}/events?after=${streams[0]?.lastId}&wait=30 HTTP/1.1\r\nhost: x\r\n`;
    const puller = await halfSaid(port, `${pull}authorization: Bearer ${tokenOf('pat')}\r\n\r\n`);
    let pulled = '';
    puller.on('data', (bytes: Buffer) => {
      pulled += bytes.toString();
    });
    // Whoever is seated now came after the pull, which therefore waits.
    streams.push(await seat(url));
    const startedMs = performance.now();
    gateway.kill('SIGTERM');
    await Promise.all(streams.map((stream) => stream.over()));
    for (const stream of streams) {
      assert.equal(stream.heard.at(-1)?.event, 'move');
      assert.deepEqual(stream.heard.at(-1)?.data, { retryMs: stream.retryMs });
      assert.match(stream.text, /\n\nretry: [0-9]+\n\nevent: move\ndata: [^\n]+\n\n$/, 'with a time to come back');
    }
    assert.ok(new Set(streams.map(({ retryMs }) => retryMs)).size > 1, 'not all at the same time');
    await waitFor(() => pulled.endsWith('"events":[]}'), { what: `the pull to be answered; it got ${pulled}` });
    assert.match(pulled, /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(await gateway.exited, 0, gateway.stderr());
    assert.ok(performance.now() - startedMs < promptMs, 'it exits at once');
  });

  it('cuts what is left after DRAIN_MS, such as a request whose body never comes', async () => {
    const gateway = await start({ DRAIN_MS: '300' });
    const url = await addressOf(gateway);
    const head = `POST /rooms/${room}/actions/comment HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tokenOf('ann')}\r\n`;
    await halfSaid(Number(new URL(url).port), `${head}content-type: application/json\r\ncontent-length: 99\r\n\r\n{`);
    // Answered after the half request was read, as the process takes connections in turn.
    await seat(url);
    const startedMs = performance.now();
    gateway.kill('SIGINT');
    assert.equal(await gateway.exited, 0, gateway.stderr());
    assert.ok(performance.now() - startedMs < promptMs);
  });
});

describe('connections that a closing gateway does not wait for', () => {
  it('are those that have asked for nothing, and keep-alive ones between two requests', async () => {
    const gateway = await startGateway({ environment: { DRAIN_MS: '600000' } });
    await halfSaid(gateway.port, '');
    await halfSaid(gateway.port, 'GET / HTTP/1.1\r\nhost: x');
    const kept = await halfSaid(gateway.port, 'GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n');
    await once(kept, 'data');
    const ended = waitFor(() => sockets.every((socket) => socket.destroyed || socket.readableEnded), {
      what: 'all of them to be ended',
    });
    for (const socket of sockets) socket.resume();
    const startedMs = performance.now();
    await gateway.close();
    assert.ok(performance.now() - startedMs < promptMs);
    await ended;
  });
});

describe('LISTEN_SOCKET', () => {
  it('is served, left behind by a gateway that was killed, and taken over by the next one', async () => {
    const path = join(home, 'gateway.sock');
    const first = await start({ LISTEN_SOCKET: path });
    await first.prints(/listens on/);
    const reader = await seat('http://gateway', { socketPath: path });
    assert.equal((await reader.first('resume')).data['verdict'], 'fresh');
    const rival = await start({ LISTEN_SOCKET: path });
    assert.equal(await rival.exited, 1);
    assert.match(rival.stderr(), /^LISTEN_SOCKET must be free; another process answers on \S+\.\n$/);
    first.kill('SIGKILL');
    await first.exited;
    assert.ok(existsSync(path), 'it is stale now');
    const second = await start({ LISTEN_SOCKET: path });
    await second.prints(/listens on/);
    await seat('http://gateway', { socketPath: path });
    second.kill('SIGTERM');
    assert.equal(await second.exited, 0, second.stderr());
    assert.ok(!existsSync(path), 'it takes its socket with it');
  });
});

describe('a wrong start', () => {
  it('ends with one sentence that says what is right, and 1', async () => {
    const cases: readonly (readonly [Readonly<Record<string, string>>, RegExp])[] = [
      [{ PORT: 'http' }, /^PORT must be a whole number from 0 to 65535/],
      [{ TOKEN_SECRET: '', HOST: '0.0.0.0' }, /^Set one of TOKEN_SECRET, .*loopback\.$/],
      [{ TOKEN_SECRET: '', TOKEN_PUBLIC_KEY: 'nonsense' }, /^TOKEN_PUBLIC_KEY must be a public key in PEM/],
    ];
    await Promise.all(
      cases.map(async ([environment, sentence]) => {
        const gateway = await start(environment);
        assert.equal(await gateway.exited, 1, gateway.stdout());
        assert.match(gateway.stderr().trimEnd(), sentence);
        assert.equal(gateway.stderr().trimEnd().split('\n').length, 1, gateway.stderr());
      }),
    );
  });

  it('on a port that is taken says so, and ends with 1', async () => {
    const running = await startGateway();
    try {
      const gateway = await start({ PORT: String(running.port) });
      assert.equal(await gateway.exited, 1);
      assert.match(
        gateway.stderr(),
        /^HOST and PORT must name a free address that this process may open \(EADDRINUSE\)\.\n$/,
      );
    } finally {
      await running.close();
    }
  });
});

describe('the demo pages', () => {
  it('are served under a policy that lets nothing else in, and nobody out of their folder', async () => {
    const gateway = await startGateway({ environment: { DEMO: 'on', LOG_LEVEL: 'error' } });
    try {
      const page = await gateway.ask('/demo/');
      assert.equal(page.status, 200);
      assert.equal(page.headers.get('content-security-policy'), "default-src 'self'; frame-ancestors 'none'");
      assert.equal(page.headers.get('x-content-type-options'), 'nosniff');
      for (const path of [
        '/demo/../package.json',
        '/demo/..%2f..%2fpackage.json',
        '/demo/%2e%2e/%2e%2e/package.json',
      ]) {
        const asked = request({ port: gateway.port, host: '127.0.0.1', path, agent: false }).end();
        const [answer] = await once(asked, 'response');
        assert.ok([400, 404].includes(answer.statusCode), `${path}: ${answer.statusCode}`);
        answer.destroy();
      }
      for (const headers of [{ range: 'bytes=99999999-' }, { 'if-match': '"x"' }, { range: 'nonsense' }]) {
        const { status } = await gateway.ask('/demo/room.js', { headers });
        assert.notEqual(status, 500, JSON.stringify(headers));
      }
      const reader = await readStream(gateway.url, { room: 'demo', token: null });
      assert.equal(reader.status, 401, 'the demo is not for everybody');
      reader.close();
      assert.deepEqual(gateway.lines, [], 'nobody makes the log say that it was our mistake');
    } finally {
      await gateway.close();
    }
  });
});

describe('the demo that a gateway without settings prints', () => {
  let browser: Browser;
  before(async () => {
    browser = await openBrowser();
  });
  after(() => browser.close());

  const textOf = async (page: Page, selector: string): Promise<string> => (await page.textContent(selector)) ?? '';
  const shows = (page: Page, selector: string, text: string, timeoutMs = 5000): Promise<unknown> =>
    waitFor(async () => (await textOf(page, selector)).includes(text), { what: `${selector}: ${text}`, timeoutMs });
  const say = async (page: Page, text: string): Promise<void> => {
    await page.fill('#comment', text);
    await page.click('#send');
  };

  it('works for a viewer and a host, who see each other, and under its policy without one complaint', async () => {
    const gateway = await startGatewayProcess();
    processes.push(gateway);
    const [, viewerLink = ''] = await gateway.prints(/as a viewer:\s+(\S+)/);
    const [, hostLink = ''] = await gateway.prints(/as its host, in another tab:\s+(\S+)\n/);
    const complaints: string[] = [];
    const openLink = async (link: string): Promise<Page> => {
      const page = await browser.newPage();
      page.on('console', (message) => {
        if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
      });
      page.on('pageerror', (error) => complaints.push(error.message));
      page.on('requestfailed', (failed) => {
        // The cable ends a stream on purpose.
        if (!failed.url().includes('/stream')) complaints.push(`${failed.url()} failed`);
      });
      await page.goto(link);
      await shows(page, '#mode', 'live');
      assert.ok(!page.url().includes('token'), 'the token is out of the address');
      return page;
    };
    const viewer = await openLink(viewerLink);
    const host = await openLink(hostLink);
    await shows(viewer, '#me-name', 'Vera');
    for (const page of [viewer, host]) await shows(page, '#audience', '2 watching');
    assert.equal(await host.isVisible('#host'), true);
    assert.equal(await viewer.isVisible('#host'), false);

    await say(viewer, '<img src=x onerror=alert(1)> hello');
    await shows(host, '#lines', 'Vera<img src=x onerror=alert(1)> hello');
    await say(host, 'welcome');
    await shows(viewer, '#lines', 'welcome');
    for (let tap = 0; tap < 3; tap += 1) await viewer.click('#like');
    for (const page of [viewer, host])
      await waitFor(async () => (await textOf(page, '#likes')) === '3', { what: 'likes' });

    await host.fill('#title-input', 'The big fight');
    await host.click('#title-form button');
    await shows(viewer, '#title', 'The big fight');
    await host.fill('#pinned-input', 'Doors at eight');
    await host.click('#pinned-form button');
    await shows(viewer, '#pinned', 'Doors at eight');
    await shows(viewer, '#parts', 'pinned');
    await host.fill('#direct-to', 'vera');
    await host.fill('#direct-text', 'psst');
    await host.click('#direct-form button');
    await shows(viewer, '#lines', 'psst');
    assert.ok(!(await textOf(host, '#lines')).includes('psst'), 'it is for her alone');

    await viewer.click('#cable');
    await shows(viewer, '#mode', 'unplugged');
    await say(host, 'while you were away');
    await shows(viewer, '#lines', 'Back, nothing missed.', 10_000);
    await shows(viewer, '#lines', 'while you were away');
    assert.equal((await textOf(viewer, '#lines')).split('while you were away').length, 2, 'once');
    await shows(viewer, '#title', 'The big fight');
    assert.deepEqual(complaints, []);

    gateway.kill('SIGTERM');
    assert.equal(await gateway.exited, 0, gateway.stderr());
    for (const page of [viewer, host]) await shows(page, '#mode', 'reconnecting');
    await Promise.all([viewer.close(), host.close()]);
  });
});
