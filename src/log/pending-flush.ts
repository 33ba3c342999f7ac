/**
 * Sees to it that what came to rest is told: a counter's sum becomes state, and chat that was sampled is declared. Each
 * write that leaves something pending is followed, once after `countMs` or `declareMs`, by one `settle` for its room,
 * however many such writes there were meanwhile; and by another one where the log says that it came too early, because
 * another gateway's write moved what is due.
 *
 * Nothing depends on it but time: what is pending is safe in the log, and the next write or another gateway settles it.
 */

import { backoffMs } from '../backoff.ts';
import type { Clock, Timer } from '../clock.ts';
import type { RoomId } from '../model.ts';
import { declareMs, type RoomLog, sampledChat } from './room-log.ts';

export interface PendingFlushOptions {
  readonly log: Pick<RoomLog, 'settle'>;
  readonly clock: Clock;
  readonly countMs: number;
  /** Counters and rooms with sampled chat that may wait at a time. One more is settled at once instead. */
  readonly waitingMax: number;
}

/** Tries in all, while the log is unavailable. */
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
    // Trying again is for those with a place; without one, a log that is away would be asked without end.
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

  /** Whether somebody will settle: false where there is no place to wait. */
  #plan(room: RoomId, counter: string, attempt: number, ms: number): boolean {
    // Neither a room id nor a counter's name holds a space.
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
