import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { InjectOptions } from 'fastify';
import { SettingsError } from '../../src/settings.ts';
import { type BuildOptions, type Built, buildHttp } from '../rig/build-http.ts';
import { makeEc, makeEd, makeRsa, makeToken, nowS, pemOf, secret, tokenFor } from '../rig/tokens.ts';

const rsa = makeRsa();
const ec = makeEc();
const ed = makeEd();
const privatePem = rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const me = (built: Built, options: InjectOptions = {}, room = 'match-7') =>
  built.app.inject({ method: 'GET', url: `/rooms/${room}/me`, ...options });

/** Runs one check on a gateway of its own. */
async function on(options: BuildOptions, check: (built: Built) => Promise<void>): Promise<void> {
  const built = await buildHttp(options);
  try {
    await check(built);
  } finally {
    await built.close();
  }
}

describe('a good token', () => {
  let built: Built;
  before(async () => {
    built = await buildHttp();
  });
  after(() => built.close());

  it('tells who is asking, with what role, name and tags, and until when', async () => {
    const exp = nowS() + 60;
    const token = makeToken({ claims: { exp, name: 'Ann Lee 🎈', tags: ['gold', 'gold', 'vip'] } });
    const { statusCode, body } = await me(built, { headers: bearer(token) });
    assert.equal(statusCode, 200);
    assert.deepEqual(JSON.parse(body), {
      id: 'ann',
      name: 'Ann Lee 🎈',
      role: 'viewer',
      tags: ['gold', 'vip'],
      expiresAtMs: exp * 1000,
      namesRoom: true,
    });
  });

  it("gives the room's own role before that of every room", async () => {
    const headers = bearer(makeToken({ claims: { rooms: { '*': 'host', 'match-7': 'viewer' } } }));
    assert.equal((await me(built, { headers })).json().role, 'viewer');
    assert.equal((await me(built, { headers }, 'match-8')).json().role, 'host');
  });

  it('does not open a room that only looks like a property', async () => {
    const status = async (rooms: Record<string, string>) =>
      (await me(built, { headers: bearer(makeToken({ claims: { rooms } })) }, 'constructor')).statusCode;
    assert.deepEqual([await status({ a: 'viewer' }), await status({ '*': 'viewer' })], [403, 200]);
  });

  it('is found in the header, else the query of a GET, else the cookie', async () => {
    const as = (sub: string) => tokenFor('viewer', sub);
    const url = `/rooms/match-7/me?access_token=${as('query')}`;
    const cookie = `a=b; ringside=${as('cookie')}`;
    assert.equal((await me(built, { url })).json().id, 'query');
    assert.equal((await me(built, { url, headers: { cookie } })).json().id, 'query');
    assert.equal((await me(built, { headers: { cookie } })).json().id, 'cookie');
    const host = 'live.example.org';
    const own = { host, origin: `http://${host}`, cookie };
    assert.equal((await me(built, { method: 'POST', url, headers: own })).json().id, 'cookie');
    assert.equal((await me(built, { url, headers: { cookie, ...bearer(as('header')) } })).json().id, 'header');
    assert.equal((await me(built, { method: 'POST', url })).statusCode, 401);
  });

  it('ends with its exp, also when it was remembered', async () => {
    const headers = bearer(makeToken({ claims: { exp: Math.floor(built.clock.now() / 1000) + 60 } }));
    assert.equal((await me(built, { headers })).statusCode, 200);
    built.clock.advance(60_000);
    assert.equal((await me(built, { headers })).statusCode, 401);
  });
});

