/**
 * Tracks the users that are served in a room on this node, and keeps the room's directory in step with them. The log
 * uses the directory to find the nodes that a direct signal must reach.
 */

import type { Entered, Presence } from '../log/presence.ts';
import type { Grant, Role, RoomId, UserId } from '../model.ts';
import { type Ban, binds } from './bans.ts';
import type { Intake } from './intake.ts';
import { renew, type Visitor } from './visitor.ts';

/** Users registered at a time when a directory has to be filled again. */
const registerAtOnce = 200;

export class Attendance {
  readonly #room: RoomId;
  readonly #presence: Pick<Presence, 'enter' | 'leave'>;
  readonly #intake: Pick<Intake, 'leaseCall' | 'leased'>;
  readonly #visitors = new Map<UserId, Visitor[]>();
  #size = 0;

  /** `intake`: is notified of this node's lease. */
  constructor(room: RoomId, presence: Pick<Presence, 'enter' | 'leave'>, intake: Pick<Intake, 'leaseCall' | 'leased'>) {
    this.#room = room;
    this.#presence = presence;
    this.#intake = intake;
  }

  /** Streams and pulls of users with a name. */
  get size(): number {
    return this.#size;
  }

  has(user: UserId): boolean {
    return this.#visitors.has(user);
  }

  /** Registers a visitor's user. Rejects with the log's refusal. */
  async enter(visitor: Visitor): Promise<Entered> {
    const { id, role } = visitor.identity;
    // Noted before the call to the log, so that no `leave` overtakes it, and no ban or newer token misses it.
    if (id !== null) this.#note(id, visitor);
    const call = this.#intake.leaseCall();
    const entered = await this.#presence.enter(this.#room, id, role);
    // For the only visitor a lapsed lease lost nothing: no user needed it.
    if (id !== null && !entered.banned)
      this.#intake.leased(call, { ...entered, lapsed: entered.lapsed && this.#size > 1 });
    return entered;
  }

  /**
   * A visit has ended, or never began. When a user's last visit ends, the directory removes the user from this node.
   */
  leave(visitor: Visitor): void {
    const { id } = visitor.identity;
    if (id === null) return;
    const visitors = this.#visitors.get(id) ?? [];
    const at = visitors.indexOf(visitor);
    if (at < 0) return;
    visitors.splice(at, 1);
    this.#size -= 1;
    if (visitors.length > 0) return;
    this.#visitors.delete(id);
    // A record that stays costs messages without a receiver. It expires with the lease.
    this.#presence.leave(this.#room, id).catch(() => undefined);
  }

  /** The user came with a token that allows this; null: it gave its token up. */
  renew(user: UserId, grant: Grant | null): void {
    for (const visitor of this.#of(user)) renew(visitor, grant);
  }

  ban(ban: Ban): void {
    for (const visitor of this.#of(ban.user)) if (binds(ban, visitor.identity)) visitor.banned(ban);
  }

  /** Registers all users again, and notifies those that are banned by now. Rejects with the log's refusal. */
  async register(): Promise<void> {
    const here = [...this.#visitors].flatMap(([id, visitors]) => rolesOf(visitors).map((role) => ({ id, role })));
    for (let from = 0; from < here.length; from += registerAtOnce) {
      const some = here.slice(from, from + registerAtOnce).filter(({ id }) => this.#visitors.has(id));
      const entered = await Promise.all(some.map(({ id, role }) => this.#presence.enter(this.#room, id, role)));
      for (const { id, role } of some.filter((_, index) => entered[index]?.banned)) {
        for (const visitor of this.#of(id)) if (visitor.identity.role === role) visitor.banned(null);
      }
    }
  }

  /** A copy: a visitor may leave when it is notified. */
  #of(user: UserId): readonly Visitor[] {
    return [...(this.#visitors.get(user) ?? [])];
  }

  #note(user: UserId, visitor: Visitor): void {
    this.#size += 1;
    const visitors = this.#visitors.get(user);
    if (visitors === undefined) this.#visitors.set(user, [visitor]);
    else visitors.push(visitor);
  }
}

/** A ban may bind one stream of a user and not another. */
const rolesOf = (visitors: readonly Visitor[]): Role[] => [...new Set(visitors.map(({ identity }) => identity.role))];
