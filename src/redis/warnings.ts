/**
 * What Redis refuses, in the log: one line per kind and minute, so that a full server under load becomes a line and not
 * a flood. A kind is the first word of Redis' own (OOM, READONLY, NOPERM, …).
 */

import type { Clock } from '../clock.ts';
import type { LinkLogger } from './client.ts';
import { isOfASlot } from './replies.ts';

const againMs = 60_000;

export class RedisWarnings {
  readonly #clock: Clock;
  readonly #logger: LinkLogger;
  /** When each kind was told last. Kinds are few: words of Redis, our functions, and what servers deny. */
  readonly #told = new Map<string, number>();

  constructor(clock: Clock, logger: LinkLogger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Redis refused a call or a subscription. */
  refused(error: Error, facts: object): void {
    // A slot that moves is the usual course.
    if (isOfASlot(error.message)) return;
    const kind = /^[A-Z]{3,}/.exec(error.message)?.[0] ?? 'ERR';
    if (this.#isDue(kind)) this.#logger.warn({ ...facts, redis: error.message }, `Redis refused a call: ${kind}`);
  }

  /** Redis answered what is a mistake of this program. */
  failed(error: Error, call: string): void {
    if (this.#isDue(`failed ${call}`)) this.#logger.error({ err: error, call }, 'unexpected Redis error');
  }

  /** What only an operator can put right. */
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
