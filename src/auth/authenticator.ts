/**
 * Resolves the caller. Finds the token, has `@fastify/jwt` check its signature and times once, the same way for every
 * route, and reads the claims for one room. Decides nothing about what a role may do.
 *
 * A client with a bad token learns only that it is bad: every fault gets the same refusal, and is counted by its reason.
 */

import cookie from '@fastify/cookie';
import jwt, { type FastifyJWTOptions } from '@fastify/jwt';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { Identity, RoomId, Speaker } from '../model.ts';
import { originOf } from '../origin.ts';
import { type Settings, SettingsError } from '../settings.ts';
import { type Claims, readClaims, roleIn } from './claims.ts';
import { cookieName } from './cookies.ts';
import { KeySet, keyAlgorithms, readPublicKey } from './key-set.ts';
import { KnownTokens } from './known-tokens.ts';
import { faultOf, type TokenFault, TokenRefusal, tokenFaults, unauthorizedDetail } from './token-refusal.ts';

/** A longer token is refused unread. With a name, tags and some twenty rooms one has about 1,500 characters. */
const tokenLengthMax = 4096;
/** Verified tokens that are cached until they expire. */
const rememberedMax = 5000;

type TokenSource = 'header' | 'cookie' | 'query';

export interface IdentityOptions {
  readonly settings: Settings;
  readonly clock: Clock;
  /** The HS256 secret if no key is configured: random, made at the start, for the demo only. */
  readonly ownSecret: string;
  readonly fetch?: typeof fetch;
}

export interface FoundToken {
  readonly token: string;
  readonly source: TokenSource;
}

export interface Authenticator {
  /** Tokens refused since the start, by reason. */
  readonly refused: Readonly<Record<TokenFault, number>>;
  /**
   * Who is asking, for one room.
   * @throws {Refusal} `unauthorized`, `not-this-room`, `origin-refused`, or `overloaded` where no key can be had.
   */
  identify(request: FastifyRequest, room: RoomId): Promise<Identity>;
  /** The user that the cookie alone names, whatever else the request says; null if there is none, or it is not accepted. */
  identifyByCookie(request: FastifyRequest, room: RoomId): Promise<Identity | null>;
}

/**
 * The token as sent, checked or not; null if none was sent. A token that the page sends wins over the cookie, which the
 * browser adds on its own.
 */
export function findToken(request: FastifyRequest): FoundToken | null {
  const { authorization } = request.headers;
  // Another scheme, such as a staging site's Basic, is somebody else's business.
  if (authorization !== undefined && /^bearer(?: |$)/i.test(authorization)) {
    return { token: authorization.slice('bearer '.length).trim(), source: 'header' };
  }
  const query = isSafe(request) ? (request.query as Record<string, unknown> | undefined) : undefined;
  const fromQuery = query?.['access_token'];
  // Given twice it is a list, and none of them counts.
  if (fromQuery !== undefined) return { token: typeof fromQuery === 'string' ? fromQuery : '', source: 'query' };
  return cookieIn(request);
}

function cookieIn(request: FastifyRequest): FoundToken | null {
  const token = request.cookies[cookieName];
  return token === undefined ? null : { token, source: 'cookie' };
}

/** A writer must have a user id. @throws {Refusal} `unauthorized` without a token. */
export function speakerOf({ id, name, role }: Identity): Speaker {
  if (id === null) throw new Refusal('unauthorized', unauthorizedDetail);
  return { id, name, role };
}

/**
 * Registers the token check on the root instance, before any route that needs it.
 * @throws {SettingsError} if this gateway cannot use the key in the settings.
 */
