import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { firstRetryMs, freshMs, KeySet, refetchMs } from '../../src/auth/key-set.ts';
import { Refusal } from '../../src/errors.ts';
import { buildHttp } from '../rig/build-http.ts';
import { FakeClock } from '../rig/fake-clock.ts';
import { jwkOf, makeEc, makeEd, makeRsa, makeToken, nowS, pemOf } from '../rig/tokens.ts';

const rsa = makeRsa();
const ec = makeEc();
const ed = makeEd();
const url = 'https://id.example.org/keys?secret=canary';

/** A key server that the test speaks for. */
class KeyServer {
  fetches = 0;
  answer: () => Promise<Response> | Response = () => new Response('[]');
  publish(...keys: readonly unknown[]): void {
    this.answer = () => new Response(JSON.stringify({ keys }));
  }
  readonly fetch: typeof fetch = async () => {
    this.fetches += 1;
    return this.answer();
  };
}

const clock = new FakeClock();
const sets: KeySet[] = [];
const failures: string[] = [];
function keySet(server: KeyServer): KeySet {
  const set = new KeySet({ url, clock, fetch: server.fetch, onFailure: (reason) => void failures.push(reason) });
  sets.push(set);
  return set;
}
afterEach(() => {
  for (const set of sets.splice(0)) set.close();
  failures.length = 0;
});
const isAway = (error: unknown): boolean => error instanceof Refusal && error.code === 'overloaded';

