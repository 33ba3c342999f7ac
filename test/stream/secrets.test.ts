import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { type RunningGateway, room, startGateway, startGatewayProcess, tokenOf } from '../rig/gateway.ts';
import { startRedis } from '../rig/redis.ts';
import { watch } from '../rig/stream-reader.ts';
import { makeToken, nowS, secret } from '../rig/tokens.ts';

/** Tokens that are good, and bad in every way; what must not appear is any longer piece of one. */
const tokens: readonly string[] = [
  tokenOf('canary-viewer'),
  tokenOf('canary-host', 'host'),
  tokenOf('canary-late', 'viewer', { exp: nowS() - 10 }),
  makeToken({ key: 'another-secret-of-some-length-1234', claims: { sub: 'canary-forged' } }),
  'canary.not-a-token-at-all.0123456789',
  `canary${'y'.repeat(5000)}`,
];
const pieces = tokens.flatMap((token) => token.split('.').filter((piece) => piece.length >= 20 && !isHeader(piece)));
/** The first part of a token says only which algorithm it uses. */
function isHeader(piece: string): boolean {
  return Buffer.from(piece, 'base64url').toString().startsWith('{"alg"');
}

const places: readonly ((token: string) => { headers?: Record<string, string>; query?: string; body?: string })[] = [
  (token) => ({ headers: { authorization: `Bearer ${token}` } }),
  (token) => ({ headers: { authorization: `Basic ${token}` } }),
  (token) => ({ headers: { authorization: token } }),
  (token) => ({ headers: { cookie: `ringside=${token}; other=${token}` } }),
  (token) => ({ headers: { cookie: `ringside=${token}`, origin: 'https://evil.example' } }),
  (token) => ({ query: `access_token=${token}` }),
  (token) => ({ query: `access_token=${token}&access_token=${token}&history=${token}&wait=${token}&since=${token}` }),
  (token) => ({ query: `lastEventId=${token}&after=${token}&token=${token}` }),
  (token) => ({ headers: { 'last-event-id': token.slice(0, 200), 'idempotency-key': token, 'if-match': token } }),
  (token) => ({ headers: { ...host, 'idempotency-key': token, 'if-match': token, 'if-none-match': token } }),
  (token) => ({ headers: host, body: `{"text":"x","${token}":1}` }),
  (token) => ({ headers: host, body: `{"token":"${token}` }),
  (token) => ({ headers: host, body: token }),
  (token) => ({ headers: { ...host, 'content-type': token.slice(0, 60) }, body: token }),
];
const host = { authorization: `Bearer ${tokenOf('hanna', 'host')}`, 'content-type': 'application/json' };

const routes: readonly (readonly [string, string])[] = [
  ['GET', `/rooms/${room}/events`],
  ['GET', `/rooms/${room}/state`],
  ['GET', `/rooms/${room}/state/none`],
  ['GET', '/rooms/bad%20room/stream'],
  ['GET', '/nowhere'],
  ['GET', '/demo/nothing'],
  ['GET', '/openapi.json'],
  ['POST', `/rooms/${room}/actions/comment`],
  ['POST', `/rooms/${room}/actions/signal`],
  ['POST', `/rooms/${room}/actions/unknown`],
  ['POST', `/rooms/${room}/session`],
  ['POST', `/rooms/${room}/stream`],
  ['PUT', `/rooms/${room}/state/part`],
  ['DELETE', `/rooms/${room}/state/part`],
  ['OPTIONS', `/rooms/${room}/stream`],
];

function assertClean(text: string, what: string): void {
  for (const piece of pieces) assert.ok(!text.includes(piece), `${what} holds a token: ${text.slice(0, 300)}`);
}

/** Asks every route with every token in every place, and looks at what comes back. */
async function askAll(gateway: RunningGateway): Promise<number> {
  let asked = 0;
  for (const token of tokens) {
    for (const place of places) {
      const { headers = {}, query = '', body } = place(token);
      await Promise.all(
        routes.map(async ([method, path]) => {
          const takesBody = method === 'POST' || method === 'PUT';
          const answer = await gateway.ask(`${path}${query === '' ? '' : `?${query}`}`, {
            method,
            headers,
            ...(takesBody && body !== undefined ? { body } : {}),
          });
          asked += 1;
          assert.notEqual(answer.status, 500, `${method} ${path}: ${answer.text}`);
          if (answer.status >= 400) assertClean(answer.text, `the body of ${answer.status} at ${method} ${path}`);
        }),
      );
    }
  }
  return asked;
}

