/**
 * A clock that a test moves by hand. Time stands still until `advance`; due timers then run in order, each seeing the
 * moment that it was due at. Tasks given to `soon` run by a real immediate, or only by `runSoon` where a test asks to
 * decide that too.
 */

import type { Clock, Timer } from '../../src/clock.ts';

interface Waiting {
  readonly dueMs: number;
  readonly order: number;
  readonly task: () => void;
}

export interface FakeClockOptions {
  /** Unix milliseconds at the start. */
  readonly startMs?: number;
  /** `immediate`: as in real life. `by-hand`: only when the test calls `runSoon`. */
  readonly soon?: 'immediate' | 'by-hand';
}

export class FakeClock implements Clock {
  #nowMs: number;
  #order = 0;
  readonly #soonMode: 'immediate' | 'by-hand';
  readonly #timers = new Set<Waiting>();
  #soonTasks = new Set<() => void>();

  constructor(options: FakeClockOptions = {}) {
    this.#nowMs = options.startMs ?? 1_700_000_000_000;
    this.#soonMode = options.soon ?? 'immediate';
  }

  now(): number {
    return this.#nowMs;
  }

  steady(): number {
    return this.#nowMs;
  }

  after(ms: number, task: () => void): Timer {
    this.#order += 1;
    const waiting: Waiting = { dueMs: this.#nowMs + Math.max(0, ms), order: this.#order, task };
    this.#timers.add(waiting);
    return { cancel: () => void this.#timers.delete(waiting) };
  }

  soon(task: () => void): Timer {
    // Wrapped, so that the same function given twice counts as two tasks.
    const once = (): void => task();
    this.#soonTasks.add(once);
    if (this.#soonMode === 'immediate') {
      setImmediate(() => {
        if (this.#soonTasks.delete(once)) once();
      });
    }
    return { cancel: () => void this.#soonTasks.delete(once) };
  }

  /** Moves time on and runs, in order, every timer that falls due on the way, those set meanwhile included. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (let next = this.#nextTimer(); next !== undefined && next.dueMs <= endMs; next = this.#nextTimer()) {
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.task();
    }
    this.#nowMs = endMs;
  }

  /** Time passes and nothing runs, as on a machine that stands still; what fell due runs with the next `advance`. */
  stall(ms: number): void {
    this.#nowMs += ms;
  }

  /** Like `advance`, in steps, and lets promises and immediates have their turn after each of them. */
  async advanceGently(ms: number, stepMs: number = ms): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.advance(Math.min(stepMs, left));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Runs the tasks that `soon` was given so far; those that they add wait for the next call. */
  runSoon(): void {
    const tasks = this.#soonTasks;
    this.#soonTasks = new Set();
    for (const task of tasks) task();
  }

  /** How many timers wait. A test of `close()` expects 0. */
  get timers(): number {
    return this.#timers.size;
  }

  #nextTimer(): Waiting | undefined {
    let next: Waiting | undefined;
    for (const timer of this.#timers) {
      const isEarlier =
        next === undefined || timer.dueMs < next.dueMs || (timer.dueMs === next.dueMs && timer.order < next.order);
      if (isEarlier) next = timer;
    }
    return next;
  }
}
