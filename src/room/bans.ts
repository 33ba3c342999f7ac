/** Bans as a node reads them: the user that an entry bans, and whether it came after the log had admitted a user. */

import { judge, type Position, type Tail } from '../log/position.ts';
import { type Entry, type Identity, isAtLeast, type Role, type UserId } from '../model.ts';

/** Binds the user in every role below that of the ban's author. */
export interface Ban extends Position {
  readonly user: UserId;
  readonly by: Role;
  readonly reason: string | null;
}

/** Reads an entry of kind `ban`; null if it names no user. */
export function readBan({ epoch, offset, body }: Entry): Ban | null {
  const { user, from, reason = null } = JSON.parse(body) as BanBody;
  return user === undefined ? null : { epoch, offset, user, by: from?.role ?? 'service', reason };
}

export const binds = ({ user, by }: Pick<Ban, 'user' | 'by'>, { id, role }: Pick<Identity, 'id' | 'role'>): boolean =>
  user === id && !isAtLeast(role, by);

/**
 * Whether a ban came after the log admitted a user with this tail. The log judged what the tail covers on registration.
 */
export const isSince = (ban: Ban, tail: Tail): boolean => judge(ban, tail).verdict === 'reset';

interface BanBody {
  readonly user?: UserId;
  readonly from?: { readonly role?: Role };
  readonly reason?: string | null;
}
