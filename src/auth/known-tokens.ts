/**
 * A cache of valid tokens until they expire, because writers send the same tokens again and again. Refused ones are not
 * cached, or a token that is not valid yet would stay refused.
 */

export class KnownTokens<Claims> {
  readonly #max: number;
  readonly #claims = new Map<string, Claims>();

  constructor(max: number) {
    this.#max = max;
  }

  get(token: string): Claims | undefined {
    return this.#claims.get(token);
  }

  /** At the bound, drops the oldest. */
  add(token: string, claims: Claims): void {
    if (this.#claims.size >= this.#max) {
      const oldest = this.#claims.keys().next();
      if (!oldest.done) this.#claims.delete(oldest.value);
    }
    this.#claims.set(token, claims);
  }

  delete(token: string): void {
    this.#claims.delete(token);
  }
}
