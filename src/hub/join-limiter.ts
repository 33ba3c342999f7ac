/**
 * Limits how fast streams are opened on this node: a token bucket, so that a crowd that reconnects at once does not
 * slow down attached viewers. A client that finds no token gets a retry time of its own: the first free one, in order
 * of arrival. So the crowd returns as fast as it can be admitted, and no faster.
 *
 * Users come first: the second half of the bucket is closed to clients without a name, so they get what is left. Each
 * user and each network also has a bucket of its own, so that none takes the share of all.
 */

import type { Clock } from '../clock.ts';
import { fullAgainAt, waitForTokens } from '../token-bucket.ts';
import type { Asker } from './asker.ts';

export interface JoinLimiterSettings {
  /** Streams per second; as many may be opened at once after a quiet second. */
  readonly joinsPerSecond: number;
  readonly userStreamsMax: number;
}

/** The longest retry time, before `retryMs` is added. */
const longestMs = 60_000;
const burstMs = 1_000;
/** Within this time a user may open as many streams as it may have. */
const userBurstMs = 10_000;
/** The share of the rate that one network may take for clients without a token. */
const networkShare = 0.25;

export class JoinLimiter {
  readonly #clock: Clock;
  readonly #perToken: number;
  readonly #users: Buckets;
  readonly #networks: Buckets;
  /** When the shared bucket is full again. */
  #fullAtMs = 0;
  /** The latest retry time given out: to users, and to others. */
  readonly #promisedMs = { named: Number.NEGATIVE_INFINITY, unnamed: Number.NEGATIVE_INFINITY };

  constructor(clock: Clock, { joinsPerSecond, userStreamsMax }: JoinLimiterSettings) {
    this.#clock = clock;
    this.#perToken = 1_000 / joinsPerSecond;
    this.#users = new Buckets(userBurstMs / userStreamsMax, userBurstMs);
    this.#networks = new Buckets(this.#perToken / networkShare, burstMs);
  }

  /** Takes a token. Returns null, or the milliseconds to wait before a retry: `retryMs` at least. */
  pass({ key, isNamed, isPlatform }: Pick<Asker, 'key' | 'isNamed' | 'isPlatform'>, retryMs: number): number | null {
    const now = this.#clock.now();
    const own = isPlatform ? null : isNamed ? this.#users : this.#networks;
    const ownWaitMs = own?.waitMs(key, now) ?? 0;
    if (ownWaitMs > 0) return Math.round(ownWaitMs + retryMs);
    const openMs = isNamed ? burstMs : Math.max(burstMs / 2, this.#perToken);
    if (waitForTokens(this.#fullAtMs, now, this.#perToken, openMs) === 0) {
      this.#fullAtMs = fullAgainAt(this.#fullAtMs, now, this.#perToken);
      own?.take(key, now);
      return null;
    }
    const kind = isNamed ? 'named' : 'unnamed';
    const promisedMs = Math.min(Math.max(this.#promisedMs[kind], now) + this.#perToken, now + longestMs);
    this.#promisedMs[kind] = promisedMs;
    return Math.round(promisedMs - now + retryMs);
  }
}

/** A bucket per key. Full buckets are dropped, so there are only as many as the shared rate can use in that time. */
class Buckets {
  readonly #perTokenMs: number;
  readonly #burstMs: number;
  /** By key, in the order of the last token taken: when the bucket is full again. */
  readonly #fullAtMs = new Map<string, number>();

  constructor(perTokenMs: number, burstMs: number) {
    this.#perTokenMs = perTokenMs;
    this.#burstMs = Math.max(burstMs, perTokenMs);
  }

  /** Milliseconds until there is a token; 0 if there is one. */
  waitMs(key: string, now: number): number {
    return waitForTokens(this.#fullAtMs.get(key), now, this.#perTokenMs, this.#burstMs);
  }

  take(key: string, now: number): void {
    const fullAtMs = fullAgainAt(this.#fullAtMs.get(key), now, this.#perTokenMs);
    this.#fullAtMs.delete(key);
    this.#fullAtMs.set(key, fullAtMs);
    let looked = 0;
    for (const [old, oldFullAtMs] of this.#fullAtMs) {
      if (oldFullAtMs > now || looked === 2) return;
      this.#fullAtMs.delete(old);
      looked += 1;
    }
  }
}
