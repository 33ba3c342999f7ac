/**
 * Decides when a room is flushed: a group commit. The first entry after a quiet time is sent at once. Under traffic,
 * entries are batched for `FLUSH_MS`, and a flush begins only after the previous one has ended. A write to a socket costs
 * the same whether it carries one entry or ten, so a room whose flush takes long is flushed less often: it takes about a
 * quarter of the process if the delay stays invisible, and never more than half.
 *
 * A flush sweeps over the room's viewers, a slice at a time, and yields to the event loop after each. Under traffic the
 * slices are spread evenly over the time between two flushes, and each delivers everything published up to then. So every
 * viewer waits for its turn, and none waits for all the others as well.
 *
 * It is always in one of these modes:
 * - **quiet**: nothing waits.
 * - **due**: a sweep is scheduled, at once or when the batching time is over.
 * - **sweeping**: between two slices. A request meanwhile makes it due again.
 * - **closed**.
 */

import type { Clock, Timer } from '../clock.ts';

/** The time from flush to flush, as a multiple of the work that one takes: a quarter of the process, if that is quick enough. */
const periodPerWork = 4;
/** However long it takes, half of the process is left for joins, writes and reads. */
const periodPerWorkMin = 2;
/** A delay within this is invisible; a flush is not deferred longer, however much work it is. */
export const periodMsMax = 64;
/** Viewers served before the sweep yields to the event loop: some 5 ms of work. */
export const sliceViewers = 512;

/** A sweep that has ended. */
export interface Swept {
  /** Without its pauses. */
  readonly workMs: number;
  /** When the log took the oldest entry that there was as it began (Unix milliseconds); null where there was none. */
  readonly publishedMs: number | null;
}

export class Flush {
  readonly #clock: Clock;
  readonly #gatherMs: number;
  readonly #begin: () => Iterator<unknown>;
  readonly #onSwept: (swept: Swept) => void;
  #mode: 'quiet' | 'due' | 'sweeping' | 'closed' = 'quiet';
  #isWanted = false;
  #timer: Timer | null = null;
  #sweep: Iterator<unknown> | null = null;
  #workMs = 0;
  /** The same by a finer watch; the clock's milliseconds are enough to go by. */
  #watchedMs = 0;
  /** When the log took the oldest entry that no sweep has begun with, and of those that this sweep began with. */
  #publishedMs: number | null = null;
  #handingMs: number | null = null;
  #slices = 0;
  /** Between two slices of this sweep. */
  #pauseMs = 0;
  /** Until when the next sweep has time. */
  #restUntilMs = Number.NEGATIVE_INFINITY;
  /** What the last sweep left for pauses, and how many slices it had. */
  #restMs = 0;
  #lastSlices = 1;

  /**
   * `begin` starts a sweep; each of its steps is one viewer, and must not throw. `onSwept` is told of each sweep that
   * has ended.
   */
  constructor(
    clock: Clock,
    gatherMs: number,
    begin: () => Iterator<unknown>,
    onSwept: (swept: Swept) => void = () => undefined,
  ) {
    this.#clock = clock;
    this.#gatherMs = gatherMs;
    this.#begin = begin;
    this.#onSwept = onSwept;
  }

  /** There is something to send. `publishedMs`: when the log took it, for an entry. */
  request(publishedMs: number | null = null): void {
    this.#publishedMs ??= publishedMs;
    if (this.#mode === 'sweeping') this.#isWanted = true;
    if (this.#mode !== 'quiet') return;
    const isQuiet = this.#clock.now() >= this.#restUntilMs;
    // After a quiet time nobody is to wait; while traffic lasts, the slices share out the time that there is.
    this.#pauseMs = isQuiet ? 0 : this.#restMs / this.#lastSlices;
    this.#mode = 'due';
    this.#wait(isQuiet ? 0 : this.#restUntilMs - this.#clock.now(), () => this.#start());
  }

  close(): void {
    this.#mode = 'closed';
    this.#timer?.cancel();
    this.#sweep = null;
  }

  #start(): void {
    this.#mode = 'sweeping';
    this.#isWanted = false;
    this.#handingMs = this.#publishedMs;
    this.#publishedMs = null;
    this.#sweep = this.#begin();
    this.#workMs = 0;
    this.#watchedMs = 0;
    this.#slices = 0;
    this.#slice();
  }

  #slice(): void {
    const beganMs = this.#clock.now();
    const watchedFromMs = performance.now();
    let handed = 0;
    let isDone = false;
    while (handed < sliceViewers && !isDone) {
      isDone = this.#sweep?.next().done ?? true;
      handed += 1;
    }
    this.#workMs += this.#clock.now() - beganMs;
    this.#watchedMs += performance.now() - watchedFromMs;
    this.#slices += 1;
    if (this.#isClosed()) return;
    if (isDone) this.#finish();
    else this.#wait(this.#pauseMs, () => this.#slice());
  }

  #finish(): void {
    this.#sweep = null;
    this.#onSwept({ workMs: this.#watchedMs, publishedMs: this.#handingMs });
    const unseenMs = Math.min(this.#workMs * periodPerWork, periodMsMax);
    const periodMs = Math.max(this.#gatherMs, unseenMs, this.#workMs * periodPerWorkMin);
    this.#restMs = Math.max(0, periodMs - this.#workMs);
    this.#lastSlices = this.#slices;
    // A sweep without pauses has all of its rest behind it.
    const restMs = this.#pauseMs === 0 ? this.#restMs : this.#restMs / this.#slices;
    this.#restUntilMs = this.#clock.now() + restMs;
    this.#mode = 'quiet';
    if (this.#isWanted) this.request();
  }

  #wait(ms: number, task: () => void): void {
    const run = (): void => {
      if (this.#mode !== 'closed') task();
    };
    this.#timer = ms > 0 ? this.#clock.after(ms, run) : this.#clock.soon(run);
  }

  /** Asked after a slice, in which anything may have happened, though the compiler believes the mode from before it. */
  #isClosed(): boolean {
    return this.#mode === 'closed';
  }
}
