/**
 * What a tape may lack for users that were not registered here: a direct signal that was not sent to this node or not
 * laid on the tape, or an author's own entry that was omitted for all others. A user that returns from before such an
 * entry reads the log instead.
 */

import type { UserId } from '../model.ts';

/** Users with a floor of their own; with one more, the newest floor counts for all users. */
export const usersMax = 10_000;

export class ReplayFloor {
  #forAll = 0;
  readonly #own = new Map<UserId, number>();

  /** The newest entry that a user may lack; 0 for none. */
  before(user: UserId): number {
    return Math.max(this.#forAll, this.#own.get(user) ?? 0);
  }

  /** An entry that may be for any user is not on the tapes. Offsets come in rising order. */
  add(offset: number): void {
    this.#forAll = offset;
    // Floors before it need no record of their own any more.
    this.#own.clear();
  }

  /** An entry for this user is not on the tapes. */
  addFor(user: UserId, offset: number): void {
    if (this.#own.size >= usersMax && !this.#own.has(user)) this.add(offset);
    else this.#own.set(user, offset);
  }

  /** The tapes begin a new history. */
  clear(): void {
    this.#forAll = 0;
    this.#own.clear();
  }
}
