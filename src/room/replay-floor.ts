/**
 * What a tape may lack for users who were not on record here: a peer entry that was not sent to this node or not laid
 * down, or an author's own words that were left out for everybody else. A user that returns from before such a
 * hole reads the log instead.
 */

import type { UserId } from '../model.ts';

/** Users whose own floors are known; with one more, the newest of them counts for everybody. */
export const usersMax = 10_000;

export class ReplayFloor {
  #forAll = 0;
  readonly #own = new Map<UserId, number>();

  /** The newest entry that a user may lack; 0 for none. */
  before(user: UserId): number {
    return Math.max(this.#forAll, this.#own.get(user) ?? 0);
  }

  /** An entry that may be for anybody is not on the tapes. Offsets come in rising order. */
  add(offset: number): void {
    this.#forAll = offset;
    // What lies before it needs no record of its own any more.
    this.#own.clear();
  }

  /** An entry that is for this user is not on the tapes. */
  addFor(user: UserId, offset: number): void {
    if (this.#own.size >= usersMax && !this.#own.has(user)) this.add(offset);
    else this.#own.set(user, offset);
  }

  /** The history begins anew on the tapes. */
  clear(): void {
    this.#forAll = 0;
    this.#own.clear();
  }
}
