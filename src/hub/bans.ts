/**
 * Where users of a room were banned who are here, or on their way: between the door, where the log lets a user in, and
 * its seat, where its stream can be ended, a ban could pass unnoticed.
 */

import { judge, type Position, type Tail } from '../log/position.ts';
import type { Entry, UserId } from '../signal.ts';

export class Bans {
  readonly #bans = new Map<UserId, Position>();

  /** Takes a ban or its lifting; answers whose streams must end now. `isHere`: who is remembered at all. */
  heed({ kind, epoch, offset, body }: Entry, isHere: (user: UserId) => boolean): UserId | null {
    const { user } = JSON.parse(body) as { user?: UserId };
    if (user === undefined) return null;
    for (const gone of this.#bans.keys()) if (!isHere(gone)) this.#bans.delete(gone);
    if (kind === 'unban') this.#bans.delete(user);
    else this.#bans.set(user, { epoch, offset });
    return kind === 'ban' ? user : null;
  }

  /** Whether a user was banned after the log had let it in with this tail, when it had no stream yet that could end. */
  isBannedSince(user: UserId | null, tail: Tail): boolean {
    const ban = user === null ? undefined : this.#bans.get(user);
    // A ban that the tail knows of was lifted again, or the log would have said so at the door.
    return ban !== undefined && judge(ban, tail).verdict === 'reset';
  }

  clear(): void {
    this.#bans.clear();
  }
}
