import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type Answer, type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { rawRequest, sendRaw } from '../rig/raw-http.ts';
import { makeToken } from '../rig/tokens.ts';

const app = 'capacitor://localhost';
const origins = ['https://site.example', app, 'ionic://localhost', 'tauri://localhost', 'chrome-extension://abcdefgh'];
let gateway: RunningGateway;
before(async () => {
  gateway = await startGateway({ environment: { CORS_ORIGINS: origins.join(',') } });
});
after(() => gateway.close());

const preflight = (origin: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> =>
  gateway.ask(`/rooms/${room}/stream`, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'GET', ...headers },
  });

function assertProblem({ status, headers, json }: Answer, code: string, expected: number): void {
  assert.equal(status, expected);
  assert.match(headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.deepEqual([json['code'], json['status']], [code, expected]);
}

describe('a page or an app of an allowed origin', () => {
  for (const origin of origins) {
    it(`may ask from ${origin}`, async () => {
      const { status, headers } = await preflight(origin);
      assert.equal(status, 204);
      assert.equal(headers.get('access-control-allow-origin'), origin);
      assert.equal(headers.get('access-control-allow-credentials'), 'true');
    });

    it(`may write from ${origin} with the cookie`, async () => {
      const headers = { origin, cookie: `ringside=${tokenOf('ann')}`, 'content-type': 'application/json' };
      const body = JSON.stringify({ text: 'hello' });
      const { status } = await gateway.ask(`/rooms/${room}/actions/comment`, { method: 'POST', headers, body });
      assert.equal(status, 202);
    });
  }

  it('may send what client libraries set out of habit', async () => {
    const { headers } = await preflight(app);
    const allowed = (headers.get('access-control-allow-headers') ?? '').toLowerCase().split(/, */);
    for (const name of [
      'cache-control',
      'last-event-id',
      'x-requested-with',
      'authorization',
      'content-type',
      'pragma',
    ])
      assert.ok(allowed.includes(name), name);
  });
});

describe('anybody else', () => {
  for (const origin of ['capacitor://evil', 'capacitor://localhost:1', 'ionic2://localhost', 'null', 'file://']) {
    it(`has no use of a cookie from ${origin}`, async () => {
      const headers = { origin, cookie: `ringside=${makeToken()}`, 'content-type': 'application/json' };
      const answer = await gateway.ask(`/rooms/${room}/actions/comment`, { method: 'POST', headers, body: '{}' });
      assertProblem(answer, 'origin-refused', 403);
    });
  }

  it('is told by a problem document that a preflight failed', async () => {
    const answer = await preflight('https://evil.example');
    assertProblem(answer, 'origin-refused', 403);
    assert.equal(answer.headers.get('access-control-allow-origin'), null);
  });

  it('is told so too where no origin is allowed at all', async () => {
    const closed = await startGateway();
    try {
      const headers = { origin: app, 'access-control-request-method': 'POST' };
      assertProblem(await closed.ask(`/rooms/${room}/stream`, { method: 'OPTIONS', headers }), 'origin-refused', 403);
    } finally {
      await closed.close();
    }
  });
});

describe('a method that is not served', () => {
  it('is refused with those that are, be it OPTIONS that is no preflight', async () => {
    for (const headers of [{}, { origin: app }]) {
      const answer = await gateway.ask(`/rooms/${room}/stream`, { method: 'OPTIONS', headers });
      assertProblem(answer, 'method-not-allowed', 405);
      assert.equal(answer.headers.get('allow'), 'GET');
    }
  });

  it('is refused before its body is looked at', async () => {
    for (const contentType of ['application/json', 'application/xml', 'x']) {
      const init = { method: 'PATCH', headers: { 'content-type': contentType }, body: '{' };
      assertProblem(await gateway.ask(`/rooms/${room}/stream`, init), 'method-not-allowed', 405);
    }
  });

  for (const method of ['QUERY', 'PROPFIND', 'TRACE', 'PURGE']) {
    it(`is refused as ${method}`, async () => {
      const { status, body } = await sendRaw(gateway.port, rawRequest(`${method} /rooms/${room}/state`));
      assert.equal(status, 405);
      assert.match(body, /"code":"method-not-allowed"/);
    });
  }
});

describe('what no route ever sees is refused by a problem document', () => {
  const head = `/rooms/${room}/actions/comment HTTP/1.1\r\nHost: x\r\n`;
  const cases: readonly (readonly [what: string, text: string, code: string, status: number])[] = [
    ['an unknown method', `BREW ${head}\r\n`, 'malformed', 400],
    ['no HTTP at all', 'SSH-2.0-OpenSSH_9.6\r\n\r\n', 'malformed', 400],
    ['two lengths', `POST ${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`, 'malformed', 400],
    ['no host', `GET /rooms/${room}/state HTTP/1.1\r\nConnection: close\r\n\r\n`, 'malformed', 400],
    ['a tunnel', 'CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n', 'malformed', 400],
    ['an expectation', `POST ${head}Expect: 200-maybe\r\nContent-Length: 2\r\n\r\n{}`, 'expectation-failed', 417],
  ];
  for (const [what, text, code, status] of cases) {
    it(what, async () => {
      const answer = await sendRaw(gateway.port, text);
      assert.equal(answer.status, status);
      assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/);
      const { body } = answer;
      const problem = JSON.parse(body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1));
      assert.deepEqual([problem.code, problem.status], [code, status]);
    });
  }

  it('a request after another one on the same connection, whose answer is not cut short', async () => {
    const first = 'GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n';
    const socket = connect(gateway.port, '127.0.0.1');
    let answer = '';
    socket.on('data', (bytes: Buffer) => {
      answer += bytes.toString();
      if (answer.endsWith('}') && answer.length > 10_000) socket.write('NONSENSE\r\n\r\n');
    });
    socket.write(first);
    await once(socket, 'close');
    assert.match(answer, /^HTTP\/1\.1 200 /);
    assert.match(answer, /HTTP\/1\.1 400 [\s\S]*"code":"malformed"/);
  });
});

describe('a query parameter that is given twice', () => {
  for (const [path, name] of [
    ['stream?history=1&history=2', 'history'],
    ['stream?lastEventId=a.1&lastEventId=a.2', 'lastEventId'],
    ['events?wait=1&wait=2', 'wait'],
    ['state?access_token=a&access_token=b', 'access_token'],
  ] as const) {
    it(`is named: ${path}`, async () => {
      const answer = await gateway.ask(`/rooms/${room}/${path}`);
      assertProblem(answer, 'malformed', 400);
      assert.deepEqual(answer.json['errors'], [{ pointer: `#/${name}`, detail: 'is given more than once' }]);
    });
  }
});
