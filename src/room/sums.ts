/**
 * Merged sums, such as likes: one event states the sum, however many were counted. The log knows the exact total and
 * publishes it now and then. Viewers get the difference to what was shown before, so no tap is counted twice.
 *
 * A sum never falls within one history. A failover may lose part of a sum without losing an entry; the first total of
 * the new history shows that.
 */

import type { Entry } from '../model.ts';
import { eventFrame } from '../stream/frame.ts';
import { parseChange } from './room-state.ts';

interface Sum {
  shown: number;
  total: number;
  /** The history changed, and its total has not been received. */
  isDoubted: boolean;
}

/** The counters that become events of the same name. */
export const counters = ['likes'] as const;

export class Sums {
  readonly #sums = new Map<string, Sum>();

  /** Resets the sums to a state that was read as a whole: nothing of it is news. */
  reset(totalOf: (counter: string) => number): void {
    for (const counter of counters) {
      const total = totalOf(counter);
      this.#sums.set(counter, { shown: total, total, isDoubted: false });
    }
  }

  /** The epoch changed, and no entry was lost. */
  doubt(): void {
    for (const sum of this.#sums.values()) sum.isDoubted = true;
  }

  /** Whether a total of the present history must still be compared with what was shown. */
  get isDoubted(): boolean {
    for (const sum of this.#sums.values()) if (sum.isDoubted) return true;
    return false;
  }

  /** Whether the first total of the present history is below what was shown. The caller must explain it first. */
  hasFallen(counter: string, total: number): boolean {
    const sum = this.#sums.get(counter);
    if (sum === undefined || !sum.isDoubted) return false;
    sum.isDoubted = false;
    if (total >= sum.shown) sum.total = total;
    return total < sum.shown;
  }

  /** Notes a total, in any order of arrival; true if it is news. */
  note(counter: string, total: number): boolean {
    const sum = this.#sums.get(counter);
    if (sum === undefined || total <= sum.total) return false;
    sum.total = total;
    return true;
  }

  /** Frames of what has not been shown yet. It counts as shown from now on. */
  *news(): Generator<Buffer> {
    for (const [counter, sum] of this.#sums) {
      if (sum.total === sum.shown) continue;
      const data = JSON.stringify({ delta: sum.total - sum.shown, total: sum.total });
      sum.shown = sum.total;
      yield Buffer.from(eventFrame({ event: counter, data }));
    }
  }
}

/** The sum in a counter's state part; 0 if there is none. */
export function totalIn(value: string | null): number {
  const match = /^\{"total":([0-9]+)\}$/.exec(value ?? '');
  return match ? Number(match[1]) : 0;
}

/** The counter that an entry turns into state, and its sum; null for any other entry. */
export function counterOf(entry: Entry): { readonly counter: string; readonly total: number } | null {
  const change = entry.kind === 'state' ? parseChange(entry.body) : null;
  if (change === null || !counters.some((counter) => counter === change.part)) return null;
  return { counter: change.part, total: totalIn(change.value) };
}
