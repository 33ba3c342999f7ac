/**
 * Bans as a node hears of them: whom an entry bans, and who was banned that is here or on its way. Between the door,
 * where the log lets a user in, and its seat, where its stream can be ended, a ban could pass unnoticed.
 */

import { judge, type Position, type Tail } from '../log/position.ts';
import { type Entry, type Identity, isAtLeast, type Role, type UserId } from '../model.ts';

/** Binds the user wherever it comes with a lower role than that of who set it. */
export interface Ban extends Position {
  readonly user: UserId;
  readonly by: Role;
  readonly reason: string | null;
}

/** Who may be banned. */
export type Bannable = Pick<Identity, 'id' | 'role'>;

/** Reads an entry of kind `ban` or `unban`; null where it names nobody. */
export function readBan({ epoch, offset, body }: Entry): Ban | null {
  const { user, from, reason = null } = JSON.parse(body) as BanBody;
  return user === undefined ? null : { epoch, offset, user, by: from?.role ?? 'service', reason };
}

export const binds = ({ user, by }: Pick<Ban, 'user' | 'by'>, { id, role }: Bannable): boolean =>
  user === id && !isAtLeast(role, by);

/** A ban since the log let somebody in with this tail; what the tail knows was judged at the door. */
export const isSince = (ban: Ban, tail: Tail): boolean => judge(ban, tail).verdict === 'reset';

interface BanBody {
  readonly user?: UserId;
  readonly from?: { readonly role?: Role };
  readonly reason?: string | null;
}

export class Bans {
  readonly #bans = new Map<UserId, Ban>();

  /** Takes any entry; answers a ban, as it ends streams now. `isHere`: who is remembered at all. */
  heed(entry: Entry, isHere: (user: UserId) => boolean): Ban | null {
    const ban = entry.kind === 'ban' || entry.kind === 'unban' ? readBan(entry) : null;
    if (ban === null) return null;
    for (const gone of this.#bans.keys()) if (!isHere(gone)) this.#bans.delete(gone);
    if (entry.kind === 'ban') this.#bans.set(ban.user, ban);
    else this.#bans.delete(ban.user);
    return entry.kind === 'ban' ? ban : null;
  }

  /** The ban of a user since the log had let it in with this tail, when it had no stream yet that could end. */
  since(who: Bannable, tail: Tail): Ban | null {
    const ban = who.id === null ? undefined : this.#bans.get(who.id);
    return ban !== undefined && binds(ban, who) && isSince(ban, tail) ? ban : null;
  }

  clear(): void {
    this.#bans.clear();
  }
}
