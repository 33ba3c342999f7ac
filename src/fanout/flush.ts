/**
 * Decides when a room is flushed: a group commit. The first entry after a quiet time is sent at once. Under traffic,
 * entries are batched for `FLUSH_MS`, and a flush begins only after the previous one has ended. A socket write costs
 * the same for one entry as for ten, so a room with long flushes is flushed less often. It uses about a quarter of the
 * process as long as the delay stays invisible, and never more than half.
 *
 * A flush sweeps over the room's viewers in slices and yields to the event loop after each. Under traffic the slices
 * are spread evenly over the time between two flushes. Each slice delivers everything published up to then. So a viewer
 * waits for its own turn only, not for the whole sweep as well.
 *
 * It is always in one of these modes:
 * - **quiet**: nothing waits.
 * - **due**: a sweep is scheduled, at once or at the end of the batching time.
 * - **sweeping**: between two slices. A request in this mode makes it due again.
 * - **closed**.
 */

import type { Clock, Timer } from '../clock.ts';

/** The time from flush to flush, as a multiple of one flush's work: a quarter of the process, up to `periodMsMax`. */
const periodPerWork = 4;
/** However long a flush takes, half of the process is left for joins, writes and reads. */
const periodPerWorkMin = 2;
/** A delay up to this is invisible. Keeping to a quarter of the process never defers a flush longer. */
export const periodMsMax = 64;
/** Viewers served before the sweep yields to the event loop: about 5 ms of work. */
export const sliceViewers = 512;

/** A sweep that has ended. */
export interface Swept {
  /** Excludes its pauses. */
  readonly workMs: number;
  /** Log time (Unix milliseconds) of the oldest entry that waited when the sweep began; null if none did. */
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
  /** The same, by the finer `performance.now()`, for metrics. The clock's milliseconds are enough for scheduling. */
  #watchedMs = 0;
  /** Log time of the oldest entry that waits for the next sweep, and of the oldest that this sweep began with. */
  #publishedMs: number | null = null;
  #handingMs: number | null = null;
  #slices = 0;
  /** The pause between two slices of this sweep. */
  #pauseMs = 0;
  /** The next sweep begins no earlier. */
  #restUntilMs = Number.NEGATIVE_INFINITY;
  /** The pause time that the last sweep allows, and its number of slices. */
  #restMs = 0;
  #lastSlices = 1;

  /** `begin` starts a sweep; each step is one viewer, and must not throw. `onSwept` is called at the end of a sweep. */
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

  /** Call when there is something to send. `publishedMs`: the log time, if it is an entry. */
  request(publishedMs: number | null = null): void {
    this.#publishedMs ??= publishedMs;
    if (this.#mode === 'sweeping') this.#isWanted = true;
    if (this.#mode !== 'quiet') return;
    const isQuiet = this.#clock.now() >= this.#restUntilMs;
    // After a quiet time nobody waits. Under traffic the slices share the pause time.
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
    // A sweep without pauses takes all of its rest at its end.
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

  /** A slice may close the flush, but the compiler still assumes the mode from before the slice. */
  #isClosed(): boolean {
    return this.#mode === 'closed';
  }
}
