/**
 * Hands viewers over to the node that the proxy now routes them to: `move` notifies each when to reconnect, and its
 * stream ends. Viewers are notified in turn. Their times are spaced so that they reconnect evenly over the requested
 * time: the operator that drains a node chooses how many reconnects per second the other nodes get. A late turn delays
 * all that follow, by a fifth of that time at most in total, so that overdue viewers do not reconnect at once. The
 * order is random.
 */

import type { Clock, Timer } from '../clock.ts';
import { sliceViewers } from '../fanout/flush.ts';
import type { Viewer } from '../stream/viewer.ts';

/** Interval of the turns. The viewers of one turn are notified together, but reconnect one after the other. */
const turnMs = 100;
/** How late turns may come in total, as a share of the requested time. After that, overdue viewers return at once. */
const lateShare = 0.2;
/** The least time before a reconnect: enough for a proxy to close its side. */
const leastRetryMs = 50;

interface Order {
  readonly viewers: readonly Viewer[];
  readonly overMs: number;
  /** Moved forward by late turns. */
  beganMs: number;
  /** When the next turn is due, and by how much turns may still come late. */
  turnAtMs: number;
  slackMs: number;
  /** Viewers before this index are notified. */
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

  /**
   * Notifies all viewers within `overMs`, or a fifth more if the process stalled. Settles when that is done, on close,
   * or when the order is aborted.
   */
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
      // Viewers that are due and did not fit into this slice follow once the event loop has had its turn.
      order.turnAtMs = nowMs + (notified === sliceViewers ? 0 : turnMs);
      order.timer = notified === sliceViewers ? this.#clock.soon(again) : this.#clock.after(turnMs, again);
    }
  }

  /** When the next viewer is to reconnect, in milliseconds since the order began, without the least time. */
  #dueMs({ viewers, overMs, next }: Order): number {
    return (next / viewers.length) * overMs;
  }
}

/** Fisher-Yates. */
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
