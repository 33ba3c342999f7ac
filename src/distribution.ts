/** How often something took how long: counts by upper bounds, as a histogram of Prometheus has them. Plain numbers. */

export class Distribution {
  /** Seconds, rising. */
  readonly bounds: readonly number[];
  /** By bound, not summed up; one more for what is above all of them. */
  readonly counts: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = new Array<number>(bounds.length + 1).fill(0);
    this.counts = this.#counts;
  }

  /** The sum of all that was added, in seconds. */
  get sum(): number {
    return this.#sum;
  }

  add(seconds: number): void {
    let index = 0;
    while (index < this.bounds.length && seconds > (this.bounds[index] ?? 0)) index += 1;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum += seconds;
  }
}
