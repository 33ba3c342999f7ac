/**
 * What is served in a room on this node, from before the log is asked about it until it is over: a stream, or a pull.
 * The room's attendance knows it by its user, and notifies it of what its token allows now and of bans.
 */

import type { Grant, Identity } from '../model.ts';
import type { Ban } from './bans.ts';

export interface Visitor {
  readonly identity: Identity;
  /** The user came with another token of the same rights: the identity is good for longer. */
  prolonged(identity: Identity): void;
  /** The user came with a token of other rights, or gave its token up. May come more than once. */
  outdated(): void;
  /** A ban binds the user in its role. Null: the log answered so when the user was put on record again. */
  banned(ban: Ban | null): void;
}

/** Notifies a visitor of the token that its user came with; null: the user has given its token up. */
export function renew(visitor: Visitor, grant: Grant | null): void {
  const { identity } = visitor;
  if (grant !== null && hasSameRights(grant, identity)) visitor.prolonged(longer(identity, grant));
  // Sent late or again: what the user was before says nothing of what it is.
  else if (grant === null || !isOlder(grant, identity)) visitor.outdated();
}

/** A token that expires earlier does not cut anything short. */
function longer(identity: Identity, grant: Grant): Identity {
  const expiresAtMs = Math.max(identity.expiresAtMs, grant.expiresAtMs);
  const issuedAtMs = Math.max(identity.issuedAtMs ?? 0, grant.issuedAtMs ?? 0);
  return { ...identity, expiresAtMs, ...(issuedAtMs === 0 ? {} : { issuedAtMs }) };
}

type Rights = Pick<Grant, 'role' | 'tags'>;

/** The name that others see is no right. */
const hasSameRights = (one: Rights, other: Rights): boolean =>
  one.role === other.role && [...one.tags].sort().join(' ') === [...other.tags].sort().join(' ');

/** Where either token does not say when it was issued, the one that came later counts. */
const isOlder = (one: Grant, other: Identity): boolean =>
  one.issuedAtMs !== undefined && other.issuedAtMs !== undefined && one.issuedAtMs < other.issuedAtMs;
