/**
 * Tokens made by hand on node:crypto, so that the tests share no code with what checks them, and can make those that no
 * library would.
 */

import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export const secret = 'vGh2Qk9xTq7ZrW4nLb8sYp3mJd6cUf1e';

type Alg = 'HS256' | 'RS256' | 'ES256' | 'EdDSA' | 'none';

export interface TokenParts {
  readonly alg?: Alg;
  /** HS256: the secret; otherwise the private key. */
  readonly key?: string | KeyObject;
  /** Added to the header, over what it has. */
  readonly header?: Readonly<Record<string, unknown>>;
  /** Added to the claims; `undefined` takes one away. */
  readonly claims?: Readonly<Record<string, unknown>>;
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
export const nowS = (): number => Math.floor(Date.now() / 1000);

/** A good token of `ann`, a viewer of `match-7`, for ten minutes, but for what `parts` changes. */
export function makeToken(parts: TokenParts = {}): string {
  const alg = parts.alg ?? 'HS256';
  const header = { alg, typ: 'JWT', ...parts.header };
  const claims = { sub: 'ann', rooms: { 'match-7': 'viewer' }, exp: nowS() + 600, ...parts.claims };
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${signature(alg, input, parts.key ?? secret)}`;
}

/** A token of `sub` with a role in `match-7`. */
export const tokenFor = (role: string, sub: string = role): string =>
  makeToken({ claims: { sub, rooms: { 'match-7': role } } });

function signature(alg: Alg, input: string, key: string | KeyObject): string {
  const bytes = Buffer.from(input);
  if (alg === 'none') return '';
  if (alg === 'HS256') return createHmac('sha256', key).update(bytes).digest('base64url');
  if (typeof key === 'string') throw new Error(`${alg} needs a private key.`);
  const signed =
    alg === 'ES256'
      ? sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' })
      : sign(alg === 'EdDSA' ? null : 'sha256', bytes, key);
  return signed.toString('base64url');
}

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}
export const makeRsa = (bits = 2048): KeyPair => generateKeyPairSync('rsa', { modulusLength: bits });
export const makeEc = (namedCurve = 'P-256'): KeyPair => generateKeyPairSync('ec', { namedCurve });
export const makeEd = (): KeyPair => generateKeyPairSync('ed25519');
export const pemOf = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }).toString();
export const jwkOf = (key: KeyObject, more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> => ({
  ...key.export({ format: 'jwk' }),
  ...more,
});
