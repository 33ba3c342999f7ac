/** Pulls that wait for a room's next entry: the receiver of each, and how to wake it. */

import type { Clock } from '../clock.ts';
import { isFor, type Receiver } from '../fanout/audience.ts';
import type { Entry } from '../model.ts';

interface Waiter {
  readonly receiver: Receiver;
  readonly wake: () => void;
}

export class Waiters {
  readonly #clock: Clock;
  readonly #waiters = new Set<Waiter>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Settles when an entry arrives that the receiver may see, when `signal` aborts, or after `ms` at the latest. */
  nextFor(receiver: Receiver, ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const waiter: Waiter = {
        receiver,
        wake: () => {
          this.#waiters.delete(waiter);
          timer.cancel();
          signal.removeEventListener('abort', waiter.wake);
          resolve();
        },
      };
      const timer = this.#clock.after(ms, waiter.wake);
      signal.addEventListener('abort', waiter.wake);
      this.#waiters.add(waiter);
      if (signal.aborted) waiter.wake();
    });
  }

  /** Wakes the pulls that an entry is for; null: all. */
  wake(entry: Entry | null): void {
    for (const waiter of [...this.#waiters]) if (entry === null || isFor(entry, waiter.receiver)) waiter.wake();
  }
}
