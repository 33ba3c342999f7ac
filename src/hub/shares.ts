/** How many of one thing, such as streams, each asker holds. It stores only askers that hold something. */

export class Shares {
  readonly #held = new Map<string, number>();

  /** Takes one more; false if the asker holds as many as allowed. */
  take(key: string, max: number): boolean {
    const held = this.#held.get(key) ?? 0;
    if (held >= max) return false;
    this.#held.set(key, held + 1);
    return true;
  }

  give(key: string): void {
    const left = (this.#held.get(key) ?? 1) - 1;
    if (left > 0) this.#held.set(key, left);
    else this.#held.delete(key);
  }

  /** Askers that hold something. */
  get size(): number {
    return this.#held.size;
  }
}
