import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { openBrowser } from '../rig/browser.ts';
import { type Client, type Origin, openChromium, openNpmClient, startOrigin } from '../rig/clients.ts';
import {
  type GatewayProcess,
  type RunningGateway,
  room,
  startGateway,
  startGatewayProcess,
  tokenOf,
} from '../rig/gateway.ts';
import { type GroupsText, type Nginx, nginxProgram, startNginx } from '../rig/nginx.ts';
import { freePorts } from '../rig/ports.ts';
import { readStream, type StreamReader, watch } from '../rig/stream-reader.ts';
import { secret } from '../rig/tokens.ts';
import { waitFor } from '../rig/wait-for.ts';

const run = promisify(execFile);
let home: string;
const readers: StreamReader[] = [];
const toClose: (() => Promise<unknown>)[] = [];

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'ringside-streams-'));
});
after(() => rm(home, { recursive: true, force: true }));
afterEach(async () => {
  for (const reader of readers.splice(0)) reader.close();
  for (const close of toClose.splice(0).reverse()) await close();
});

async function gatewayOf(environment: Record<string, string> = {}): Promise<RunningGateway> {
  const gateway = await startGateway({ environment });
  toClose.push(gateway.close);
  return gateway;
}
async function nginxTo(
  addresses: readonly string[],
  more: GroupsText = {},
  change?: (text: string) => string,
): Promise<Nginx> {
  const servers = addresses.map((address, at) => ({ name: `blue-${at + 1}`, address }));
  const nginx = await startNginx({ groups: { blue: { servers } }, ...more }, change ? { change } : {});
  toClose.push(nginx.stop);
  return nginx;
}
async function seat(url: string, options: Parameters<typeof watch>[1] = {}): Promise<StreamReader> {
  const reader = await watch(url, options);
  readers.push(reader);
  return reader;
}
/** A gateway as an operator runs it beside nginx: on a unix socket. */
async function socketGateway(path: string, environment: Record<string, string> = {}): Promise<GatewayProcess> {
  const gateway = await startGatewayProcess({ TOKEN_SECRET: secret, LISTEN_SOCKET: path, ...environment });
  toClose.push(gateway.close);
  await gateway.prints(/listens on/);
  return gateway;
}
/** The most that waits to be sent over any connection that this port took in. */
async function waitingBytes(port: number): Promise<number> {
  const rows = (await readFile('/proc/net/tcp', 'utf8')).split('\n').slice(1);
  const own = rows.map((row) => row.trim().split(/\s+/)).filter(([, local]) => local?.endsWith(`:${hexPort(port)}`));
  return Math.max(0, ...own.map(([, , , , queues]) => Number.parseInt(queues ?? '0', 16)));
}
const hexPort = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0');
const isOver = (stream: StreamReader): Promise<void> => stream.over();

