/**
 * When a room is flushed: a group commit. The first entry after a quiet time goes out at once; while traffic lasts,
 * entries are gathered for `FLUSH_MS`, and a flush begins only after the one before it has ended. So a room costs a
 * viewer at most one write per `FLUSH_MS`, and a slow flush gathers more instead of falling behind.
 *
 * It is always in one of these modes:
 * - **quiet**: nothing waits.
 * - **due**: a flush is on its way, at once or when the gathering time is over.
 * - **flushing**: `flush` runs. A request meanwhile makes it due again.
 * - **closed**.
 */

import type { Clock, Timer } from '../clock.ts';

export class Flush {
  readonly #clock: Clock;
  readonly #gatherMs: number;
  readonly #flush: () => Promise<void>;
  #mode: 'quiet' | 'due' | 'flushing' | 'closed' = 'quiet';
  #isWanted = false;
  #endedMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | null = null;

  /** `flush` must not reject. */
  constructor(clock: Clock, gatherMs: number, flush: () => Promise<void>) {
    this.#clock = clock;
    this.#gatherMs = gatherMs;
    this.#flush = flush;
  }

  /** There is something to send. */
  request(): void {
    if (this.#mode === 'flushing') this.#isWanted = true;
    if (this.#mode !== 'quiet') return;
    this.#mode = 'due';
    const waitMs = this.#endedMs + this.#gatherMs - this.#clock.now();
    const run = (): void => void this.#run();
    this.#timer = waitMs > 0 ? this.#clock.after(waitMs, run) : this.#clock.soon(run);
  }

  close(): void {
    this.#mode = 'closed';
    this.#timer?.cancel();
  }

  async #run(): Promise<void> {
    if (this.#mode !== 'due') return;
    this.#mode = 'flushing';
    this.#isWanted = false;
    await this.#flush();
    this.#endedMs = this.#clock.now();
    if (this.#isClosed()) return;
    this.#mode = 'quiet';
    if (this.#isWanted) this.request();
  }

  /** Asked after an await, where the compiler would still believe the mode from before it. */
  #isClosed(): boolean {
    return this.#mode === 'closed';
  }
}