const hs = (claims: Record<string, unknown>) => makeToken({ claims });
const badClaims: Record<string, Record<string, unknown>> = {
  'no exp': { exp: undefined },
  'exp as a string': { exp: String(nowS() + 600) },
  'exp null': { exp: null },
  expired: { exp: nowS() - 1 },
  'nbf in the future': { nbf: nowS() + 600 },
  'nbf beyond all dates': { nbf: 1e300 },
  'exp before all dates': { exp: -1e300 },
  'no sub': { sub: undefined },
  'sub with a space': { sub: 'a b' },
  'sub a list': { sub: ['ann'] },
  'sub empty': { sub: '' },
  'no rooms': { rooms: undefined },
  'rooms a list': { rooms: ['match-7'] },
  'rooms null': { rooms: null },
  'a role that is none': { rooms: { 'match-7': 'admin' } },
  'another room with a role that is none': { rooms: { 'match-7': 'viewer', b: 'x' } },
  'a room id that is none': { rooms: { 'match-7': 'viewer', 'a b': 'viewer' } },
  'name a number': { name: 7 },
  'name too long': { name: 'x'.repeat(65) },
  'name with a line break': { name: 'a\nb' },
  'name with an override of direction': { name: 'a\u202eb' },
  'tags a string': { tags: 'gold' },
  'nine tags': { tags: [...'abcdefghi'] },
  'a tag that is none': { tags: ['a b'] },
};
const badTokens: Record<string, string> = {
  ...Object.fromEntries(Object.entries(badClaims).map(([what, claims]) => [what, hs(claims)])),
  empty: '',
  garbage: 'garbage',
  dots: '..',
  'three garbage parts': 'a.b.c',
  'alg none': makeToken({ alg: 'none' }),
  'alg None': makeToken({ alg: 'none', header: { alg: 'None' } }),
  'no signature': makeToken().replace(/[^.]+$/, ''),
  'another secret': makeToken({ key: 'x'.repeat(32) }),
  'an empty secret': makeToken({ key: '' }),
  'a crit header': makeToken({ header: { crit: ['b64'], b64: false } }),
  'an empty crit header': makeToken({ header: { crit: '' } }),
  'crit null': makeToken({ header: { crit: null } }),
  'alg HS512': makeToken({ header: { alg: 'HS512' } }),
  'alg missing': makeToken({ header: { alg: undefined } }),
  'alg a list': makeToken({ header: { alg: ['HS256'] } }),
  'signed by RS256': makeToken({ alg: 'RS256', key: rsa.privateKey }),
  '8 KB': hs({ padding: 'x'.repeat(6000) }),
  'padded base64': `${makeToken()}=`,
  'a claim set that is no object': `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.W10.x`,
};

describe('a bad token', () => {
  let built: Built;
  let uniform: string;
  before(async () => {
    built = await buildHttp();
    uniform = (await me(built)).body;
  });
  after(() => built.close());

  for (const [what, token] of Object.entries(badTokens)) {
    it(`is refused with the same 401 as no token at all: ${what}`, async () => {
      for (const repeat of [1, 2]) {
        const answer = await me(built, { headers: bearer(token) });
        assert.equal(answer.statusCode, 401, `time ${repeat}`);
        assert.equal(answer.body, uniform);
        assert.equal(answer.headers['www-authenticate'], 'Bearer');
        assert.equal(answer.headers['cache-control'], 'no-store');
      }
    });
  }

  it('for another room gets 403', async () => {
    const answer = await me(built, { headers: bearer(makeToken()) }, 'match-8');
    assert.equal(answer.statusCode, 403);
    assert.equal(answer.json().code, 'not-this-room');
  });

  it('given twice in the query is none', async () => {
    const token = makeToken();
    const answer = await me(built, { url: `/rooms/match-7/me?access_token=${token}&access_token=${token}` });
    assert.equal(answer.statusCode, 401);
  });

  it('that was only too early is good once its time has come', async (test) => {
    test.mock.timers.enable({ apis: ['Date'], now: Date.now() });
    const headers = bearer(hs({ nbf: nowS() + 60 }));
    assert.equal((await me(built, { headers })).statusCode, 401);
    test.mock.timers.setTime(Date.now() + 61_000);
    assert.equal((await me(built, { headers })).statusCode, 200);
  });
});

