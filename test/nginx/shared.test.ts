import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { startGateway, tokenOf } from '../rig/gateway.ts';
import { type Nginx, type Reply, startNginx, startUpstream, type Upstream } from '../rig/nginx.ts';
import { type RawAnswer, rawRequest, sendRaw } from '../rig/raw-http.ts';
import { waitFor } from '../rig/wait-for.ts';

let home: string;
let nginx: Nginx;
let upstream: Upstream;
let count = 0;
const next = (): number => {
  count += 1;
  return count;
};

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'ringside-upstreams-'));
  upstream = await startUpstream('blue-1', home);
  nginx = await startNginx({ groups: { blue: { servers: [{ name: 'blue-1', address: upstream.address }] } } });
});
after(async () => {
  await nginx.stop();
  await upstream.close();
  await rm(home, { recursive: true, force: true });
});
beforeEach(() => {
  upstream.received.splice(0);
  upstream.reply = shared('public, max-age=60');
});

const shared = (cacheControl: string): (() => Reply) => {
  return () => ({
    headers: {
      'cache-control': cacheControl,
      etag: '"k.7"',
      'content-type': 'application/json',
      vary: 'Authorization, Cookie',
    },
    body: `{"nth":${next()}}`,
  });
};
/** A path that no other test asks for. */
const fresh = (what = 'state'): string => `/rooms/room-${next()}/${what}`;
const ask = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`${nginx.url}${path}`, { headers });
const textOf = async (path: string, headers: Record<string, string> = {}): Promise<string> =>
  (await ask(path, headers)).text();

describe('an answer that anybody may have', () => {
  for (const what of ['state', 'state/score', 'pages/3']) {
    it(`of ${what} is asked of the gateway once, however many want it at once`, async () => {
      const path = fresh(what);
      const texts = await Promise.all(Array.from({ length: 200 }, () => textOf(path)));
      assert.equal(new Set(texts).size, 1);
      assert.ok(upstream.received.length <= 3, `${upstream.received.length} requests reached the gateway`);
    });
  }

  it('is the same for browsers with cookies of other pages, which do not reach the gateway', async () => {
    const path = fresh();
    const texts = [await textOf(path, { cookie: 'theme=dark' }), await textOf(path, { cookie: 'theme=light' })];
    assert.equal(new Set(texts).size, 1);
    assert.equal(upstream.received.length, 1);
  });

  it('costs no body where it is known', async () => {
    const path = fresh();
    await textOf(path);
    assert.equal((await ask(path, { 'if-none-match': '"k.7"' })).status, 304);
    assert.equal(upstream.received.length, 1);
  });

  it('is renewed behind the scenes by its tag, and nobody waits for that', async () => {
    upstream.reply = shared('public, max-age=1, stale-while-revalidate=60');
    const path = fresh();
    const first = await textOf(path);
    upstream.reply = () => ({ status: 304, headers: { 'cache-control': 'public, max-age=60', etag: '"k.7"' } });
    const renewal = await waitFor(
      async () => {
        assert.equal(await textOf(path), first);
        return upstream.received[1];
      },
      { what: 'the answer to be renewed' },
    );
    assert.equal(renewal.headers['if-none-match'], '"k.7"');
  });

  it('is given on while the gateway has no answer', async () => {
    upstream.reply = shared('public, max-age=1');
    const path = fresh();
    const first = await textOf(path);
    upstream.reply = () => 'cut';
    const answer = await waitFor(
      async () => {
        const one = await ask(path);
        return one.headers.get('x-ringside-cache') === 'STALE' && one;
      },
      { what: 'the answer to be stale' },
    );
    assert.equal(answer.status, 200);
    assert.equal(await answer.text(), first);
  });

  it('is another for each version that is named and for each origin', async () => {
    const [state, pages] = [fresh(), fresh('pages/3')];
    const texts = await Promise.all([
      textOf(state),
      textOf(`${state}?since=1`),
      textOf(`${state}?since=k3.1`),
      textOf(pages),
      textOf(`${pages}?v=k3.1`),
      textOf(state, { origin: 'https://a.example' }),
      textOf(state, { origin: 'https://b.example' }),
    ]);
    assert.equal(new Set(texts).size, texts.length);
  });

  it('is the same whatever else is in the query, which the gateway is not told', async () => {
    const [state, part, pages] = [fresh(), fresh('state/score'), fresh('pages/3')];
    const same = [
      [state, `${state}?`, `${state}?x=1`, `${state}?x=2&y`, `${state}?v=1&&=`, `${state}?SINCE=1&sinc=2&sincee=3`],
      [`${state}?since=5`, `${state}?x=1&since=5`, `${state}?since=5&x`, `${state}?x=since=1&since=5&y=`],
      [part, `${part}?since=1`, `${part}?v=2`],
      [pages, `${pages}?since=1`, `${pages}?x=v=1`],
      [`${pages}?v=a.1`, `${pages}?v=a.1&since=3`],
    ];
    for (const [plain = '', ...others] of same) {
      const text = await textOf(plain);
      for (const other of others) assert.equal(await textOf(other), text, other);
    }
    assert.deepEqual(
      upstream.received.map(({ path }) => path),
      same.map(([plain]) => plain),
    );
  });

  it('is asked of the gateway where what the query names cannot be taken as it stands', async () => {
    const path = fresh();
    const odd = ['since=1&since=1', 'since=', 'since', 'since=%31', 'since=1,2', 'since=A', 'x=1&since=1&since'];
    for (const query of odd) {
      assert.notEqual(await textOf(`${path}?${query}`), await textOf(`${path}?${query}`), query);
    }
    assert.deepEqual(
      upstream.received.map((one) => one.path),
      odd.flatMap((query) => [`${path}?${query}`, `${path}?${query}`]),
    );
  });

  it('is not kept where the gateway does not say that it may be', async () => {
    for (const cacheControl of ['no-store', 'private, max-age=60', 'no-cache', '']) {
      upstream.reply = shared(cacheControl);
      const path = fresh();
      assert.notEqual(await textOf(path), await textOf(path), cacheControl);
    }
  });
});

