/**
 * Who is served in a room on this node, by user, and the room's directory kept in step with it, by which the log finds
 * the nodes that a peer entry must reach.
 */

import type { Entered, Presence } from '../log/presence.ts';
import type { Grant, Role, RoomId, UserId } from '../model.ts';
import { type Ban, binds } from './bans.ts';
import type { Intake } from './intake.ts';
import { renew, type Visitor } from './visitor.ts';

/** Users put on record at a time when a directory has to be filled again. */
const registerAtOnce = 200;

export class Attendance {
  readonly #room: RoomId;
  readonly #presence: Pick<Presence, 'enter' | 'leave'>;
  readonly #intake: Pick<Intake, 'leaseCall' | 'leased'>;
  readonly #visitors = new Map<UserId, Visitor[]>();
  #size = 0;

  /** `intake`: is told what became of this node's lease. */
  constructor(room: RoomId, presence: Pick<Presence, 'enter' | 'leave'>, intake: Pick<Intake, 'leaseCall' | 'leased'>) {
    this.#room = room;
    this.#presence = presence;
    this.#intake = intake;
  }

  /** Streams of users with a name, and visits of theirs. */
  get size(): number {
    return this.#size;
  }

  has(user: UserId): boolean {
    return this.#visitors.has(user);
  }

  /** Puts a visitor's user on record. Rejects with the log's refusal. */
  async enter(visitor: Visitor): Promise<Entered> {
    const { id, role } = visitor.identity;
    // Noted before the log is asked, so that no leaving overtakes it, and no ban or newer token misses it.
    if (id !== null) this.#note(id, visitor);
    const call = this.#intake.leaseCall();
    const entered = await this.#presence.enter(this.#room, id, role);
    // A user that comes alone finds a lease that nobody has needed.
    if (id !== null && !entered.banned)
      this.#intake.leased(call, { ...entered, lapsed: entered.lapsed && this.#size > 1 });
    return entered;
  }

  /** A visit is over, or never began. With the user's last one the directory forgets the user on this node. */
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
    // A record that stays costs a message that nobody takes; it ends with the lease.
    this.#presence.leave(this.#room, id).catch(() => undefined);
  }

  /** The user came with a token that allows this; null: it has given its token up. */
  renew(user: UserId, grant: Grant | null): void {
    for (const visitor of this.#of(user)) renew(visitor, grant);
  }

  ban(ban: Ban): void {
    for (const visitor of this.#of(ban.user)) if (binds(ban, visitor.identity)) visitor.banned(ban);
  }

  /** Puts everybody on record again, and notifies those who are banned by now. Rejects with the log's refusal. */
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

  /** As they are now: a visitor may leave when it is notified. */
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

/** Rules may bind one stream of a user and not the other. */
const rolesOf = (visitors: readonly Visitor[]): Role[] => [...new Set(visitors.map(({ identity }) => identity.role))];