describe('a stream behind nginx', () => {
  it('passes every event on at once, plain and compressed, and both say the same', async () => {
    const gateway = await gatewayOf();
    const { url } = await nginxTo([`127.0.0.1:${gateway.port}`]);
    const plain = await seat(url);
    const packed = await seat(url, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(packed.headers['content-encoding'], 'gzip');
    assert.equal(plain.headers['x-accel-buffering'], undefined, 'what is meant for nginx stays there');
    for (let nth = 0; nth < 30; nth += 1) {
      const id = await gateway.post('comment', { text: `comment ${nth} ${'🎉'.repeat(nth)}` });
      // Each has come before the next is written: nothing waits for more.
      await plain.until(() => plain.lastId === id, `comment ${nth}`);
      await packed.until(() => packed.lastId === id, `comment ${nth}, compressed`);
    }
    assert.deepEqual(
      packed.named('comment').map(({ id, text }) => [id, text]),
      plain.named('comment').map(({ id, text }) => [id, text]),
    );
  });

  it('of a viewer who reads nothing holds little in the kernel, so that the gateway notices', async () => {
    const gateway = await gatewayOf();
    const nginx = await nginxTo([`127.0.0.1:${gateway.port}`]);
    const socket = connect(nginx.port, '127.0.0.1').on('error', () => undefined);
    toClose.push(async () => socket.destroy());
    socket.pause();
    socket.write(`GET /rooms/${room}/stream?access_token=${tokenOf('ann')} HTTP/1.1\r\nhost: x\r\n\r\n`);
    await waitFor(() => gateway.gateway.hub.viewers === 1, { what: 'the viewer to be seated' });
    const other = await seat(nginx.url);
    const text = 'x'.repeat(15_000);
    let lastId = '';
    // 9 MB: more than the kernel would take by itself, on both sides.
    for (let nth = 0; nth < 600; nth += 1) lastId = await gateway.post('signal', { type: 'big', data: { text } });
    await other.until(() => other.lastId === lastId, 'who reads to have got all');
    const waiting = await waitingBytes(nginx.port);
    assert.ok(waiting > 0, 'it does wait');
    assert.ok(waiting <= 192 * 1024, `${waiting} bytes wait in the kernel`);
  });

  it('outlives a reload, with the events that come after it', async () => {
    const gateway = await gatewayOf();
    const nginx = await nginxTo([`127.0.0.1:${gateway.port}`]);
    const stream = await seat(nginx.url);
    const old = await nginx.workers();
    const [program = '', ...words] = nginx.words;
    await run(program, [...words, '-s', 'reload']);
    await waitFor(async () => (await nginx.workers()).some((pid) => !old.includes(pid)), { what: 'a new worker' });
    const late = await seat(nginx.url);
    const id = await gateway.post('comment', { text: 'after the reload' });
    for (const one of [stream, late]) await one.until(() => one.lastId === id, 'the comment after the reload');
    assert.equal(stream.isOver, false);
  });

  it('gets refusals as they are: they are for good', async () => {
    const gateway = await gatewayOf();
    const { url } = await nginxTo([`127.0.0.1:${gateway.port}`]);
    assert.equal((await readStream(url, { token: null })).status, 401);
    assert.equal((await readStream(url, { token: tokenOf('ann'), room: 'other' })).status, 403);
    await gateway.post('end', {});
    assert.equal((await readStream(url)).status, 204);
  });

  it('goes to another server where the first does not answer', async () => {
    const gateway = await gatewayOf();
    const { url } = await nginxTo([`unix:${join(home, 'nobody.sock')}`, `127.0.0.1:${gateway.port}`]);
    for (let nth = 0; nth < 6; nth += 1) await seat(url);
  });
});

describe('TLS and HTTP/2', () => {
  /** Takes the comment marks from the block, without the lines for the other kind of nginx. */
  function switchedOn(text: string, isNew: boolean, port: number): string {
    const [before = '', block = '', rest = ''] = text.split(
      /(?<= {4})(?=# From nginx 1\.25\.1 on:)|(?=\n {4}# Every request takes)/,
    );
    const lines = block.split('\n').map((line) => line.replace(/^ *#(?: {3}(?!#))?/, ''));
    const chosen = lines.filter((line) => !/^(?: From| Before| Then| {3}#)/.test(line));
    const other = isNew ? /ssl http2/ : /^http2 on|^listen 8443 ssl sndbuf/;
    const directives = chosen
      .filter((line) => !other.test(line))
      .map((line) => line.replace('8443', `127.0.0.1:${port}`));
    return `${before}${directives.join('\n')}${rest}`;
  }

  it('work as soon as the comment marks are taken away', async () => {
    const gateway = await gatewayOf();
    const { stderr: version } = await run(nginxProgram, ['-v']);
    const [, minor = '0', patch = '0'] = /1\.(\d+)\.(\d+)/.exec(version) ?? [];
    const isNew = Number(minor) * 100 + Number(patch) >= 2501;
    const [port = 0] = await freePorts(1);
    const names = ['-keyout', join(home, 'key.pem'), '-out', join(home, 'certificate.pem'), '-subj', '/CN=localhost'];
    await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', ...names]);
    await nginxTo([`127.0.0.1:${gateway.port}`], {}, (text) =>
      switchedOn(text, isNew, port).replace(/(ssl_certificate(?:_key)?) (\w+\.pem)/g, `$1 ${home}/$2`),
    );
    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    toClose.push(async () => session.destroy());
    // More than the six that a browser would open by HTTP/1.1, over one connection.
    const streams = Array.from({ length: 10 }, () => {
      const headers = { ':path': `/rooms/${room}/stream`, authorization: `Bearer ${tokenOf('ann')}` };
      let text = '';
      session.request(headers).on('data', (bytes: Buffer) => {
        text += bytes.toString();
      });
      return () => text;
    });
    await waitFor(() => streams.every((text) => text().includes('event: state')), { what: 'ten streams to be open' });
    await gateway.post('comment', { text: 'to all ten' });
    await waitFor(() => streams.every((text) => text().includes('to all ten')), { what: 'ten streams to hear it' });
    assert.equal(session.alpnProtocol, 'h2');
  });
});

describe('a stream that cannot be had now', () => {
  it('is told when to come back, as an event stream, and not all at the same time', async () => {
    const { url } = await nginxTo([`unix:${join(home, 'nobody.sock')}`]);
    const retries = new Set<number>();
    for (let nth = 0; nth < 60; nth += 1) {
      const stream = await readStream(url, { headers: { origin: 'https://site.example' } });
      await isOver(stream);
      assert.equal(stream.status, 200);
      assert.match(String(stream.headers['content-type']), /^text\/event-stream/);
      assert.equal(stream.headers['cache-control'], 'no-store, no-transform');
      // Without these an EventSource of a page of another origin would give up.
      assert.equal(stream.headers['access-control-allow-origin'], 'https://site.example');
      assert.equal(stream.headers['access-control-allow-credentials'], 'true');
      assert.deepEqual(stream.named('end')[0]?.data, { cause: 'overloaded', comeBack: 'yes' });
      assert.ok(stream.retryMs !== null && stream.retryMs >= 1000 && stream.retryMs <= 7000);
      retries.add(stream.retryMs);
    }
    assert.ok(retries.size >= 8, `only ${retries.size} different times`);
  });

  it('is told so too where one address has too many', async () => {
    const gateway = await gatewayOf();
    const { url } = await nginxTo([`127.0.0.1:${gateway.port}`], {}, (text) =>
      text.replace('limit_conn ringside_streams 1000;', 'limit_conn ringside_streams 2;'),
    );
    await seat(url);
    const second = await seat(url);
    const third = await readStream(url);
    await isOver(third);
    assert.equal(third.status, 200);
    assert.equal(third.named('end').length, 1);
    assert.equal(gateway.gateway.hub.viewers, 2);
    second.close();
    await waitFor(() => gateway.gateway.hub.viewers === 1, { what: 'the second to be gone' });
    await seat(url);
  });

  describe('by an EventSource', () => {
    let browser: Browser;
    let site: Origin;
    before(async () => {
      [browser, site] = await Promise.all([openBrowser(), startOrigin()]);
    });
    after(() => Promise.all([browser.close(), site.close()]));

    it('is had as soon as a gateway is there again, without anybody doing anything', async () => {
      const path = join(home, 'late.sock');
      const { url } = await nginxTo([`unix:${path}`]);
      const watched = { address: `${url}/rooms/${room}/stream`, token: tokenOf('ann'), names: ['end', 'resume'] };
      const clients: Client[] = [await openNpmClient(watched), await openChromium(browser, site.origin, watched)];
      toClose.push(() => Promise.all(clients.map((client) => client.close())));
      const heard = (name: string) => clients.every((client) => client.heard().some(({ event }) => event === name));
      await waitFor(() => heard('end'), { what: 'both to be told to come back', timeoutMs: 20_000 });
      await socketGateway(path, { CORS_ORIGINS: site.origin });
      await waitFor(() => heard('resume'), { what: 'both to come back', timeoutMs: 20_000 });
    });
  });
});

describe('a gateway on a unix socket', () => {
  const cookieOf = async (environment: Record<string, string>, more: GroupsText): Promise<string> => {
    const path = join(home, `${Object.keys(environment).join()}-${Object.keys(more).join()}.sock`);
    await socketGateway(path, environment);
    const { url } = await nginxTo([`unix:${path}`], more);
    const headers = { authorization: `Bearer ${tokenOf('ann')}`, 'x-forwarded-proto': 'https' };
    const answer = await fetch(`${url}/rooms/${room}/session`, { method: 'POST', headers });
    assert.ok(answer.ok, await answer.text());
    return answer.headers.get('set-cookie') ?? '';
  };

  it('believes the scheme that nginx names only where TRUSTED_PROXIES says unix, and nginx only whom the file trusts', async () => {
    const trusting = { trustedProxies: ['127.0.0.1'] };
    assert.match(await cookieOf({ TRUSTED_PROXIES: 'unix' }, trusting), /; Secure/i);
    assert.doesNotMatch(await cookieOf({}, trusting), /; Secure/i);
    assert.doesNotMatch(await cookieOf({ TRUSTED_PROXIES: 'unix' }, {}), /; Secure/i);
  });
});
