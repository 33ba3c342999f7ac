/**
 * Sees to it that a counter which came to rest becomes state: each write that leaves a sum pending is followed, once
 * after `countMs`, by one `settle` for its room and counter, however many such writes there were meanwhile.
 *
 * Nothing depends on it but time: the sum is safe in the log, and the next write or another gateway settles it too.
 */

import type { Clock, Timer } from '../clock.ts';
import type { RoomLog } from '../log/room-log.ts';
import type { RoomId } from '../signal.ts';

export interface SettlerOptions {
  readonly log: Pick<RoomLog, 'settle'>;
  readonly clock: Clock;
  readonly countMs: number;
  /** Counters that may wait at a time. One more is settled at once instead. */
  readonly waitingMax: number;
}

/** Tries in all, while the log is away; each waits twice as long as the one before. */
const triesMax = 6;

export class Settler {
  readonly #options: SettlerOptions;
  readonly #waiting = new Map<string, Timer>();
  #isClosed = false;

  constructor(options: SettlerOptions) {
    this.#options = options;
  }

  /** Counters that wait now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  settleLater(room: RoomId, counter: string): void {
    this.#plan(room, counter, 1);
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#waiting.values()) timer.cancel();
    this.#waiting.clear();
  }

  #plan(room: RoomId, counter: string, attempt: number): void {
    // Neither a room id nor a counter's name holds a space.
    const key = `${room} ${counter}`;
    if (this.#isClosed || this.#waiting.has(key)) return;
    const { clock, countMs, waitingMax } = this.#options;
    if (this.#waiting.size >= waitingMax) {
      // Trying again is for those with a place; without one, a log that is away would be asked without end.
      void this.#settle(room, counter, triesMax);
      return;
    }
    // A retry is spread over half its time either way, so that all rooms do not come at once when the log is back.
    const ms = attempt === 1 ? countMs : countMs * 2 ** (attempt - 1) * (0.5 + Math.random());
    this.#waiting.set(
      key,
      clock.after(ms, () => {
        this.#waiting.delete(key);
        void this.#settle(room, counter, attempt);
      }),
    );
  }

  async #settle(room: RoomId, counter: string, attempt: number): Promise<void> {
    try {
      await this.#options.log.settle(room, counter);
    } catch {
      if (attempt < triesMax) this.#plan(room, counter, attempt + 1);
    }
  }
}
