/**
 * Merged sums, such as likes: however many came, one event says what they add up to. The log knows the exact total and
 * tells it now and then; what is shown is always the difference to what was shown before, so no tap is counted twice.
 */

import { eventFrame } from '../stream/frame.ts';

interface Sum {
  shown: number;
  total: number;
}

/** The counters that become events of their own name. */
export const counters = ['likes'] as const;

export class Sums {
  readonly #sums = new Map<string, Sum>();

  /** What the state says when it is read as a whole: nothing of it is news. */
  reset(totalOf: (counter: string) => number): void {
    for (const counter of counters) {
      const total = totalOf(counter);
      this.#sums.set(counter, { shown: total, total });
    }
  }

  /** A total, heard in whatever order; true where it is news. */
  note(counter: string, total: number): boolean {
    const sum = this.#sums.get(counter);
    if (sum === undefined || total <= sum.total) return false;
    sum.total = total;
    return true;
  }

  /** Frames of what has not been shown yet, which counts as shown from now on. */
  *news(): Generator<Buffer> {
    for (const [counter, sum] of this.#sums) {
      if (sum.total === sum.shown) continue;
      const data = JSON.stringify({ delta: sum.total - sum.shown, total: sum.total });
      sum.shown = sum.total;
      yield Buffer.from(eventFrame({ event: counter, data }));
    }
  }
}
