/**
 * How fast streams may be opened on this node: a token bucket, so that a crowd that comes back at once does not slow
 * down those who are here. Who finds no token is given a time to come back, each its own: the first free one in the
 * order of their coming, so that the crowd returns as fast as it can be let in, and no faster.
 */

import type { Clock } from '../clock.ts';

export interface TurnstileSettings {
  /** Streams per second; as many may come at once after a quiet second. */
  readonly joinsPerSecond: number;
}

/** The longest that anybody is sent away for. */
const longestMs = 60_000;

export class Turnstile {
  readonly #clock: Clock;
  readonly #perToken: number;
  readonly #burstMs = 1_000;
  /** When the bucket would be empty again if nobody else came (the theoretical arrival time of GCRA). */
  #arrivalMs = Number.NEGATIVE_INFINITY;
  /** Up to when the times of coming back are given out. */
  #promisedMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, { joinsPerSecond }: TurnstileSettings) {
    this.#clock = clock;
    this.#perToken = 1_000 / joinsPerSecond;
  }

  /** Takes a token: null where there was one, else the milliseconds after which to come back, `retryMs` at least. */
  pass(retryMs: number): number | null {
    const now = this.#clock.now();
    const arrivalMs = Math.max(this.#arrivalMs, now) + this.#perToken;
    if (arrivalMs <= now + this.#burstMs) {
      this.#arrivalMs = arrivalMs;
      return null;
    }
    this.#promisedMs = Math.min(Math.max(this.#promisedMs, now) + this.#perToken, now + longestMs);
    return Math.round(this.#promisedMs - now + retryMs);
  }
}