describe('issuer and audience', () => {
  const environment = { TOKEN_ISSUER: 'https://id.example.org', TOKEN_AUDIENCE: 'ringside' };
  const right = { iss: 'https://id.example.org', aud: ['other', 'ringside'] };
  it('must be right and present where they are configured', async () => {
    await on({ environment }, async (built) => {
      const status = async (claims: Record<string, unknown>) =>
        (await me(built, { headers: bearer(hs(claims)) })).statusCode;
      assert.equal(await status(right), 200);
      assert.equal(await status({ ...right, iss: 'https://id.example.org.evil' }), 401);
      assert.equal(await status({ ...right, iss: undefined }), 401);
      assert.equal(await status({ ...right, aud: 'other' }), 401);
      assert.equal(await status({ ...right, aud: [] }), 401);
      assert.equal(await status({ ...right, aud: undefined }), 401);
    });
  });
});

describe('a configured public key', () => {
  const pairs = { RS256: rsa, ES256: ec, EdDSA: ed } as const;
  for (const [alg, pair] of Object.entries(pairs)) {
    it(`takes ${alg} and nothing else`, async () => {
      const pem = pemOf(pair.publicKey);
      for (const configured of [pem, `\n${pem}`]) {
        await on({ environment: { TOKEN_PUBLIC_KEY: configured } }, async (built) => {
          for (const [other, { privateKey }] of Object.entries(pairs)) {
            const token = makeToken({ alg: other as keyof typeof pairs, key: privateKey });
            assert.equal((await me(built, { headers: bearer(token) })).statusCode, other === alg ? 200 : 401, other);
          }
          for (const key of [pem, `\n${pem}`, pem.trim(), secret, '']) {
            const forged = makeToken({ alg: 'HS256', key });
            assert.equal((await me(built, { headers: bearer(forged) })).statusCode, 401);
          }
          assert.equal((await me(built, { headers: bearer(makeToken({ alg: 'none' })) })).statusCode, 401);
        });
      }
    });
  }

  const wrong: Record<string, Record<string, string>> = {
    'an RSA key of 1024 bits': { TOKEN_PUBLIC_KEY: pemOf(makeRsa(1024).publicKey) },
    'a P-384 key': { TOKEN_PUBLIC_KEY: pemOf(makeEc('P-384').publicKey) },
    'a private key': { TOKEN_PUBLIC_KEY: privatePem },
    'no key': { TOKEN_PUBLIC_KEY: 'hello' },
    'an algorithm that the key is not for': { TOKEN_PUBLIC_KEY: pemOf(ed.publicKey), TOKEN_ALGORITHMS: 'RS256' },
    'a public key as the secret': { TOKEN_SECRET: pemOf(ec.publicKey) },
    'RS256 alone for a secret': { TOKEN_SECRET: secret, TOKEN_ALGORITHMS: 'RS256' },
    'HS256 alone for a key set': { TOKEN_JWKS_URL: 'https://id.example.org/keys', TOKEN_ALGORITHMS: 'HS256' },
  };
  for (const [what, environment] of Object.entries(wrong)) {
    it(`stops the start when it is ${what}`, async () => {
      await assert.rejects(buildHttp({ environment }), SettingsError);
    });
  }

  it('may be absent: then the secret of the demo counts', async () => {
    await on({ ownSecret: 'zkT0Wv1Yq8mR5nB2xJ7cLs4dHf9gPa3e' }, async (built) => {
      const good = makeToken({ key: 'zkT0Wv1Yq8mR5nB2xJ7cLs4dHf9gPa3e' });
      assert.equal((await me(built, { headers: bearer(good) })).statusCode, 200);
      assert.equal((await me(built, { headers: bearer(makeToken()) })).statusCode, 401);
    });
  });
});

describe('without a token', () => {
  it('a room can be watched where that is allowed, but a bad token is still bad', async () => {
    await on({ environment: { ANONYMOUS_VIEWERS: 'on' } }, async (built) => {
      assert.deepEqual((await me(built)).json(), { id: null, name: null, role: 'viewer', tags: [], expiresAtMs: null });
      assert.equal((await me(built, { headers: bearer('garbage') })).statusCode, 401);
      assert.equal((await me(built, { headers: { authorization: 'Bearer' } })).statusCode, 401);
      assert.equal((await me(built, { headers: { cookie: 'ringside=' } })).statusCode, 401);
      assert.equal((await me(built, { url: '/rooms/match-7/me?access_token=' })).statusCode, 401);
      assert.equal((await me(built, { headers: { authorization: 'Basic YTpi' } })).statusCode, 200);
    });
  });
});