/** What never becomes a request has its own way out of Node's server. */
async function askBroken(port: number, token: string): Promise<void> {
  for (const text of [`GET /?access_token=${token} HTTP/9.9\r\n\r\n`, `GET / HTTP/1.1\r\nx: ${token}\0\r\n\r\n`]) {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.on('data', (bytes: Buffer) => {
      answer += bytes.toString();
    });
    socket.on('error', () => undefined);
    socket.write(text);
    await once(socket, 'close');
    assertClean(answer, 'the answer to a broken request');
  }
}

describe('a token', () => {
  it('appears in no log line and no refusal, wherever it was sent and whatever went wrong', async () => {
    const gateway = await startGateway({ environment: { LOG_LEVEL: 'trace', DEMO: 'on' } });
    try {
      assert.ok((await askAll(gateway)) > 500);
      await askBroken(gateway.port, tokens[0] ?? '');
      const token = tokens[0] ?? '';
      const reader = await watch(gateway.url, { token: null, query: { access_token: token } });
      assertClean(reader.text, 'the stream');
      assertClean(JSON.stringify(reader.headers), 'the head of the stream');
      reader.close();
    } finally {
      await gateway.close();
    }
    for (const line of gateway.lines) assertClean(line, 'a log line');
  });

  it('appears in no line about an internal error', async () => {
    const gateway = await startGateway({ environment: { LOG_LEVEL: 'trace' } });
    try {
      const fail = (): Promise<never> => Promise.reject(new TypeError('a planted mistake'));
      Object.assign(gateway.gateway.log, { append: fail, readState: fail });
      Object.assign(gateway.gateway.presence, { enter: fail, prolong: fail });
      const [token = ''] = tokens;
      const headers = { authorization: `Bearer ${token}`, cookie: `ringside=${token}` };
      for (const [method, path] of [
        ['POST', 'actions/comment'],
        ['GET', 'state'],
        ['GET', 'events'],
        ['GET', 'stream'],
        ['POST', 'session'],
      ]) {
        const answer = await gateway.ask(`/rooms/${room}/${path}?access_token=${token}`, {
          method: method ?? '',
          headers: path === 'actions/comment' ? { ...headers, 'content-type': 'application/json' } : headers,
          ...(path === 'actions/comment' ? { body: '{"text":"x"}' } : {}),
        });
        assert.ok(answer.status === 500 || path === 'stream', `${path}: ${answer.status}`);
        assertClean(answer.text, `the answer at ${path}`);
        assert.ok(!answer.text.includes('planted'), 'nothing of the mistake reaches the client');
      }
      assert.ok(gateway.lines.filter((line) => line.includes('planted')).length >= 4, 'each is logged');
    } finally {
      await gateway.close();
    }
    for (const line of gateway.lines) assertClean(line, 'a log line');
  });

  it('appears nowhere while Redis is unavailable, nor does the password of Redis', async () => {
    const redis = await startRedis();
    const password = 'canary-password-of-redis';
    const gateway = await startGateway({
      redisUrl: redis.url,
      environment: { LOG_LEVEL: 'trace', LOG_DEADLINE_MS: '50' },
    });
    try {
      await redis.kill('SIGKILL');
      const [token = ''] = tokens;
      for (const [method, path] of routes) {
        const { text, status } = await gateway.ask(`${path}?access_token=${token}`, {
          method,
          headers: method === 'GET' ? {} : { authorization: `Bearer ${tokens[1]}`, 'content-type': 'application/json' },
          ...(method === 'POST' || method === 'PUT' ? { body: '{"text":"x"}' } : {}),
        });
        assert.notEqual(status, 500, `${method} ${path}`);
        if (status >= 400) assertClean(text, `${status} at ${method} ${path}`);
      }
    } finally {
      await gateway.close();
      await redis.stop();
    }
    assert.ok(gateway.lines.length > 0, 'it is said that Redis is unavailable');
    for (const line of gateway.lines) assertClean(line, 'a log line');

    const lone = await startGateway({
      redisUrl: `redis://user:${password}@127.0.0.1:1/`,
      environment: { LOG_LEVEL: 'trace', LOG_DEADLINE_MS: '50' },
    });
    await lone.close();
    assert.ok(lone.lines.length > 0);
    for (const line of lone.lines) assert.ok(!line.includes(password), line);
  });

  it('and its secret are not printed by the process, not even when it does not start', async () => {
    const wrong = [
      { TOKEN_SECRET: secret, REDIS_URL: 'http://user:canary-word@x' },
      { TOKEN_SECRET: secret, TOKEN_PUBLIC_KEY: 'canary-key' },
    ];
    await Promise.all(
      wrong.map(async (environment) => {
        const gateway = await startGatewayProcess({ LOG_LEVEL: 'trace', ...environment });
        try {
          assert.equal(await gateway.exited, 1);
          const printed = gateway.stdout() + gateway.stderr();
          assert.ok(!printed.includes('canary') && !printed.includes(secret), printed);
        } finally {
          await gateway.close();
        }
      }),
    );
  });
});
