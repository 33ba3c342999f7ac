/**
 * The public keys that check tokens: one from the settings, or a JSON Web Key Set (RFC 7517) fetched from the platform's
 * identity provider. A key counts only for its own algorithm, so a token can never choose how it is checked.
 *
 * A key set promises: one fetch at a time; a token with an unknown key id makes it fetch again at most every
 * `refetchMs`, whatever ids are tried; no unknown id is remembered; if a fetch fails, the present keys stay.
 */

import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { Refusal } from '../errors.ts';

export type KeyAlgorithm = 'RS256' | 'ES256' | 'EdDSA';
export const keyAlgorithms: readonly KeyAlgorithm[] = ['RS256', 'ES256', 'EdDSA'];

/** A key in the one form that verifiers are cached by: SPKI PEM. */
export interface PublicKey {
  readonly algorithm: KeyAlgorithm;
  readonly pem: string;
}

/** RFC 7518, section 3.3: a key of 2048 bits or larger must be used. */
const rsaBitsMin = 2048;

/** The algorithm of a key; null for a kind, curve or size that this gateway does not support. */
function algorithmOf(key: KeyObject): KeyAlgorithm | null {
  const details = key.asymmetricKeyDetails;
  switch (key.asymmetricKeyType) {
    case 'rsa':
      // With the exponent 1 a signature is its own message.
      return (details?.modulusLength ?? 0) >= rsaBitsMin && (details?.publicExponent ?? 1n) > 1n ? 'RS256' : null;
    case 'ec':
      return details?.namedCurve === 'prime256v1' ? 'ES256' : null;
    case 'ed25519':
      return 'EdDSA';
    default:
      return null;
  }
}

function toPublicKey(key: KeyObject): PublicKey | null {
  const algorithm = algorithmOf(key);
  return algorithm && { algorithm, pem: key.export({ type: 'spki', format: 'pem' }).toString() };
}

/** Reads a public key or certificate in PEM. Null for anything else, a private key among them. */
export function readPublicKey(pem: string): PublicKey | null {
  // Node silently derives the public key from a private one; a private key here is a mistake to report.
  if (/PRIVATE KEY/.test(pem)) return null;
  try {
    return toPublicKey(createPublicKey(pem.trim()));
  } catch {
    return null;
  }
}

/** Reads one member of a key set; null if it is not meant or not fit for checking tokens. */
function readWebKey(jwk: unknown): { readonly kid: string | null; readonly key: PublicKey } | null {
  if (typeof jwk !== 'object' || jwk === null) return null;
  const { kid, use, alg, key_ops: operations, ...material } = jwk as Record<string, unknown>;
  if (use !== undefined && use !== 'sig') return null;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return null;
  // A set that publishes private or shared keys has none left to trust.
  if ('d' in material || 'k' in material) return null;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > kidLengthMax)) return null;
  try {
    const key = toPublicKey(createPublicKey({ key: material as JsonWebKey, format: 'jwk' }));
    if (key === null) return null;
    // RFC 9864 gave EdDSA with this curve the name Ed25519.
    const isMeant = alg === undefined || alg === key.algorithm || (alg === 'Ed25519' && key.algorithm === 'EdDSA');
    return isMeant ? { kid: kid ?? null, key } : null;
  } catch {
    return null;
  }
}

const kidLengthMax = 256;
const keysMax = 100;
const answerBytesMax = 262_144;
const fetchMs = 5_000;
/** How often an unknown key id may lead to a fetch. */
export const refetchMs = 30_000;
/** The same before the first success, when every client is refused. */
export const firstRetryMs = 2_000;
/** After this time the set is fetched again even if every id is known, so that a withdrawn key stops counting. */
export const freshMs = 600_000;

export interface KeySetOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly fetch?: typeof fetch;
  /** Called when a fetch failed. `reason` never holds the address, which may hold a secret. */
  readonly onFailure?: (reason: string) => void;
}

export class KeySet {
  readonly #options: KeySetOptions;
  readonly #fetch: typeof fetch;
  readonly #closing = new AbortController();
  #byId = new Map<string, PublicKey>();
  #all: readonly PublicKey[] = [];
  #triedAtMs = Number.NEGATIVE_INFINITY;
  #loadedAtMs = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | null = null;

