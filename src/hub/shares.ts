/** How many of one thing each asker holds, such as streams. It knows only those who hold something. */

export class Shares {
  readonly #held = new Map<string, number>();

  /** Takes one more; false where the asker holds as many as it may. */
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

  /** Askers who hold something. */
  get size(): number {
    return this.#held.size;
  }
}
