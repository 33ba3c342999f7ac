/**
 * Settles what is pending after the last write: a counter's sum becomes state, and sampled-out chat is declared. A
 * write that leaves something pending schedules one `settle` for its room after `countMs` or `declareMs`. Further such
 * writes until then schedule none. If the log answers that it is too early, because another gateway's write moved the
 * due time, `settle` is called again.
 *
 * A missed `settle` costs only time: the log keeps what is pending, and the next write or another gateway settles it.
 */

import { backoffMs } from '../backoff.ts';
import type { Clock, Timer } from '../clock.ts';
import type { RoomId } from '../model.ts';
import { declareMs, type RoomLog, sampledChat } from './room-log.ts';

export interface PendingFlushOptions {
  readonly log: Pick<RoomLog, 'settle'>;
  readonly clock: Clock;
  readonly countMs: number;
  /** Counters and rooms with sampled chat that may wait at a time. One more is settled at once. */
  readonly waitingMax: number;
}

/** Attempts in all while the log is unavailable. */
const triesMax = 6;

export class PendingFlush {
  readonly #options: PendingFlushOptions;
  readonly #waiting = new Map<string, Timer>();
  #isClosed = false;

  constructor(options: PendingFlushOptions) {
    this.#options = options;
  }

  /** How many wait now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** `counter`: a counter's name, or `sampledChat`. */
  settleLater(room: RoomId, counter: string): void {
    // Only those with a place are retried: without that bound, an unavailable log would be called without end.
    if (!this.#plan(room, counter, 1, this.#pauseMs(counter))) void this.#settle(room, counter, triesMax);
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#waiting.values()) timer.cancel();
    this.#waiting.clear();
  }

  #pauseMs(counter: string): number {
    return counter === sampledChat ? declareMs : this.#options.countMs;
  }

  /** Returns false if `waitingMax` is reached, so nothing is scheduled. */
  #plan(room: RoomId, counter: string, attempt: number, ms: number): boolean {
    // Neither room ids nor counter names contain a space.
    const key = `${room} ${counter}`;
    if (this.#isClosed || this.#waiting.has(key)) return true;
    if (this.#waiting.size >= this.#options.waitingMax) return false;
    this.#waiting.set(
      key,
      this.#options.clock.after(ms, () => {
        this.#waiting.delete(key);
        void this.#settle(room, counter, attempt);
      }),
    );
    return true;
  }

  async #settle(room: RoomId, counter: string, attempt: number): Promise<void> {
    try {
      const leftMs = await this.#options.log.settle(room, counter);
      if (leftMs > 0) this.#plan(room, counter, 1, leftMs);
    } catch {
      if (attempt >= triesMax) return;
      const pauses = { firstMs: 2 * this.#pauseMs(counter), longestMs: Number.POSITIVE_INFINITY };
      this.#plan(room, counter, attempt + 1, backoffMs(attempt, pauses));
    }
  }
}