export async function registerIdentity(app: FastifyInstance, options: IdentityOptions): Promise<Authenticator> {
  const { settings, clock } = options;
  const leewayMs = settings.tokenLeewayS * 1000;
  const required = ['exp', 'sub'];
  // An absent claim would pass the check of its value.
  if (settings.tokenIssuer !== null) required.push('iss');
  if (settings.tokenAudience !== null) required.push('aud');
  /** What of a request is checked; a session route checks two tokens in turn. */
  const checked = new WeakMap<FastifyRequest, CheckedToken>();
  const { secret, algorithms } = chooseKey(app, options, checked);
  await app.register(cookie);
  await app.register(jwt, {
    secret,
    decode: { complete: true },
    verify: {
      algorithms: [...algorithms],
      requiredClaims: required,
      ...(settings.tokenIssuer === null ? {} : { allowedIss: settings.tokenIssuer }),
      ...(settings.tokenAudience === null ? {} : { allowedAud: settings.tokenAudience }),
      clockTolerance: leewayMs,
      complete: true,
      extractToken: (request) => checked.get(request)?.token,
    },
  });

  const remembered = new KnownTokens<{ readonly claims: Claims; readonly isKeyCurrent: IsKeyCurrent }>(rememberedMax);
  const check = async (request: FastifyRequest, room: RoomId, found: FoundToken | null): Promise<Identity> => {
    if (found === null) {
      if (settings.anonymousViewers) return anonymous;
      throw new TokenRefusal('absent');
    }
    if (found.source === 'cookie') checkOrigin(request, settings.corsOrigins);
    if (found.token === '' || found.token.length > tokenLengthMax) throw new TokenRefusal('malformed');
    const token: CheckedToken = { token: found.token, isKeyCurrent: null };
    checked.set(request, token);
    const known = remembered.get(found.token);
    const isKnown = known !== undefined && (known.isKeyCurrent === null || (await known.isKeyCurrent()));
    const claims = isKnown ? known.claims : readClaims(await verify(request), clock.now());
    const expiresAtMs = claims.expMs + leewayMs;
    if (clock.now() >= expiresAtMs) {
      remembered.delete(found.token);
      throw new TokenRefusal('expired');
    }
    if (!isKnown) remembered.add(found.token, { claims, isKeyCurrent: token.isKeyCurrent });
    const role = roleIn(claims, room);
    if (role === null) throw new TokenRefusal('room', 'not-this-room', `The token has no role in the room ${room}.`);
    const { expMs: _expMs, rooms, ...user } = claims;
    return { ...user, role, expiresAtMs, namesRoom: Object.hasOwn(rooms, room) };
  };
  return countRefused(check);
}

/** Counts what is refused. */
function countRefused(
  check: (request: FastifyRequest, room: RoomId, found: FoundToken | null) => Promise<Identity>,
): Authenticator {
  const refused = Object.fromEntries(tokenFaults.map((fault) => [fault, 0])) as Record<TokenFault, number>;
  return {
    refused,
    async identify(request, room) {
      const found = findToken(request);
      try {
        return await check(request, room, found);
      } catch (error) {
        if (error instanceof TokenRefusal) {
          refused[error.fault] += 1;
          request.log.debug({ room, reason: error.fault, source: found?.source ?? null }, 'token refused');
        }
        throw error;
      }
    },
    async identifyByCookie(request, room) {
      const found = cookieIn(request);
      if (found === null) return null;
      return check(request, room, found).catch((error: unknown) => {
        if (error instanceof Refusal) return null;
        throw error;
      });
    },
  };
}

const anonymous: Identity = { id: null, name: null, role: 'viewer', tags: [], expiresAtMs: Number.POSITIVE_INFINITY };
const isSafe = (request: FastifyRequest): boolean => request.method === 'GET' || request.method === 'HEAD';

/** Whether a key may still be used: one of a set may be withdrawn. Null for the one key of the settings. */
type IsKeyCurrent = (() => Promise<boolean>) | null;

interface CheckedToken {
  readonly token: string;
  isKeyCurrent: IsKeyCurrent;
}

interface ChosenKey {
  readonly secret: FastifyJWTOptions['secret'];
  readonly algorithms: readonly ('HS256' | (typeof keyAlgorithms)[number])[];
}

