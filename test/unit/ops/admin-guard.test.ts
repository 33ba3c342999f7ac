import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { registerProblems } from '../../../src/http/problem.ts';
import { buildAdmin } from '../../../src/ops/admin.ts';

let close: () => Promise<unknown> = async () => undefined;
afterEach(() => close());

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
}

/** An admin port, and how to ask it as anybody might, with headers that `fetch` would not send. */
async function open(authenticator: { adminHosts?: readonly string[]; adminToken?: string } = {}) {
  const orders: string[] = [];
  let isDraining = false;
  const drain = {
    roomList: () => [],
    move: () => 0,
    drain: () => {
      isDraining = true;
      return orders.push('drain');
    },
    undrain: () => {
      isDraining = false;
      return true;
    },
    get isDraining() {
      return isDraining;
    },
    misrouted: 0,
  };
  const guard = {
    adminHost: '0.0.0.0',
    adminHosts: authenticator.adminHosts ?? [],
    adminToken: authenticator.adminToken ?? null,
  };
  const admin = buildAdmin({ whyNotReady: () => null, drain, registerProblems, guard });
  close = () => admin.close();
  await admin.listen({ host: '127.0.0.1', port: 0 });
  const { port } = admin.server.address() as AddressInfo;
  const ask = async ({ method = 'POST', path = '/ops/drain', headers = {} }: Asked = {}) => {
    const body = method === 'POST' ? '{"overMs":0}' : '';
    const all = { ...(body === '' ? {} : { 'content-type': 'application/json' }), ...headers };
    const asked = request({ port, host: '127.0.0.1', method, path, headers: all, agent: false });
    asked.end(body);
    const [answer] = await once(asked, 'response');
    let text = '';
    for await (const bytes of answer) text += String(bytes);
    return { status: answer.statusCode as number, headers: answer.headers, json: JSON.parse(text) };
  };
  return { ask, orders, port };
}

describe('the admin port', () => {
  const foreign: readonly [string, Record<string, string>][] = [
    ['a name that leads here', { host: 'evil.example' }],
    ['such a name with the right port', { host: 'evil.example:9080' }],
    ['the address of every interface', { host: '0.0.0.0:9080' }],
    ['an address that is not its own', { host: '203.0.113.7' }],
    ['a name that begins like a good one', { host: 'localhost.evil.example' }],
    ['a page of another site', { origin: 'https://evil.example' }],
    ['a page without an origin', { origin: 'null' }],
    ['another port of this machine', { origin: 'http://127.0.0.1:1', host: '127.0.0.1:9080' }],
    ['a browser that says so', { 'sec-fetch-site': 'cross-site' }],
    ['a sibling site', { 'sec-fetch-site': 'same-site' }],
    ['a link that gives an order', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }],
  ];
  for (const [what, headers] of foreign) {
    it(`takes no order by way of ${what}`, async () => {
      const { ask, orders } = await open();
      const { status, json } = await ask({ headers });
      assert.deepEqual([status, json.code, orders], [403, 'cross-site', []]);
      if (what.startsWith('a link')) return;
      const read = await ask({ method: 'GET', path: '/ops/rooms', headers });
      assert.equal(read.status, 403, 'nor is it read');
    });
  }

  it('is there for programs, by its own address and the names that it was given', async () => {
    const { ask, orders } = await open({ adminHosts: ['Blue-1', 'blue.internal'] });
    for (const host of ['127.0.0.1', 'localhost:9080', '[::1]:9080', 'LOCALHOST.', 'blue-1:9080', 'blue.internal']) {
      assert.equal((await ask({ headers: { host } })).status, 202, host);
    }
    const own = { host: '127.0.0.1:9080', origin: 'http://127.0.0.1:9080', 'sec-fetch-site': 'same-origin' };
    assert.equal((await ask({ headers: own })).status, 202, 'a page of its own');
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    assert.equal((await ask({ method: 'GET', path: '/readyz', headers: link })).status, 503, 'a link from a dashboard');
    assert.equal(orders.length, 7);
  });

  it('wants the token for orders where there is one, and not for reading', async () => {
    const { ask, orders } = await open({ adminToken: 'a-token-of-sixteen' });
    for (const authorization of ['', 'Bearer', 'Bearer a-token-of-sixteeN', 'Basic a-token-of-sixteen']) {
      const { status, headers, json } = await ask({ headers: { authorization } });
      assert.deepEqual([status, json.code, headers['www-authenticate']], [401, 'unauthorized', 'Bearer']);
    }
    assert.equal((await ask({ method: 'GET', path: '/ops/rooms' })).status, 200);
    assert.deepEqual(orders, []);
    assert.equal((await ask({ headers: { authorization: 'bearer a-token-of-sixteen' } })).status, 202);
  });

  it('takes a drain back', async () => {
    const { ask } = await open();
    await ask();
    assert.equal((await ask({ method: 'GET', path: '/readyz' })).status, 503);
    assert.deepEqual((await ask({ path: '/ops/undrain' })).json, { isDraining: false });
    assert.equal((await ask({ method: 'GET', path: '/readyz' })).status, 200);
  });
});