describe('a key set', () => {
  it('finds a key by its id, in the form that a verifier takes', async () => {
    const server = new KeyServer();
    server.publish(
      jwkOf(rsa.publicKey, { kid: 'r', use: 'sig', alg: 'RS256' }),
      jwkOf(ec.publicKey, { kid: 'e', key_ops: ['verify'] }),
      jwkOf(ed.publicKey, { kid: 'd', alg: 'Ed25519' }),
    );
    const set = keySet(server);
    assert.deepEqual(await set.find('r', 'RS256'), { algorithm: 'RS256', pem: pemOf(rsa.publicKey) });
    assert.deepEqual(await set.find('e', 'ES256'), { algorithm: 'ES256', pem: pemOf(ec.publicKey) });
    assert.deepEqual(await set.find('d', 'EdDSA'), { algorithm: 'EdDSA', pem: pemOf(ed.publicKey) });
    assert.equal(server.fetches, 1);
  });

  it('gives a key for no other algorithm than its own', async () => {
    const server = new KeyServer();
    server.publish(jwkOf(rsa.publicKey, { kid: 'r' }));
    const set = keySet(server);
    for (const alg of ['ES256', 'EdDSA', 'HS256', 'PS256', 'none', undefined, ['RS256']]) {
      assert.equal(await set.find('r', alg), null);
    }
  });

  it('gives a token without an id the only key of its algorithm, and none where there are two', async () => {
    const server = new KeyServer();
    server.publish(jwkOf(rsa.publicKey), jwkOf(ec.publicKey, { kid: 'e' }), jwkOf(makeEc().publicKey, { kid: 'f' }));
    const set = keySet(server);
    assert.equal((await set.find(undefined, 'RS256'))?.pem, pemOf(rsa.publicKey));
    assert.equal(await set.find(undefined, 'ES256'), null);
  });

  it('passes over keys that are not for checking our tokens', async () => {
    const server = new KeyServer();
    const good = jwkOf(rsa.publicKey);
    server.publish(
      { ...good, kid: 'enc', use: 'enc' },
      { ...good, kid: 'pss', alg: 'PS256' },
      { ...good, kid: 'ops', key_ops: ['sign'] },
      jwkOf(rsa.privateKey, { kid: 'private' }),
      jwkOf(makeRsa(1024).publicKey, { kid: 'short' }),
      jwkOf(makeEc('P-384').publicKey, { kid: 'curve' }),
      { ...good, e: 'AQ', kid: 'exponent' },
      { kty: 'oct', k: 'c2VjcmV0', kid: 'shared', alg: 'HS256' },
      { kty: 'RSA', kid: 'broken' },
      { ...good, kid: 7 },
      null,
      'x',
      [],
      { ...good, kid: 'good' },
    );
    const set = keySet(server);
    for (const kid of ['enc', 'pss', 'ops', 'private', 'short', 'exponent', 'broken', '7']) {
      assert.equal(await set.find(kid, 'RS256'), null, kid);
    }
    assert.equal(await set.find('curve', 'ES256'), null);
    assert.equal(await set.find('shared', 'HS256'), null);
    assert.ok(await set.find('good', 'RS256'));
  });

  it('fetches once for all who ask at the same time', async () => {
    const server = new KeyServer();
    server.publish(jwkOf(ed.publicKey, { kid: 'd' }));
    const set = keySet(server);
    const found = await Promise.all(Array.from({ length: 100 }, () => set.find('d', 'EdDSA')));
    assert.ok(found.every((key) => key !== null));
    assert.equal(server.fetches, 1);
  });

  it('fetches again for an unknown id, but however many are tried, only once in 30 seconds', async () => {
    const server = new KeyServer();
    server.publish(jwkOf(ed.publicKey, { kid: 'd' }));
    const set = keySet(server);
    await set.find('d', 'EdDSA');
    for (let n = 0; n < 1000; n += 1) assert.equal(await set.find(`random-${n}`, 'EdDSA'), null);
    assert.equal(server.fetches, 1);
    server.publish(jwkOf(ed.publicKey, { kid: 'd' }), jwkOf(rsa.publicKey, { kid: 'new' }));
    clock.advance(refetchMs);
    assert.ok(await set.find('new', 'RS256'));
    for (let n = 0; n < 1000; n += 1) assert.equal(await set.find(`random-${n}`, 'EdDSA'), null);
    assert.equal(server.fetches, 2);
  });

  it('keeps the keys that it has while fetches fail, and lets go of a withdrawn key when one succeeds', async () => {
    const server = new KeyServer();
    server.publish(jwkOf(ed.publicKey, { kid: 'd' }));
    const set = keySet(server);
    await set.find('d', 'EdDSA');
    server.answer = () => Promise.reject(new Error('away'));
    clock.advance(freshMs);
    assert.ok(await set.find('d', 'EdDSA'));
    assert.equal(server.fetches, 2);
    assert.equal(await set.find('x', 'EdDSA'), null);
    server.publish(jwkOf(rsa.publicKey, { kid: 'r' }));
    clock.advance(refetchMs);
    assert.ok(await set.find('r', 'RS256'));
    assert.equal(await set.find('d', 'EdDSA'), null);
  });

  it('says that it is away, not that the token is bad, until it could be fetched once', async () => {
    const server = new KeyServer();
    const set = keySet(server);
    const bad: (() => Response)[] = [
      () => new Response('no', { status: 500 }),
      () => new Response('{'),
      () => new Response('{"keys":{}}'),
      () => new Response('null'),
      () => new Response('{"keys":[]}'),
      () => new Response(`{"keys":["${'x'.repeat(300_000)}"]}`),
    ];
    for (const answer of bad) {
      server.answer = answer;
      await assert.rejects(set.find('d', 'EdDSA'), isAway);
      await assert.rejects(set.find('d', 'EdDSA'), isAway);
      clock.advance(firstRetryMs);
    }
    assert.equal(server.fetches, bad.length);
    assert.equal(failures.length, bad.length);
    assert.ok(!failures.join().includes('canary'));
    server.publish(jwkOf(ed.publicKey, { kid: 'd' }));
    assert.ok(await set.find('d', 'EdDSA'));
  });

  it('reads no more of an endless answer than it may hold', async () => {
    const server = new KeyServer();
    let sent = 0;
    server.answer = () =>
      new Response(
        new ReadableStream({
          pull(controller) {
            sent += 65_536;
            controller.enqueue(new Uint8Array(65_536));
          },
        }),
      );
    await assert.rejects(keySet(server).find('d', 'EdDSA'), isAway);
    assert.ok(sent < 1_000_000, String(sent));
  });

  it('gives up a fetch under way when it is closed', async () => {
    const server = new KeyServer();
    const set = new KeySet({
      url,
      clock,
      fetch: (_url, init) =>
        new Promise((_, reject) => init?.signal?.addEventListener('abort', () => reject(new Error()))),
    });
    const asked = set.find('d', 'EdDSA');
    set.close();
    await assert.rejects(asked, isAway);
    assert.equal(server.fetches, 0);
  });
});