function chooseKey(
  app: FastifyInstance,
  { settings, clock, ownSecret, fetch }: IdentityOptions,
  checked: WeakMap<FastifyRequest, CheckedToken>,
): ChosenKey {
  const narrowed = <Name extends string>(able: readonly Name[], name: string): readonly Name[] => {
    const allowed = able.filter(
      (one) => settings.tokenAlgorithms.length === 0 || settings.tokenAlgorithms.includes(one),
    );
    if (allowed.length > 0) return allowed;
    throw new SettingsError(`TOKEN_ALGORITHMS must include ${able.join(' or ')}, the algorithm of ${name}.`);
  };
  if (settings.tokenPublicKey !== null) {
    const key = readPublicKey(settings.tokenPublicKey);
    if (key === null) {
      throw new SettingsError(
        'TOKEN_PUBLIC_KEY must be a public key in PEM: RSA of at least 2048 bits, P-256 or Ed25519.',
      );
    }
    return { secret: { public: key.pem }, algorithms: narrowed([key.algorithm], 'TOKEN_PUBLIC_KEY') };
  }
  if (settings.tokenJwksUrl !== null) {
    const algorithms = narrowed(keyAlgorithms, 'TOKEN_JWKS_URL');
    const keySet = new KeySet({
      url: settings.tokenJwksUrl,
      clock,
      ...(fetch === undefined ? {} : { fetch }),
      onFailure: (reason) => app.log.warn(`TOKEN_JWKS_URL fetch failed: ${reason}; keeping the last keys`),
    });
    app.addHook('onClose', async () => keySet.close());
    const find = async (request: FastifyRequest, token: { header?: unknown }): Promise<string> => {
      const { kid, alg } = token.header as { kid?: unknown; alg?: unknown };
      if (!algorithms.some((name) => name === alg)) throw new TokenRefusal('algorithm');
      const key = await keySet.find(kid, alg);
      if (key === null) throw new TokenRefusal('key');
      const its = checked.get(request);
      if (its !== undefined) its.isKeyCurrent = async () => (await keySet.find(kid, alg))?.pem === key.pem;
      return key.pem;
    };
    return { secret: { public: find as Extract<FastifyJWTOptions['secret'], () => unknown> }, algorithms };
  }
  const secret = settings.tokenSecret ?? ownSecret;
  // A public key is no secret: every reader of it could sign.
  if (/-----BEGIN |"kty"/.test(secret)) {
    throw new SettingsError('TOKEN_SECRET must be a random secret; a public key belongs in TOKEN_PUBLIC_KEY.');
  }
  return { secret, algorithms: narrowed(['HS256'], settings.tokenSecret === null ? 'the demo key' : 'TOKEN_SECRET') };
}

interface Verified {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** The claims of a token whose signature, times, issuer and audience are right. */
async function verify(request: FastifyRequest): Promise<Verified['payload']> {
  let verified: Verified;
  try {
    verified = await request.jwtVerify<Verified>();
  } catch (error) {
    if (error instanceof Refusal) throw error;
    throw new TokenRefusal(faultOf(error));
  }
  // RFC 7515, section 4.1.11: critical headers must be understood, and this gateway understands none. The library lets an
  // empty list pass.
  if (Object.hasOwn(verified.header, 'crit')) throw new TokenRefusal('malformed');
  return verified.payload;
}

/**
 * A browser sends a cookie with requests of any page, so a cookie is accepted only from the gateway's own pages and those
 * of CORS_ORIGINS. A write must name its origin. A read may omit it, because a page of another origin cannot see the answer.
 */
function checkOrigin(request: FastifyRequest, allowed: readonly string[]): void {
  const { origin, referer, host } = request.headers;
  const from = origin ?? (isSafe(request) ? undefined : referer);
  if (from === undefined && isSafe(request)) return;
  const its = from === undefined ? null : originOf(from);
  if (its !== null) {
    // Behind a proxy that ends TLS the gateway cannot know its own scheme; host and port it knows.
    const isOwn = /^https?:/.test(its) && its.replace(/^https?:\/\//, '') === host?.toLowerCase();
    if (isOwn || allowed.includes(its)) return;
  }
  const detail = 'Send the token as `Authorization: Bearer`, or call from an origin in CORS_ORIGINS.';
  throw new TokenRefusal('origin', 'origin-refused', detail);
}