  constructor(options: KeySetOptions) {
    this.#options = options;
    this.#fetch = options.fetch ?? fetch;
  }

  /**
   * The key for a token's `kid` and `alg`; null if there is none. A token without an id gets the only key of its
   * algorithm, if there is only one.
   * @throws {Refusal} `overloaded` until the first successful fetch: the token may be valid.
   */
  async find(kid: unknown, alg: unknown): Promise<PublicKey | null> {
    if (kid !== undefined && (typeof kid !== 'string' || kid === '' || kid.length > kidLengthMax)) return null;
    if (!keyAlgorithms.some((name) => name === alg)) return null;
    const now = this.#options.clock.now();
    const isFresh = now - this.#loadedAtMs < freshMs;
    let found = this.#lookUp(kid, alg);
    if (found !== null && !isFresh && this.#mayTry(now)) void this.#load();
    if (found === null) {
      if (this.#loading !== null) await this.#loading;
      else if (this.#mayTry(now)) await this.#load();
      found = this.#lookUp(kid, alg);
    }
    if (found === null && this.#loadedAtMs === Number.NEGATIVE_INFINITY) {
      throw new Refusal('overloaded', 'The token keys are unavailable.', {
        retryAfterS: Math.ceil(firstRetryMs / 1000),
      });
    }
    return found;
  }

  /** Aborts a pending fetch. The present keys stay. */
  close(): void {
    this.#closing.abort();
  }

  #lookUp(kid: string | undefined, alg: unknown): PublicKey | null {
    if (kid === undefined) {
      const fitting = this.#all.filter((key) => key.algorithm === alg);
      return fitting.length === 1 ? (fitting[0] ?? null) : null;
    }
    const key = this.#byId.get(kid);
    return key !== undefined && key.algorithm === alg ? key : null;
  }

  #mayTry(now: number): boolean {
    const waitMs = this.#loadedAtMs === Number.NEGATIVE_INFINITY ? firstRetryMs : refetchMs;
    return now - this.#triedAtMs >= waitMs && !this.#closing.signal.aborted;
  }

  /** One fetch at a time; concurrent callers wait for the same one. Never rejects. */
  #load(): Promise<void> {
    this.#loading ??= this.#loadOnce().finally(() => {
      this.#loading = null;
    });
    return this.#loading;
  }

  async #loadOnce(): Promise<void> {
    this.#triedAtMs = this.#options.clock.now();
    try {
      const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(fetchMs)]);
      // A redirect could lead from https to http, where anybody on the way could inject keys.
      const response = await this.#fetch(this.#options.url, {
        signal,
        redirect: 'error',
        headers: { accept: 'application/json' },
      });
      this.#take(await readKeys(response));
      this.#loadedAtMs = this.#options.clock.now();
    } catch (error) {
      this.#options.onFailure?.(error instanceof KeySetError ? error.message : 'unreachable');
    }
  }

  #take(keys: readonly unknown[]): void {
    const byId = new Map<string, PublicKey>();
    const all: PublicKey[] = [];
    for (const jwk of keys.slice(0, keysMax)) {
      const read = readWebKey(jwk);
      if (read === null) continue;
      all.push(read.key);
      if (read.kid !== null) byId.set(read.kid, read.key);
    }
    if (all.length === 0) throw new KeySetError('no key for RS256, ES256 or EdDSA');
    this.#byId = byId;
    this.#all = all;
  }
}

class KeySetError extends Error {}

async function readKeys(response: Response): Promise<readonly unknown[]> {
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw new KeySetError(`status ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop early cancels the body, so no more than this is ever read.
  for await (const chunk of response.body) {
    bytes += chunk.byteLength;
    if (bytes > answerBytesMax) throw new KeySetError(`more than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new KeySetError('not JSON');
  }
  const keys = typeof parsed === 'object' && parsed !== null ? (parsed as { keys?: unknown }).keys : undefined;
  if (!Array.isArray(keys)) throw new KeySetError('no list of keys');
  return keys;
}
