/**
 * Which users have a stream in a room on this node, and the room's directory kept in step with it, by which the log
 * finds the nodes that a peer entry must reach.
 */

import type { Entered, RoomLog } from '../log/room-log.ts';
import type { Role, RoomId, UserId } from '../signal.ts';
import type { Bannable } from './bans.ts';
import type { Intake } from './intake.ts';

/** Users put on record at a time when a directory has to be filled again. */
const registerAtOnce = 200;

export class Attendance {
  readonly #room: RoomId;
  readonly #log: Pick<RoomLog, 'enter' | 'leave'>;
  readonly #intake: Pick<Intake, 'leaseCall' | 'leased'>;
  /** The role of each stream of a user: rules may bind one and not the other. */
  readonly #streams = new Map<UserId, Role[]>();
  #size = 0;

  /** `intake`: is told what became of this node's lease. */
  constructor(room: RoomId, log: Pick<RoomLog, 'enter' | 'leave'>, intake: Pick<Intake, 'leaseCall' | 'leased'>) {
    this.#room = room;
    this.#log = log;
    this.#intake = intake;
  }

  /** Streams of users with a name, and visits of theirs. */
  get size(): number {
    return this.#size;
  }

  has(user: UserId): boolean {
    return this.#streams.has(user);
  }

  /** A user is about to come in, or comes to look (id null: without a name). Rejects with the log's refusal. */
  async enter({ id: user, role }: Bannable): Promise<Entered> {
    // Counted before the log is told, so that no leaving can overtake it.
    if (user !== null) {
      this.#streams.set(user, [...(this.#streams.get(user) ?? []), role]);
      this.#size += 1;
    }
    const call = this.#intake.leaseCall();
    const entered = await this.#log.enter(this.#room, user, role);
    // Who comes alone finds a lease that nobody has needed.
    if (user !== null && !entered.banned) this.#intake.leased(call, entered.lapsed && this.#size > 1);
    return entered;
  }

  /** A stream is gone, or never came; with the user's last one the directory forgets the user on this node. */
  leave({ id: user, role }: Bannable): void {
    if (user === null) return;
    this.#size -= 1;
    const left = this.#streams.get(user) ?? [];
    left.splice(left.indexOf(role), 1);
    if (left.length > 0) return;
    this.#streams.delete(user);
    // A record that stays costs a message that nobody takes; it ends with the lease.
    this.#log.leave(this.#room, user).catch(() => undefined);
  }

  /** Puts everybody on record again; answers who may not be here. Rejects with the log's refusal. */
  async register(): Promise<Bannable[]> {
    const here = [...this.#streams].flatMap(([id, roles]) => [...new Set(roles)].map((role) => ({ id, role })));
    const banned: Bannable[] = [];
    for (let from = 0; from < here.length; from += registerAtOnce) {
      const some = here.slice(from, from + registerAtOnce).filter(({ id }) => this.#streams.has(id));
      const entered = await Promise.all(some.map(({ id, role }) => this.#log.enter(this.#room, id, role)));
      banned.push(...some.filter((_, index) => entered[index]?.banned));
    }
    return banned;
  }
}
