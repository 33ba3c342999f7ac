/**
 * How fast streams may be opened on this node: a token bucket, so that a crowd that comes back at once does not slow
 * down those who are here. Who finds no token is given a time to come back, each its own: the first free one in the
 * order of their coming, so that the crowd returns as fast as it can be let in, and no faster.
 *
 * Users come first: clients without a name get what is left, as the second half of the bucket is closed to them. And
 * each user and each network has a bucket of its own, so that nobody takes what belongs to all.
 */

import type { Clock } from '../clock.ts';
import { fullAgainAt, waitForTokens } from '../token-bucket.ts';
import type { Asker } from './asker.ts';

export interface JoinLimiterSettings {
  /** Streams per second; as many may come at once after a quiet second. */
  readonly joinsPerSecond: number;
  readonly userStreamsMax: number;
}

/** The longest that anybody is sent away for. */
const longestMs = 60_000;
const burstMs = 1_000;
/** In this time a user may open as many streams as it may have. */
const userBurstMs = 10_000;
/** How much of the rate one network may take that shows no tokens. */
const networkShare = 0.25;

export class JoinLimiter {
  readonly #clock: Clock;
  readonly #perToken: number;
  readonly #users: Buckets;
  readonly #networks: Buckets;
  /** When the bucket of all is full again. */
  #fullAtMs = 0;
  /** Up to when the times of coming back are given out: to users, and to others. */
  readonly #promisedMs = { named: Number.NEGATIVE_INFINITY, unnamed: Number.NEGATIVE_INFINITY };

  constructor(clock: Clock, { joinsPerSecond, userStreamsMax }: JoinLimiterSettings) {
    this.#clock = clock;
    this.#perToken = 1_000 / joinsPerSecond;
    this.#users = new Buckets(userBurstMs / userStreamsMax, userBurstMs);
    this.#networks = new Buckets(this.#perToken / networkShare, burstMs);
  }

  /** Takes a token: null where there was one, else the milliseconds after which to come back, `retryMs` at least. */
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

/** A bucket per key. One that is full again is forgotten, so there are as many as the common rate fills in that time. */
class Buckets {
  readonly #perTokenMs: number;
  readonly #burstMs: number;
  /** By key, in the order of the last token taken: when the bucket is full again. */
  readonly #fullAtMs = new Map<string, number>();

  constructor(perTokenMs: number, burstMs: number) {
    this.#perTokenMs = perTokenMs;
    this.#burstMs = Math.max(burstMs, perTokenMs);
  }

  /** How long until there is a token; 0 where there is one. */
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
