/**
 * Logs refusals of Redis: one line per kind and minute, so that a full server under load causes no flood. A kind is the
 * first word of Redis' message (OOM, READONLY, NOPERM, …).
 */

import type { Clock } from '../clock.ts';
import type { LinkLogger } from './client.ts';
import { isOfASlot } from './replies.ts';

const againMs = 60_000;

export class RedisWarnings {
  readonly #clock: Clock;
  readonly #logger: LinkLogger;
  /** When each kind was last logged. Kinds are few: words of Redis, our functions, and denied commands. */
  readonly #told = new Map<string, number>();

  constructor(clock: Clock, logger: LinkLogger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Redis refused a call or a subscription. */
  refused(error: Error, facts: object): void {
    // A moving slot is normal.
    if (isOfASlot(error.message)) return;
    const kind = /^[A-Z]{3,}/.exec(error.message)?.[0] ?? 'ERR';
    if (this.#isDue(kind)) this.#logger.warn({ ...facts, redis: error.message }, `Redis refused a call: ${kind}`);
  }

  /** Redis answered with an error that only a bug of this program explains. */
  failed(error: Error, call: string): void {
    if (this.#isDue(`failed ${call}`)) this.#logger.error({ err: error, call }, 'unexpected Redis error');
  }

  /** Only an operator can repair this. */
  warned(message: string): void {
    if (this.#isDue(message)) this.#logger.error({}, message);
  }

  #isDue(kind: string): boolean {
    const now = this.#clock.now();
    const isDue = now - (this.#told.get(kind) ?? Number.NEGATIVE_INFINITY) >= againMs;
    if (isDue) this.#told.set(kind, now);
    return isDue;
  }
}
