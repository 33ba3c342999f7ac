import assert from 'node:assert/strict';
import { Agent, get } from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type RunningGateway, startGateway, tokenOf } from '../rig/gateway.ts';
import { type Nginx, startNginx } from '../rig/nginx.ts';
import { waitFor } from '../rig/wait-for.ts';

/** Pulls of one page, and how many of them are under way at a time. */
const pulls = 10_000;
const atATime = 200;

let gateway: RunningGateway;
let nginx: Nginx;
const agent = new Agent({ keepAlive: true, maxSockets: atATime });
/** Requests that reached the gateway. */
let asked: string[] = [];
let rooms = 0;
let room = '';

before(async () => {
  gateway = await startGateway({ environment: { ANONYMOUS_VIEWERS: 'on' } });
  gateway.gateway.app.server.on('request', ({ url }) => void asked.push(String(url)));
  const address = `127.0.0.1:${gateway.port}`;
  // Thousands from one address: the limits have tests of their own.
  const groups = { blue: { servers: [{ name: 'blue-1', address }] } };
  nginx = await startNginx({ groups, unlimited: ['127.0.0.1'] });
});
after(async () => {
  agent.destroy();
  await nginx.stop();
  await gateway.close();
});
beforeEach(() => {
  rooms += 1;
  room = `room-${rooms}`;
});

interface Page {
  readonly epoch: string;
  readonly version: string;
  readonly to: number;
  readonly full: boolean;
  readonly events: readonly { readonly id: string; readonly event: string; readonly data: Record<string, unknown> }[];
}
interface Pulled {
  readonly status: number;
  readonly cacheControl: string;
  readonly text: string;
  readonly page: Page;
}

const pull = (page: number | string, headers: Record<string, string> = {}): Promise<Pulled> =>
  new Promise((resolve, reject) => {
    const request = get(`${nginx.url}/rooms/${room}/pages/${page}`, { agent, headers }, async (answer) => {
      const parts: Buffer[] = [];
      for await (const part of answer) parts.push(part as Buffer);
      const text = Buffer.concat(parts).toString('utf8');
      const cacheControl = String(answer.headers['cache-control']);
      resolve({ status: answer.statusCode ?? 0, cacheControl, text, page: JSON.parse(text || 'null') as Page });
    });
    request.on('error', reject);
  });

/** Pulls a page as often as said, so many at a time; settles with what was got, each text once. */
async function crowd(page: string): Promise<Map<string, number>> {
  const got = new Map<string, number>();
  let left = pulls;
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const { status, text } = await pull(page);
      assert.equal(status, 200);
      got.set(text, (got.get(text) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: atATime }, one));
  return got;
}

const host = (): string => tokenOf('hanna', 'host', { rooms: { '*': 'host' } });
const signal = (n: number, audience = 'all'): Promise<string> =>
  gateway.post('signal', { type: 'beat', data: { n }, audience }, { room, as: host() });

describe('pages through nginx', () => {
  it(`reach ${pulls.toLocaleString('en')} pulls of a full page by a handful of requests`, async () => {
    for (let n = 1; n <= 120; n += 1) await signal(n);
    const { page } = await pull(0);
    assert.equal(page.full, true);
    asked = [];
    const got = await crowd(`0?v=${page.version}`);
    assert.equal(got.size, 1);
    assert.ok(asked.length <= 5, `${asked.length} requests reached the gateway`);
  });

  it('reach as many pulls of the newest page, which can change, by some more', async () => {
    for (let n = 1; n <= 5; n += 1) await signal(n);
    asked = [];
    const startedMs = performance.now();
    const got = await crowd('latest');
    const seconds = Math.ceil((performance.now() - startedMs) / 1000);
    assert.equal(got.size, 1);
    // One at first, and one whenever what is kept is over, which is two seconds.
    assert.ok(asked.length <= 5 + seconds, `${asked.length} requests reached the gateway in ${seconds} s`);
  });

  it('answer those who wait for a page that is not there yet without the gateway', async () => {
    asked = [];
    const answers = await Promise.all(Array.from({ length: 200 }, () => pull(7)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([404]));
    assert.ok(asked.length <= 5, `${asked.length} requests reached the gateway`);
  });

  it('hold nothing that is not for everybody, whoever asked first', async () => {
    const secrets = ['staff', 'tag:gold'];
    await signal(1);
    for (const audience of secrets) await signal(2, audience);
    const to = ['ann'];
    await gateway.post('direct', { to, type: 'text', data: { n: 3 } }, { room, as: host() });
    await signal(4);
    const tokens = [host(), tokenOf('ann', 'viewer', { rooms: { '*': 'viewer' }, tags: ['gold'] })];
    for (const token of tokens) await pull(0, { authorization: `Bearer ${token}` });
    const { page } = await pull(0);
    assert.deepEqual(
      page.events.map(({ data }) => (data['data'] as { n: number }).n),
      [1, 4],
    );
  });

  it('keep an answer to a token from everybody else, and give its sender what is new', async () => {
    await signal(1);
    const shared = await pull(0);
    asked = [];
    const withToken = await pull(0, { authorization: `Bearer ${host()}` });
    const withCookie = await pull(0, { cookie: `ringside=${host()}` });
    const inQuery = await pull(`0?access_token=${host()}`);
    for (const { status, cacheControl } of [withToken, withCookie, inQuery]) {
      assert.deepEqual([status, cacheControl], [200, 'no-store']);
    }
    assert.equal(asked.length, 3);
    assert.equal((await pull(0)).text, shared.text);
    assert.equal(asked.length, 3);
    assert.equal((await pull(0, { authorization: 'Bearer wrong' })).status, 401);
  });

  it('give nobody who knows of a retraction what was retracted, and soon nobody else', async () => {
    for (let n = 1; n <= 99; n += 1) await signal(n);
    const id = await signal(100);
    const [epoch] = id.split('.');
    const first = (await pull(0)).page;
    const gone = first.events[41]?.id ?? '';
    const holds = ({ page }: Pulled): boolean => page.events.some((event) => event.id === gone);
    assert.equal(holds(await pull(`0?v=${first.version}`)), true);
    const retraction = await gateway.post('retract', { id: gone }, { room, as: host() });
    // Whoever hears the event `retract` knows the version: it is that event's id.
    const after = await pull(`0?v=${retraction}`);
    assert.deepEqual([after.page.version, after.page.full, holds(after)], [retraction, true, false]);
    assert.match(after.cacheControl, /immutable/);
    assert.equal(epoch, after.page.epoch);
    await waitFor(async () => !holds(await pull(0)), { what: 'the page without a version to be renewed' });
  });
});
