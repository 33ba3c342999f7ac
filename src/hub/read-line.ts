/**
 * A line before what is much work, such as reading a page of the log for one request: a few at a time are worked on, and
 * the others wait in the order of their coming. So a crowd of readers takes its turns beside everything else.
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

  /** What the work comes to; null where as many wait as may. */
  async run<Value>(work: () => Promise<Value>): Promise<Value | null> {
    if (this.#busy >= this.#atOnce) {
      if (this.#waiting.length >= this.#waitingMax) return null;
      await new Promise<void>((resolve) => void this.#waiting.push(resolve));
    } else this.#busy += 1;
    try {
      return await work();
    } finally {
      // Whoever is next takes this place over.
      const next = this.#waiting.shift();
      if (next === undefined) this.#busy -= 1;
      else next();
    }
  }
}