describe('an answer to somebody with a token', () => {
  const ways: readonly [string, (path: string) => [string, Record<string, string>]][] = [
    ['a header', (path) => [path, { authorization: 'Bearer abc' }]],
    ['the cookie', (path) => [path, { cookie: 'theme=dark; ringside=abc' }]],
    ['the query', (path) => [`${path}?access_token=abc`, {}]],
  ];
  for (const [name, way] of ways) {
    it(`by ${name} comes from the gateway, and goes to nobody else`, async () => {
      const path = fresh();
      const anybody = await textOf(path);
      const [to, headers] = way(path);
      const texts = [await textOf(to, headers), await textOf(to, headers)];
      assert.equal(new Set([anybody, ...texts]).size, 3);
      assert.equal(await textOf(path), anybody);
      assert.equal(upstream.received.length, 3);
    });

    it(`by ${name} costs no body where the gateway says so`, async () => {
      const [to, headers] = way(fresh());
      upstream.reply = ({ headers: sent }) => (sent['if-none-match'] === '"k.7"' ? { status: 304, body: '' } : null);
      assert.equal((await ask(to, { ...headers, 'if-none-match': '"k.7"' })).status, 304);
    });
  }
});

describe('a token', () => {
  /** Each header as it is written here, in this order. */
  const asking = (path: string, headers: readonly string[]): Promise<RawAnswer> =>
    sendRaw(nginx.port, rawRequest(`GET ${path}`, headers));

  const spellings: readonly (readonly [string, string, readonly string[]])[] = [
    ['in a cookie after a tab', '', ['Cookie: theme=dark;\tringside=abc']],
    ['in a cookie with spaces around its name', '', ['Cookie: theme=dark;  ringside = abc']],
    ['in a cookie with nothing before it', '', ['Cookie: ;ringside=abc']],
    ['in the second of two cookie headers', '', ['Cookie: theme=dark', 'Cookie: ringside=abc']],
    ['in a cookie that is there twice', '', ['Cookie: ringside=; ringside=abc']],
    ['by a scheme in small letters', '', ['Authorization: bearer abc']],
    ['in a header after a tab', '', ['Authorization:\tBearer abc']],
    ['at the end of the query', '?since=1&x=2&access_token=abc', []],
    ['twice in the query', '?access_token=&access_token=abc', []],
    ['without a value', '?access_token', []],
    ['behind a question mark', '?x=?&access_token=abc', []],
  ];
  for (const [how, query, headers] of spellings) {
    it(`${how} never gets what is for all, and leaves nothing for others`, async () => {
      const path = fresh();
      const anybody = await textOf(`${path}${query.includes('since=1') ? '?since=1' : ''}`);
      const own = [await asking(`${path}${query}`, headers), await asking(`${path}${query}`, headers)];
      assert.ok(own.every(({ status }) => status === 200));
      assert.equal(new Set([anybody, ...own.map(({ body }) => body)]).size, 3);
      assert.equal(await textOf(`${path}${query.includes('since=1') ? '?since=1' : ''}`), anybody);
    });
  }

  it('in a spelling that only a decoder would read is refused', async () => {
    const path = fresh();
    for (const query of ['%61ccess_token=abc', 'access%5ftoken=abc', 'x#&access_token=abc']) {
      assert.equal((await asking(`${path}?${query}`, [])).status, 400, query);
    }
    assert.equal(upstream.received.length, 0);
  });

  it('of which there are two is refused, as nobody can say which counts', async () => {
    const { status } = await asking(fresh(), ['Authorization: Basic x', 'Authorization: Bearer abc']);
    assert.equal(status, 400);
    assert.equal(upstream.received.length, 0);
  });
});

