import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { expAheadMaxMs } from '../../src/auth/claims.ts';
import { tokenFaults } from '../../src/auth/token-refusal.ts';
import { type Built, buildHttp } from '../rig/build-http.ts';
import { jwkOf, makeEc, makeRsa, makeToken, nowS } from '../rig/tokens.ts';

const url = '/rooms/match-7/me';
const ask = async (built: Built, claims: Record<string, unknown>) => {
  const { statusCode, body } = await built.app.inject({
    method: 'GET',
    url,
    headers: { authorization: `Bearer ${makeToken({ claims })}` },
  });
  return { statusCode, json: JSON.parse(body) as Record<string, unknown> };
};
const manyYearsS = expAheadMaxMs / 1000;

describe('a claim', () => {
  let built: Built;
  before(async () => {
    built = await buildHttp();
  });
  after(() => built.close());

  const values = [
    null,
    true,
    false,
    '',
    'x',
    '1e3',
    [],
    [1],
    {},
    { a: 1 },
    [[]],
    0,
    -0,
    -1,
    0.5,
    1e9,
    1e12,
    1e15,
    1e17,
    1e300,
    -1e300,
    1.7976931348623157e308,
    8.64e12,
    8.64e12 + 1,
    Date.now(),
    Date.now() * 1000,
    '\u0000',
    '__proto__',
  ];
  for (const name of ['exp', 'nbf', 'iat', 'sub', 'rooms', 'name', 'tags', 'iss', 'aud', 'jti', 'cnf']) {
    it(`of any type and size is taken or refused, and never an internal error: ${name}`, async () => {
      for (const value of values) {
        const { statusCode, json } = await ask(built, { [name]: value });
        assert.ok(
          statusCode === 200 || ['unauthorized', 'not-this-room'].includes(String(json['code'])),
          `${name} ${JSON.stringify(value)}: ${statusCode}`,
        );
      }
      assert.ok(!built.lines.some((line) => line.includes('"level":50')));
    });
  }

  const absurd: Record<string, Record<string, unknown>> = {
    'exp in milliseconds': { exp: Date.now() + 600_000 },
    'exp in microseconds': { exp: Date.now() * 1000 },
    'exp for ever': { exp: 1e15 },
    'exp one day more than ten years ahead': { exp: nowS() + manyYearsS + 86_400 },
    'iat in milliseconds': { iat: Date.now() },
    'iat after exp': { exp: nowS() + 600, iat: nowS() + 601 },
    'iat before 1970': { iat: -1 },
    'iat as text': { iat: String(nowS()) },
    'nbf as text': { nbf: String(nowS()) },
    'nbf in milliseconds': { nbf: Date.now() },
  };
  for (const [what, claims] of Object.entries(absurd)) {
    it(`that is absurd is refused: ${what}`, async () => assert.equal((await ask(built, claims)).statusCode, 401));
  }

  it('of time may be years ahead and have a fraction', async () => {
    const base = Math.floor(built.clock.now() / 1000) + 600;
    for (const exp of [base, base + 0.95, base + 0.000_4, base + manyYearsS - 86_400]) {
      const { statusCode, json } = await ask(built, { exp, iat: base - 600.5, nbf: base - 700.25 });
      assert.equal(statusCode, 200);
      assert.equal(json['expiresAtMs'], Math.round(exp * 1000));
    }
  });

  it('exp with a fraction ends a token to the millisecond', async () => {
    const exp = Math.floor(built.clock.now() / 1000) + 60.05;
    assert.equal((await ask(built, { exp })).statusCode, 200);
    const leftMs = Math.round(exp * 1000) - built.clock.now();
    built.clock.advance(leftMs - 1);
    assert.equal((await ask(built, { exp })).statusCode, 200);
    built.clock.advance(1);
    assert.equal((await ask(built, { exp })).statusCode, 401);
  });
});

describe('why a token was refused', () => {
  const ec = makeEc();
  const cases: Record<string, { token?: string; cookie?: string; origin?: string }> = {
    absent: {},
    malformed: { token: 'garbage' },
    algorithm: { token: makeToken({ header: { alg: 'HS512' } }) },
    signature: { token: makeToken({ key: 'x'.repeat(32) }) },
    expired: { token: makeToken({ claims: { exp: nowS() - 5 } }) },
    early: { token: makeToken({ claims: { nbf: nowS() + 600 } }) },
    issuer: { token: makeToken({ claims: { iss: 'https://other.example.org', aud: 'ringside' } }) },
    audience: { token: makeToken({ claims: { iss: 'https://id.example.org', aud: 'other' } }) },
    dates: { token: makeToken({ claims: { exp: 1e15 } }) },
    claims: { token: makeToken({ claims: { sub: 'a b' } }) },
    room: { token: makeToken({ claims: { rooms: { 'match-8': 'viewer' } } }) },
    origin: { cookie: makeToken(), origin: 'https://evil.example' },
  };
  const environment = { TOKEN_ISSUER: 'https://id.example.org', TOKEN_AUDIENCE: 'ringside', LOG_LEVEL: 'debug' };
  const refused = (built: Built) => Object.entries(built.authenticator.refused).filter(([, count]) => count > 0);

  it('is counted, told in a line at level debug, and nothing of the token with it', async () => {
    for (const [reason, { token, cookie, origin }] of Object.entries(cases)) {
      const built = await buildHttp({
        environment: reason === 'issuer' || reason === 'audience' ? environment : { LOG_LEVEL: 'debug' },
      });
      const headers = {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(cookie === undefined ? {} : { cookie: `ringside=${cookie}`, origin: origin ?? '' }),
      };
      const { statusCode } = await built.app.inject({ method: 'GET', url, headers });
      assert.equal(statusCode, reason === 'room' || reason === 'origin' ? 403 : 401, reason);
      assert.deepEqual(refused(built), [[reason, 1]]);
      const lines = built.lines.filter((line) => line.includes('"msg":"token refused"'));
      assert.equal(lines.length, 1, reason);
      const source = cookie === undefined ? (token === undefined ? null : 'header') : 'cookie';
      const { reason: told, room, source: from } = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
      assert.deepEqual([told, room, from], [reason, 'match-7', source]);
      for (const part of (token ?? cookie ?? '').split('.').filter((one) => one !== '')) {
        assert.ok(!built.lines.join('').includes(part), `${reason}: ${part}`);
      }
      await built.close();
    }
  });

  it('is `key` where the set has no key for it, and `algorithm` where it may not choose that one', async () => {
    const keys = JSON.stringify({ keys: [jwkOf(ec.publicKey, { kid: 'a' })] });
    const built = await buildHttp({
      environment: { TOKEN_JWKS_URL: 'https://id.example.org/keys' },
      fetch: async () => new Response(keys),
    });
    const send = (token: string) =>
      built.app.inject({ method: 'GET', url, headers: { authorization: `Bearer ${token}` } });
    await send(makeToken({ alg: 'ES256', key: ec.privateKey, header: { kid: 'b' } }));
    await send(makeToken({ alg: 'RS256', key: makeRsa().privateKey, header: { kid: 'a' } }));
    await send(makeToken({ header: { kid: 'a' } }));
    assert.deepEqual(refused(built), [
      ['algorithm', 1],
      ['key', 2],
    ]);
    await built.close();
  });

  it('has a name for each, and no other', () => {
    assert.deepEqual([...tokenFaults].sort(), [...Object.keys(cases), 'key'].sort());
  });
});
