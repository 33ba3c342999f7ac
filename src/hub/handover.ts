/**
 * Hands viewers over to wherever the proxy sends them now: each is notified by `move` when to come back, and its stream
 * ends. They are notified in turn, and the times are so far apart that they come back evenly over the time that was asked
 * for: whoever drains a node chooses how many reconnects a second the others get. A turn that comes late moves all that
 * follow, by a fifth of that time at most, or those who are overdue would come at once. Who comes first is left to chance.
 */

import type { Clock, Timer } from '../clock.ts';
import { sliceViewers } from '../fanout/flush.ts';
import type { Viewer } from '../stream/viewer.ts';

/** Viewers are notified this often, those of one turn at once; they come back one after the other all the same. */
const turnMs = 100;
/** Of the time that was asked for, how much turns may come late in all before those who are overdue come at once. */
const lateShare = 0.2;
/** The least time to come back: enough for a proxy to have closed its side. */
const leastRetryMs = 50;

interface Order {
  readonly viewers: readonly Viewer[];
  readonly overMs: number;
  /** Later than it was where turns came late. */
  beganMs: number;
  /** When the next turn is due, and by how much turns may still come late. */
  turnAtMs: number;
  slackMs: number;
  /** Those before it are notified. */
  next: number;
  timer: Timer | null;
  readonly done: () => void;
}

export class Handover {
  readonly #clock: Clock;
  readonly #orders = new Set<Order>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Tells them all within `overMs`, or a fifth more where the process stood still; settled when that is done, or on closing, or when the order is aborted. */
  begin(viewers: readonly Viewer[], overMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const order: Order = {
        viewers: shuffled(viewers),
        overMs,
        beganMs: this.#clock.now(),
        turnAtMs: this.#clock.now(),
        slackMs: overMs * lateShare,
        next: 0,
        timer: null,
        done: () => {
          order.timer?.cancel();
          signal?.removeEventListener('abort', order.done);
          this.#orders.delete(order);
          resolve();
        },
      };
      signal?.addEventListener('abort', order.done);
      this.#orders.add(order);
      this.#turn(order);
    });
  }

  close(): void {
    for (const order of this.#orders) order.done();
  }

  #turn(order: Order): void {
    const nowMs = this.#clock.now();
    const lateMs = Math.min(Math.max(0, nowMs - order.turnAtMs), order.slackMs);
    order.beganMs += lateMs;
    order.slackMs -= lateMs;
    const passedMs = nowMs - order.beganMs;
    let notified = 0;
    while (order.next < order.viewers.length && notified < sliceViewers) {
      const dueMs = this.#dueMs(order);
      if (dueMs >= passedMs + turnMs) break;
      const retryMs = Math.round(leastRetryMs + Math.max(0, dueMs - passedMs));
      order.viewers[order.next]?.end('moved', { retryMs });
      order.next += 1;
      notified += 1;
    }
    if (order.next === order.viewers.length) order.done();
    else {
      const again = (): void => this.#turn(order);
      // What is due now and did not fit into this slice comes as soon as the event loop has had its turn.
      order.turnAtMs = nowMs + (notified === sliceViewers ? 0 : turnMs);
      order.timer = notified === sliceViewers ? this.#clock.soon(again) : this.#clock.after(turnMs, again);
    }
  }

  /** When the next one is to come back, in milliseconds since the order, but for the least time. */
  #dueMs({ viewers, overMs, next }: Order): number {
    return (next / viewers.length) * overMs;
  }
}

/** Fisher and Yates. */
function shuffled<One>(all: readonly One[]): readonly One[] {
  const some = [...all];
  for (let left = some.length - 1; left > 0; left -= 1) {
    const other = Math.floor(Math.random() * (left + 1));
    const one = some[left] as One;
    some[left] = some[other] as One;
    some[other] = one;
  }
  return some;
}
