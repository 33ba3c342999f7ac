/**
 * The viewer count as viewers see it: the sums that the log publishes, smoothed by this node alone.
 *
 * - **A higher count** is shown when it has held for `riseMs`: a viewer that moves between nodes may be in the sum
 *   twice. It is shown at once while every viewer is on this node.
 * - **A lower count** is shown as the maximum of the last `graceMs`: a viewer that reconnects meanwhile leaves no dip.
 * - A change is shown at most once per `riseMs`.
 * - A node that begins to follow a room has no past of its own. It continues from what another node shows, or from the
 *   first sum. Until its own first renewal is answered it knows neither, and shows nothing.
 */

import type { Clock, Timer } from '../clock.ts';
import { type Renewed, sameCount, type ViewerCount } from '../log/presence.ts';
import { eventFrame } from '../stream/frame.ts';

/** How long a lower count must hold before it is shown, in milliseconds: a viewer that reconnects is back sooner. */
export const graceMs = 10_000;

/** A sum, which holds until the next one. */
interface Sum extends ViewerCount {
  readonly fromMs: number;
}

export interface ShownViewerCountOptions {
  readonly clock: Clock;
  /** At most `graceMs`. */
  readonly riseMs: number;
  /** Viewers on this node. */
  readonly ownViewers: () => number;
  /** Called when `news` has a frame. */
  readonly onNews: () => void;
}

export class ShownViewerCount {
  readonly #options: ShownViewerCountOptions;
  /** Those of the last `graceMs`, oldest first; the oldest may have begun earlier. */
  readonly #sums: Sum[] = [];
  #shown: ViewerCount | null = null;
  #shownAtMs = -Infinity;
  #frame = '';
  #isNews = false;
  #timer: Timer | null = null;
  #isClosed = false;

  constructor(options: ShownViewerCountOptions) {
    this.#options = options;
  }

  /** Null if nothing is shown yet. */
  get shown(): ViewerCount | null {
    return this.#shown;
  }

  /** The event for a newcomer; empty if nothing is known. */
  get frame(): string {
    return this.#frame;
  }

  /** The log answered this node's renewal. */
  renewed({ sum, shown }: Pick<Renewed, 'sum' | 'shown'>): void {
    const first = shown ?? sum;
    if (this.#shown === null && first.viewers + first.users > 0 && !this.#isClosed) {
      this.#add(first);
      this.#show(first);
    }
    this.note(sum);
  }

  /** The log published a sum. */
  note(sum: ViewerCount): void {
    if (this.#shown === null || this.#isClosed) return;
    const last = this.#sums.at(-1);
    if (last === undefined || !sameCount(last, sum)) this.#add(sum);
    this.#update(this.#shown);
  }

  /** The frame that has not been published yet. It counts as published from now on. */
  *news(): Generator<Buffer> {
    if (!this.#isNews) return;
    this.#isNews = false;
    yield Buffer.from(this.#frame);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #add({ viewers, users }: ViewerCount): void {
    this.#sums.push({ viewers, users, fromMs: this.#options.clock.steady() });
  }

  #update(shown: ViewerCount): void {
    const { clock, riseMs, ownViewers } = this.#options;
    const sums = this.#sums;
    const now = clock.steady();
    while (sums[1] !== undefined && sums[1].fromMs <= now - graceMs) sums.shift();
    const isAllHere = (sums.at(-1)?.viewers ?? 0) <= ownViewers();
    const heldFrom = sums.findLastIndex(({ fromMs }) => fromMs <= now - riseMs);
    const held = isAllHere ? sums.slice(-1) : sums.slice(Math.max(heldFrom, 0));
    const least = held.reduce<ViewerCount>(smaller, everybody);
    const most = sums.reduce<ViewerCount>(larger, nobody);
    const next = smaller(larger(shown, least), most);
    const mayShowAtMs = this.#shownAtMs + riseMs;
    if (mayShowAtMs <= now && !sameCount(next, shown)) this.#show(next);
    this.#arrange(now, mayShowAtMs);
  }

  /** Schedules the next update: when a sum has held for long enough, or has been over for long enough. */
  #arrange(now: number, mayShowAtMs: number): void {
    this.#timer?.cancel();
    this.#timer = null;
    const [shown, sum] = [this.#shown, this.#sums.at(-1)];
    if (shown === null || sum === undefined || sameCount(shown, sum)) return;
    const { clock, riseMs } = this.#options;
    const dueMs = this.#sums.flatMap(({ fromMs }) => [fromMs + riseMs, fromMs + graceMs]);
    const soonestMs = Math.min(...[mayShowAtMs, ...dueMs].filter((atMs) => atMs > now));
    if (soonestMs < Infinity) this.#timer = clock.after(soonestMs - now, () => this.#update(shown));
  }

  #show(count: ViewerCount): void {
    this.#shown = { viewers: count.viewers, users: count.users };
    this.#shownAtMs = this.#options.clock.steady();
    this.#frame = eventFrame({ event: 'audience', data: JSON.stringify(this.#shown) });
    this.#isNews = true;
    this.#options.onNews();
  }
}

const nobody: ViewerCount = { viewers: 0, users: 0 };
const everybody: ViewerCount = { viewers: Infinity, users: Infinity };
const larger = (one: ViewerCount, other: ViewerCount): ViewerCount => ({
  viewers: Math.max(one.viewers, other.viewers),
  users: Math.max(one.users, other.users),
});
const smaller = (one: ViewerCount, other: ViewerCount): ViewerCount => ({
  viewers: Math.min(one.viewers, other.viewers),
  users: Math.min(one.users, other.users),
});
