/**
 * When a room is flushed: a group commit. The first entry after a quiet time goes out at once; while traffic lasts,
 * entries are gathered for `FLUSH_MS`, and a flush begins only after the one before it has ended. A write to a socket
 * costs the same whether it carries one entry or ten, so a room whose flush takes long gathers for longer: its flushes
 * then take at most two fifths of the process, and the gathering still ends within a bound that nobody sees.
 *
 * It is always in one of these modes:
 * - **quiet**: nothing waits.
 * - **due**: a flush is on its way, at once or when the gathering time is over.
 * - **flushing**: `flush` runs. A request meanwhile makes it due again.
 * - **closed**.
 */

import type { Clock, Timer } from '../clock.ts';

/** How long is gathered after a flush, as a multiple of how long it took. */
const restPerFlush = 1.5;
/** Gathering ends after this however long flushes take, unless `FLUSH_MS` is longer. */
export const gatherMsMax = 60;

export class Flush {
  readonly #clock: Clock;
  readonly #gatherMs: number;
  readonly #flush: () => Promise<void>;
  #mode: 'quiet' | 'due' | 'flushing' | 'closed' = 'quiet';
  #isWanted = false;
  #endedMs = Number.NEGATIVE_INFINITY;
  #tookMs = 0;
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
    const restMs = Math.min(this.#tookMs * restPerFlush, gatherMsMax);
    const waitMs = this.#endedMs + Math.max(this.#gatherMs, restMs) - this.#clock.now();
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
    const beganMs = this.#clock.now();
    await this.#flush();
    this.#endedMs = this.#clock.now();
    this.#tookMs = this.#endedMs - beganMs;
    if (this.#isClosed()) return;
    this.#mode = 'quiet';
    if (this.#isWanted) this.request();
  }

  /** Asked after an await, where the compiler would still believe the mode from before it. */
  #isClosed(): boolean {
    return this.#mode === 'closed';
  }
}
