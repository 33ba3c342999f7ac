import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { openBrowser } from '../rig/browser.ts';
import {
  type Client,
  type Origin,
  openChromium,
  openCurl,
  openFetchClient,
  openNpmClient,
  parseEventStream,
  startOrigin,
  type Watched,
} from '../rig/clients.ts';
import { type CutProxy, startCutProxy } from '../rig/cut-proxy.ts';
import { type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { passTo, startPlainNginx } from '../rig/plain-nginx.ts';
import { startRedis } from '../rig/redis.ts';
import { waitFor } from '../rig/wait-for.ts';

const names = ['resume', 'state', 'beat', 'comment', 'direct', 'likes', 'gap', 'end'];
const history = 5;
const cuts = 3;

let browser: Browser;
let site: Origin;

before(async () => {
  [browser, site] = await Promise.all([openBrowser(), startOrigin()]);
});
after(async () => {
  await browser?.close();
  await site?.close();
});

/** What one client heard, read as a viewer would. */
class Story {
  readonly client: Client;
  readonly proxy: CutProxy;

  constructor(client: Client, proxy: CutProxy) {
    this.client = client;
    this.proxy = proxy;
  }

  #data(event: string): Record<string, unknown>[] {
    return this.client
      .heard()
      .filter((one) => one.event === event)
      .map(({ data }) => JSON.parse(data));
  }

  get verdicts(): unknown[] {
    return this.#data('resume').map(({ verdict }) => verdict);
  }

  get marks(): unknown[] {
    return this.#data('comment').map(({ text }) => text);
  }

  /** What was sent to it alone. */
  get letters(): unknown[] {
    return this.#data('direct').map(({ data }) => (data as { text: string }).text);
  }

  get likes(): unknown {
    const totals = this.#data('likes').map(({ total }) => Number(total));
    const states = this.#data('state').map(({ parts }) => (parts as { likes?: { value: { total: number } } }).likes);
    return Math.max(0, ...totals, ...states.map((likes) => likes?.value.total ?? 0));
  }

  get score(): unknown {
    const parts = this.#data('state').map((state) => state['parts'] as { score?: { value: unknown } });
    return parts.findLast(({ score }) => score !== undefined)?.score?.value;
  }

  /** The id of each comment, as the client would send it back. */
  get ids(): string[] {
    return this.client
      .heard()
      .filter(({ event }) => event === 'comment')
      .map(({ lastId }) => lastId);
  }
}

interface Play {
  readonly gateway: RunningGateway;
  readonly stories: readonly Story[];
}

const openers: readonly ((watched: Watched) => Promise<Client>)[] = [
  (watched) => openChromium(browser, site.origin, watched),
  openNpmClient,
  openFetchClient,
  (watched) => openCurl(watched, true),
  (watched) => openCurl(watched, false),
];

interface Scene {
  readonly redisUrl?: string;
  /** Put a real nginx between the gateway and what cuts the clients off. */
  readonly isBehindNginx?: boolean;
}

/** A room with a past, and every client before it, each behind a proxy of its own. */
async function play({ redisUrl, isBehindNginx = false }: Scene = {}): Promise<void> {
  const gateway = await startGateway({
    environment: { CORS_ORIGINS: site.origin, RETRY_MS: '100', COUNT_MS: '10' },
    ...(redisUrl === undefined ? {} : { redisUrl }),
  });
  const nginx = isBehindNginx ? await startPlainNginx({ server: passTo(`127.0.0.1:${gateway.port}`) }) : null;
  const stories: Story[] = [];
  try {
    for (let n = 1; n <= 8; n += 1) await gateway.post('comment', { text: `c${n}` });
    await gateway.put('score', { home: 0 });
    for (const [n, openClient] of openers.entries()) {
      const proxy = await startCutProxy(nginx?.socketPath ?? gateway.port);
      const address = `${proxy.url}/rooms/${room}/stream?history=${history}`;
      stories.push(new Story(await openClient({ address, token: tokenOf(`user-${n}`), names }), proxy));
    }
    await perform({ gateway, stories });
  } finally {
    await Promise.all(stories.map(({ client }) => client.close()));
    await Promise.all(stories.map(({ proxy }) => proxy.close()));
    await nginx?.stop();
    await gateway.close();
  }
}

