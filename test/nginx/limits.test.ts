import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Nginx, startNginx, startUpstream, type Upstream } from '../rig/nginx.ts';

const burst = 4;
const unlimited = '198.51.100.7';

let home: string;
let upstream: Upstream;
let nginx: Nginx;

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'ringside-limits-'));
  upstream = await startUpstream('blue-1', home);
  nginx = await startNginx(
    {
      groups: { blue: { servers: [{ name: 'blue-1', address: upstream.address }] } },
      // So one machine can play many: each request names its address.
      trustedProxies: ['127.0.0.1'],
      unlimited: [unlimited],
    },
    {
      change: (text) =>
        text
          .replace(/rate=\d+r\/s/g, 'rate=1r/m')
          .replace(/burst=\d+/g, `burst=${burst}`)
          .replace(/limit_conn (\w+) 1000;/g, 'limit_conn $1 2;'),
    },
  );
});
after(async () => {
  await nginx.stop();
  await upstream.close();
  await rm(home, { recursive: true, force: true });
});
beforeEach(() => {
  upstream.received.splice(0);
  upstream.reply = () => null;
});

interface Told {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly text: string;
}

const ask = (path: string, from: string, method = 'GET'): Promise<Told> =>
  new Promise((resolve, reject) => {
    const headers = { 'x-forwarded-for': from };
    const asked = request(`${nginx.url}${path}`, { agent: false, headers, method }, async (answer) => {
      let text = '';
      for await (const part of answer) text += part;
      resolve({ status: answer.statusCode ?? 0, retryAfter: answer.headers['retry-after'], text });
    });
    asked.on('error', reject).end();
  });
const statuses = async (path: string, addresses: readonly string[]): Promise<readonly number[]> => {
  const all: number[] = [];
  for (const from of addresses) all.push((await ask(path, from)).status);
  return all;
};
/** As many as one may have at once, and one more, of which the last is refused. */
const oneTooMany = [...Array.from({ length: 1 + burst }, () => 200), 429];
const many = (from: (nth: number) => string): readonly string[] =>
  Array.from({ length: oneTooMany.length }, (_, nth) => from(nth));

describe('reads of one address', () => {
  const ways = [
    ['what a gateway answers', '/rooms/a/events'],
    ['what waits', '/rooms/a/events?wait=5'],
    ['what all may share', '/rooms/a/state'],
    ['a part of the state with a token', '/rooms/a/state/score?access_token=x'],
    ['what is nowhere', '/nothing'],
  ];
  for (const [at, [what, path = '']] of ways.entries()) {
    it(`are limited: ${what}`, async () => {
      const from = `203.0.113.${at}`;
      assert.deepEqual(
        await statuses(
          path,
          many(() => from),
        ),
        oneTooMany,
      );
      const { retryAfter, text } = await ask(path, from);
      assert.equal(retryAfter, '1');
      assert.equal((JSON.parse(text) as { code: string }).code, 'rate-limited');
      assert.equal((await ask(path, '203.0.113.99')).status, 200, 'nobody else is');
    });
  }

  it('are limited together, whichever way they take', async () => {
    const paths = many((nth) => ['/rooms/a/events', '/rooms/a/state', '/x'][nth % 3] ?? '');
    const all: number[] = [];
    for (const path of paths) all.push((await ask(path, '203.0.113.50')).status);
    assert.deepEqual(all, oneTooMany);
  });

  it('are not limited where the file excepts the address', async () => {
    const all = await statuses(
      '/rooms/a/events',
      Array.from({ length: 20 }, () => unlimited),
    );
    assert.ok(all.every((status) => status === 200));
  });

  it('that wait are so many at a time', async () => {
    let letGo: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    upstream.reply = async () => {
      await waiting;
      return null;
    };
    const pulls = [1, 2].map(() => ask('/rooms/a/events?wait=5', '203.0.113.60'));
    // The third is refused while the two wait, so it must not come before them.
    while (upstream.received.length < 2) await new Promise((resolve) => setImmediate(resolve));
    assert.equal((await ask('/rooms/a/events?wait=5', '203.0.113.60')).status, 429);
    letGo();
    assert.deepEqual(
      (await Promise.all(pulls)).map(({ status }) => status),
      [200, 200],
    );
  });
});

describe('a limit', () => {
  it('is one for all addresses of a /64, as one customer has so many', async () => {
    const inOne = many((nth) => `2001:db8:1:2:${nth}:${nth}::${nth + 1}`);
    assert.deepEqual(await statuses('/rooms/a/events', inOne), oneTooMany);
    assert.equal((await ask('/rooms/a/events', '2001:db8:1:3::1')).status, 200, 'the next one has its own');
    assert.equal((await ask('/rooms/a/events', '2001:db8:1:2:ffff::1')).status, 429);
  });

  it('of writes and of streams is so too', async () => {
    const writes: number[] = [];
    for (const from of many((nth) => `2001:db8:7:7::${nth + 1}`))
      writes.push((await ask('/rooms/a/actions/like', from, 'POST')).status);
    assert.deepEqual(writes, oneTooMany);
    const streams: string[] = [];
    for (const from of many((nth) => `2001:db8:7:7::${nth + 1}`))
      streams.push((await ask('/rooms/a/stream', from)).text.slice(0, 5));
    assert.deepEqual(streams.slice(-2), ['blue-', 'retry']);
  });

  it('of an IPv4 address is its own, also where it comes in the form of an IPv6 one', async () => {
    const apart = many((nth) => `::ffff:192.0.2.${nth}`);
    assert.deepEqual(
      await statuses('/rooms/a/events', apart),
      apart.map(() => 200),
    );
    const same = [...many(() => '192.0.2.77').slice(1), '::ffff:192.0.2.77'];
    assert.deepEqual(await statuses('/rooms/a/events', same), oneTooMany);
  });
});
