/**
 * A queue for expensive work, such as reading a page of the log for one request: a few jobs run at a time, and the
 * others wait in order of arrival. So a crowd of readers does not block other work.
 */

export class ReadLine {
  readonly #atOnce: number;
  readonly #waitingMax: number;
  readonly #waiting: (() => void)[] = [];
  #busy = 0;

  constructor(atOnce: number, waitingMax: number) {
    this.#atOnce = atOnce;
    this.#waitingMax = waitingMax;
  }

  /** The result of the work; null if as many wait as may. */
  async run<Value>(work: () => Promise<Value>): Promise<Value | null> {
    if (this.#busy >= this.#atOnce) {
      if (this.#waiting.length >= this.#waitingMax) return null;
      await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    } else this.#busy += 1;
    try {
      return await work();
    } finally {
      // The next one in the queue takes this slot over.
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy -= 1;
      else next();
    }
  }
}