describe('a gateway with a key set', () => {
  it('takes tokens of its keys and refuses others with the one 401', async () => {
    const server = new KeyServer();
    server.publish(jwkOf(rsa.publicKey, { kid: 'r' }), jwkOf(ec.publicKey, { kid: 'e' }));
    const built = await buildHttp({ environment: { TOKEN_JWKS_URL: url }, fetch: server.fetch });
    try {
      const me = (token: string) =>
        built.app.inject({ url: '/rooms/match-7/me', headers: { authorization: `Bearer ${token}` } });
      const of = (alg: 'RS256' | 'ES256', kid: unknown) =>
        makeToken({ alg, key: (alg === 'RS256' ? rsa : ec).privateKey, header: { kid } });
      assert.equal((await me(of('RS256', 'r'))).statusCode, 200);
      assert.equal((await me(of('ES256', 'e'))).statusCode, 200);
      assert.equal((await me(of('ES256', undefined))).statusCode, 200);
      const uniform = (await built.app.inject('/rooms/match-7/me')).body;
      const forged = makeToken({ alg: 'HS256', key: pemOf(rsa.publicKey), header: { kid: 'r' } });
      const bad = [of('RS256', 'e'), of('RS256', 'x'), of('RS256', ''), of('RS256', 7), of('RS256', null), forged];
      bad.push(of('RS256', '__proto__'), makeToken({ alg: 'none', header: { kid: 'r' } }), 'x.y.z', 'garbage');
      for (const token of bad) {
        const answer = await me(token);
        assert.equal(answer.statusCode, 401);
        assert.equal(answer.body, uniform);
      }
      assert.equal(server.fetches, 1);
    } finally {
      await built.close();
    }
  });

  it('refuses a token that it knows once its key was withdrawn, or replaced under the same id', async () => {
    const server = new KeyServer();
    const built = await buildHttp({ environment: { TOKEN_JWKS_URL: url }, fetch: server.fetch });
    try {
      const other = makeRsa();
      const token = makeToken({
        alg: 'RS256',
        key: rsa.privateKey,
        header: { kid: 'r' },
        claims: { exp: nowS() + 7200 },
      });
      const status = async (): Promise<number> => {
        const headers = { authorization: `Bearer ${token}` };
        return (await built.app.inject({ url: '/rooms/match-7/me', headers })).statusCode;
      };
      for (const keys of [[jwkOf(other.publicKey, { kid: 'r' })], [jwkOf(other.publicKey, { kid: 'other' })]]) {
        server.publish(jwkOf(rsa.publicKey, { kid: 'r' }));
        built.clock.advance(freshMs);
        await status();
        assert.deepEqual([await status(), await status()], [200, 200]);
        server.publish(...keys);
        built.clock.advance(freshMs);
        // The first to come after ten minutes makes it fetch, and is not kept waiting for it.
        await status();
        assert.equal(await status(), 401);
      }
    } finally {
      await built.close();
    }
  });

  it('answers 503 with Retry-After while the key set was never to be had', async () => {
    const server = new KeyServer();
    const built = await buildHttp({ environment: { TOKEN_JWKS_URL: url }, fetch: server.fetch });
    try {
      const token = makeToken({ alg: 'RS256', key: rsa.privateKey, header: { kid: 'r' } });
      const answer = await built.app.inject({
        url: '/rooms/match-7/me',
        headers: { authorization: `Bearer ${token}` },
      });
      assert.equal(answer.statusCode, 503);
      assert.equal(answer.headers['retry-after'], '2');
      assert.ok(!built.lines.join('').includes('canary'));
    } finally {
      await built.close();
    }
  });
});
