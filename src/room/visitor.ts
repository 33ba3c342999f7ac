/**
 * A stream or a pull that is served in a room on this node, from before the call to the log until its end. The room's
 * attendance finds it by its user, and notifies it of new tokens and of bans.
 */

import type { Grant, Identity } from '../model.ts';
import type { Ban } from './bans.ts';

export interface Visitor {
  readonly identity: Identity;
  /** The user came with another token of the same rights: the identity is valid for longer. */
  prolonged(identity: Identity): void;
  /** The user came with a token of other rights, or gave its token up. May be called more than once. */
  outdated(): void;
  /** A ban binds the user in its role. Null: the log answered so when the user was registered again. */
  banned(ban: Ban | null): void;
}

/** Notifies a visitor of the token that its user came with; null: the user gave its token up. */
export function renew(visitor: Visitor, grant: Grant | null): void {
  const { identity } = visitor;
  if (grant !== null && hasSameRights(grant, identity)) visitor.prolonged(longer(identity, grant));
  // An older token, received late or again, says nothing about the user's present rights.
  else if (grant === null || !isOlder(grant, identity)) visitor.outdated();
}

/** A token that expires earlier shortens nothing. */
function longer(identity: Identity, grant: Grant): Identity {
  const expiresAtMs = Math.max(identity.expiresAtMs, grant.expiresAtMs);
  const issuedAtMs = Math.max(identity.issuedAtMs ?? 0, grant.issuedAtMs ?? 0);
  return { ...identity, expiresAtMs, ...(issuedAtMs === 0 ? {} : { issuedAtMs }) };
}

type Rights = Pick<Grant, 'role' | 'tags'>;

/** The displayed name is not a right. */
const hasSameRights = (one: Rights, other: Rights): boolean =>
  one.role === other.role && [...one.tags].sort().join(' ') === [...other.tags].sort().join(' ');

/** If either token does not state its time of issue, the one received later counts. */
const isOlder = (one: Grant, other: Identity): boolean =>
  one.issuedAtMs !== undefined && other.issuedAtMs !== undefined && one.issuedAtMs < other.issuedAtMs;
