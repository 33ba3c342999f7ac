/**
 * Somebody who is served in a room on this node, from the door on: a stream, or a pull. It knows what its token allows
 * now. Where the user comes with another token, a visit to the same rights lasts longer; one to other rights is over,
 * and so is each where the user gave its token up: whoever serves it is told, and ends.
 */

import type { Grant, Identity } from '../model.ts';

/** Who serves a visitor. */
export interface VisitorListener {
  /** Its token expires later now. */
  prolonged(expiresAtMs: number): void;
  /** What it was let in as is not what it is now. Told once. */
  outdated(): void;
}

export class Visitor {
  #identity: Identity;
  #isOutdated = false;
  #listener: VisitorListener | null = null;

  constructor(identity: Identity) {
    this.#identity = identity;
  }

  get identity(): Identity {
    return this.#identity;
  }

  get isOutdated(): boolean {
    return this.#isOutdated;
  }

  /** The listener is told of what comes from now on. */
  serveBy(listener: VisitorListener): void {
    this.#listener = listener;
  }

  /** The user came with a token that allows this; null: it has given its token up. */
  renewed(grant: Grant | null): void {
    if (this.#isOutdated) return;
    if (grant === null || !hasSameRights(grant, this.#identity)) {
      // Sent late or again: what the user was before says nothing of what it is.
      if (grant !== null && isOlder(grant, this.#identity)) return;
      this.#isOutdated = true;
      this.#listener?.outdated();
      return;
    }
    const { expiresAtMs, issuedAtMs } = this.#identity;
    const issued = Math.max(issuedAtMs ?? 0, grant.issuedAtMs ?? 0);
    this.#identity = {
      ...this.#identity,
      // A token that expires earlier does not cut anything short.
      expiresAtMs: Math.max(expiresAtMs, grant.expiresAtMs),
      ...(issued === 0 ? {} : { issuedAtMs: issued }),
    };
    if (this.#identity.expiresAtMs > expiresAtMs) this.#listener?.prolonged(this.#identity.expiresAtMs);
  }
}

type Rights = Pick<Grant, 'role' | 'tags'>;

/** The name that others see is no right. */
const hasSameRights = (one: Rights, other: Rights): boolean =>
  one.role === other.role && [...one.tags].sort().join(' ') === [...other.tags].sort().join(' ');

/** Where either token does not say when it was issued, the one that came later counts. */
const isOlder = (one: Grant, other: Identity): boolean =>
  one.issuedAtMs !== undefined && other.issuedAtMs !== undefined && one.issuedAtMs < other.issuedAtMs;