describe('cookies', () => {
  const cookieFor = async (...headers: readonly string[]): Promise<string | undefined> => {
    upstream.received.splice(0);
    await sendRaw(nginx.port, rawRequest(`GET ${fresh('events')}`, headers));
    return upstream.received[0]?.headers.cookie;
  };

  it('other than ours do not reach the gateway', async () => {
    assert.equal(
      await cookieFor('Cookie: theme=dark; ringside=abc.d-e_f; ringsider=1; xringside=2'),
      'ringside=abc.d-e_f',
    );
    assert.equal(await cookieFor('Cookie: theme=dark; xringside=2; RINGSIDE=3; "ringside"=4'), undefined);
    assert.equal(await cookieFor(), undefined);
  });

  it('of the platform may have 17 KB beside a token in the address', async () => {
    const large = Array.from({ length: 17 }, (_, at) => `platform${at}=${'x'.repeat(1000)}`).join('; ');
    const path = fresh('events');
    const { status } = await sendRaw(
      nginx.port,
      rawRequest(`GET ${path}?access_token=${'t'.repeat(4096)}`, [`Cookie: ${large}; ringside=${'u'.repeat(4096)}`]),
    );
    assert.equal(status, 200);
    assert.equal(upstream.received[0]?.headers.cookie, `ringside=${'u'.repeat(4096)}`);
  });
});

describe('the state of a public room', () => {
  it('reaches a crowd by a handful of requests, and a host by each', async () => {
    const gateway = await startGateway({ environment: { ANONYMOUS_VIEWERS: 'on' } });
    let asked = 0;
    gateway.gateway.app.server.on('request', () => {
      asked += 1;
    });
    const address = `127.0.0.1:${gateway.port}`;
    const before = await startNginx({ groups: { blue: { servers: [{ name: 'blue-1', address }] } } });
    try {
      assert.equal((await gateway.put('score', { home: 1 })).status, 200);
      asked = 0;
      const url = `${before.url}/rooms/match-7/state`;
      const texts = await Promise.all(Array.from({ length: 300 }, async () => (await fetch(url)).text()));
      assert.equal(new Set(texts).size, 1);
      assert.match(texts[0] ?? '', /"score"/);
      assert.ok(asked <= 5, `${asked} requests reached the gateway`);
      asked = 0;
      const headers = { authorization: `Bearer ${tokenOf('hanna', 'host')}` };
      const answers = await Promise.all([fetch(url, { headers }), fetch(url, { headers })]);
      assert.deepEqual(
        answers.map((answer) => answer.headers.get('cache-control')),
        ['no-store', 'no-store'],
      );
      assert.equal(asked, 2);
    } finally {
      await before.stop();
      await gateway.close();
    }
  });
});