/** Lets every client watch, be cut off and come back, and checks what each of them has then. */
async function perform({ gateway, stories }: Play): Promise<void> {
  const each = (is: (story: Story) => boolean, what: string): Promise<unknown> =>
    Promise.all(
      stories.map((story) =>
        waitFor(() => is(story), { what: `${story.client.name}: ${what}; it has ${story.marks}`, timeoutMs: 15_000 }),
      ),
    );
  let last = 8;
  const comment = async (): Promise<void> => {
    last += 1;
    await gateway.post('comment', { text: `c${last}` });
  };
  /** To each of them alone: in gzip streams, a stored block between deflated ones. */
  const letter = (n: number): Promise<unknown> =>
    gateway.post('direct', { to: stories.map((_, who) => `user-${who}`), type: 'letter', data: { text: `l${n}` } });
  await each(({ verdicts, marks }) => verdicts.length === 1 && marks.length === history, 'its history');
  for (let cut = 1; cut <= cuts; cut += 1) {
    for (let n = 1; n <= 5; n += 1) await comment();
    await gateway.post('like', { count: 10 });
    await gateway.put('score', { home: cut });
    await letter(2 * cut - 1);
    await each(({ letters }) => letters.includes(`l${2 * cut - 1}`), 'what is for it alone');
    await each(({ marks, likes }) => marks.includes(`c${last}`) && likes === cut * 10, 'what comes live');
    await each(({ score }) => JSON.stringify(score) === `{"home":${cut}}`, 'the state');
    for (const { proxy } of stories) proxy.cut();
    await letter(2 * cut);
    for (let n = 1; n <= 5; n += 1) await comment();
    await Promise.all(stories.map(({ client }) => client.comeBack()));
    await each(({ verdicts, marks }) => verdicts.length > cut && marks.includes(`c${last}`), 'what it missed');
  }
  const expected = Array.from({ length: last - 8 + history }, (_, n) => `c${n + 9 - history}`);
  const letters = Array.from({ length: 2 * cuts }, (_, n) => `l${n + 1}`);
  for (const story of stories) {
    const { name, comesBack } = story.client;
    assert.deepEqual(story.marks, expected, `${name}: everything, once and in order`);
    assert.deepEqual(story.letters, letters, `${name}: what was sent to it alone`);
    assert.deepEqual(story.ids, stories[0]?.ids, `${name}: the ids`);
    assert.deepEqual(story.verdicts[0], 'fresh', name);
    assert.deepEqual(new Set(story.verdicts.slice(1)), new Set(['exact']), name);
    assert.ok(
      story.client.heard().every(({ event }) => event !== 'gap' && event !== 'end'),
      name,
    );
    assertHeads(story.proxy, name, comesBack);
  }
}

/** How it went over the wire. */
function assertHeads({ heads }: CutProxy, name: string, comesBack: boolean): void {
  assert.ok(heads.length > cuts, name);
  for (const [nth, { request, response }] of heads.entries()) {
    assert.match(request, /^GET \/rooms\//, `${name}: no preflight, and nothing else beside`);
    assert.equal(/^last-event-id: [a-z0-9.]+\r$/im.test(request), nth > 0, `${name}: connection ${nth}`);
    // A connection that was refused or cut at once has no answer.
    if (response === '') continue;
    assert.match(response, /^HTTP\/1\.1 200 OK\r\n/, name);
    const isGzip = /^content-encoding: gzip\r$/im.test(response);
    assert.equal(isGzip, /^accept-encoding:.*gzip/im.test(request), name);
    assert.equal(isGzip, name !== 'curl', `${name}: compressed where it can be`);
  }
  if (comesBack) assert.ok(heads.length <= 3 * cuts + 1, `${name} does not storm: ${heads.length} connections`);
}

describe('clients of other houses', () => {
  it('watch, are cut off and come back over the embedded log, and miss nothing', () => play());

  it('watch, are cut off and come back over Redis, and miss nothing', async () => {
    const redis = await startRedis();
    try {
      await play({ redisUrl: redis.url });
    } finally {
      await redis.stop();
    }
  });

  it('watch, are cut off and come back behind nginx, and miss nothing', () => play({ isBehindNginx: true }));

  it('of another origin are let in where CORS_ORIGINS names it, and kept out where it does not', async () => {
    const gateway = await startGateway({ environment: { CORS_ORIGINS: 'https://elsewhere.example' } });
    const page = await browser.newPage();
    try {
      await page.goto(site.origin);
      const address = `${gateway.url}/rooms/${room}/stream?access_token=${tokenOf('ann')}`;
      const outcome = await page.evaluate(`new Promise((resolve) => {
        const source = new EventSource(${JSON.stringify(address)});
        source.addEventListener('resume', () => resolve('let in'));
        source.addEventListener('error', () => { source.close(); resolve('kept out'); });
      })`);
      assert.equal(outcome, 'kept out');
    } finally {
      await page.close();
      await gateway.close();
    }
  });
});

describe('the parser that curl is read by', () => {
  it('reads the examples of the specification', () => {
    const parse = (text: string) => parseEventStream(Buffer.from(text)).map(({ event, data }) => [event, data]);
    assert.deepEqual(parse('data: YHOO\ndata: +2\ndata: 10\n\n'), [['message', 'YHOO\n+2\n10']]);
    assert.deepEqual(parse('\ufeff: test\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third'), [
      ['message', 'first'],
      ['message', 'second'],
    ]);
    assert.deepEqual(parse('data\n\ndata\ndata\n\ndata:'), [
      ['message', ''],
      ['message', '\n'],
    ]);
    assert.deepEqual(parse('event: a\rdata:test\r\rdata: test\r\n\r\n'), [
      ['a', 'test'],
      ['message', 'test'],
    ]);
  });
});