describe('a cookie', () => {
  const environment = { CORS_ORIGINS: 'https://app.example.org' };
  const host = 'live.example.org:8443';
  const cases: [method: 'GET' | 'POST', headers: Record<string, string>, status: number][] = [
    ['POST', { origin: 'https://live.example.org:8443' }, 200],
    ['POST', { origin: 'https://app.example.org' }, 200],
    ['POST', { referer: 'https://app.example.org/room?x=1' }, 200],
    ['POST', {}, 403],
    ['POST', { origin: 'null' }, 403],
    ['POST', { origin: 'https://evil.example' }, 403],
    ['POST', { origin: 'https://live.example.org' }, 403],
    ['POST', { origin: 'https://live.example.org.evil.example', host: 'live.example.org' }, 403],
    ['POST', { origin: 'https://evil.example', referer: 'https://app.example.org/' }, 403],
    ['POST', { referer: 'not an address' }, 403],
    ['GET', {}, 200],
    ['GET', { referer: 'https://evil.example/' }, 200],
    ['GET', { origin: 'https://evil.example' }, 403],
    ['GET', { origin: 'https://app.example.org' }, 200],
  ];
  for (const [method, headers, status] of cases) {
    it(`counts on ${method} with ${JSON.stringify(headers)}: ${status === 200 ? 'yes' : 'no'}`, async () => {
      await on({ environment }, async (built) => {
        const cookie = `ringside=${makeToken()}`;
        const answer = await me(built, { method, headers: { host, cookie, ...headers } });
        assert.equal(answer.statusCode, status);
        if (status === 403) assert.equal(answer.json().code, 'origin-refused');
      });
    });
  }

  const stale: Record<string, string> = {
    "another user's": tokenFor('host', 'bob'),
    expired: makeToken({ claims: { exp: nowS() - 10 } }),
    garbage: '%E0%A4%A;"',
    empty: '',
    'that of another room': makeToken({ claims: { rooms: { 'match-8': 'host' } } }),
    'too long': 'x'.repeat(5000),
  };
  for (const [what, token] of Object.entries(stale)) {
    it(`does no harm beside a token that the page sends itself, be it ${what}`, async () => {
      await on({}, async (built) => {
        const headers = { cookie: `ringside=${token}`, origin: 'https://evil.example' };
        const good = makeToken();
        for (const method of ['GET', 'POST'] as const) {
          const answer = await me(built, { method, headers: { ...headers, ...bearer(good) } });
          assert.deepEqual([answer.statusCode, answer.json().id, answer.json().role], [200, 'ann', 'viewer']);
        }
        const byQuery = await me(built, { url: `/rooms/match-7/me?access_token=${good}`, headers });
        assert.deepEqual([byQuery.statusCode, byQuery.json().id], [200, 'ann']);
      });
    });
  }
});

describe('the log lines', () => {
  it('never hold a token, whether it was good, bad or in a path that does not exist', async () => {
    await on({}, async (built) => {
      const good = makeToken();
      const bad = 'canary.canary.canary';
      for (const token of [good, bad]) {
        await me(built, { url: `/rooms/match-7/me?access_token=${token}` });
        await me(built, { url: `/nowhere?access_token=${token}` });
        await me(built, { url: `/rooms/%zz/me?access_token=${token}` });
        await me(built, { headers: { ...bearer(token), cookie: `ringside=${token}` } });
      }
      const all = built.lines.join('');
      assert.match(all, /"path":"\/rooms\/match-7\/me"/);
      for (const part of [...good.split('.'), 'canary', 'access_token']) assert.ok(!all.includes(part), part);
    });
  });
});
