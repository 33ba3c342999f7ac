/**
 * Which users have a stream in a room on this node, and the room's directory kept in step with it, by which the log
 * finds the nodes that a peer entry must reach.
 */

import type { Entered, RoomLog } from '../log/room-log.ts';
import type { RoomId, UserId } from '../signal.ts';
import type { Intake } from './intake.ts';

/** Users put on record at a time when a directory has to be filled again. */
const registerAtOnce = 200;

export class Attendance {
  readonly #room: RoomId;
  readonly #log: Pick<RoomLog, 'enter' | 'leave'>;
  readonly #intake: Pick<Intake, 'leaseCall' | 'leased'>;
  readonly #streams = new Map<UserId, number>();
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

  /** A user is about to come in, or comes to look (null: without a name). Rejects with the log's refusal. */
  async enter(user: UserId | null): Promise<Entered> {
    // Counted before the log is told, so that no leaving can overtake it.
    if (user !== null) {
      this.#streams.set(user, (this.#streams.get(user) ?? 0) + 1);
      this.#size += 1;
    }
    const call = this.#intake.leaseCall();
    const entered = await this.#log.enter(this.#room, user);
    // Who comes alone finds a lease that nobody has needed.
    if (user !== null && !entered.banned) this.#intake.leased(call, entered.lapsed && this.#size > 1);
    return entered;
  }

  /** A stream is gone, or never came; with the user's last one the directory forgets the user on this node. */
  leave(user: UserId | null): void {
    if (user === null) return;
    this.#size -= 1;
    const left = (this.#streams.get(user) ?? 1) - 1;
    if (left > 0) {
      this.#streams.set(user, left);
      return;
    }
    this.#streams.delete(user);
    // A record that stays costs a message that nobody takes; it ends with the lease.
    this.#log.leave(this.#room, user).catch(() => undefined);
  }

  /** Puts everybody on record again; answers who may not be here. Rejects with the log's refusal. */
  async register(): Promise<UserId[]> {
    const users = [...this.#streams.keys()];
    const banned: UserId[] = [];
    for (let from = 0; from < users.length; from += registerAtOnce) {
      const some = users.slice(from, from + registerAtOnce).filter((user) => this.#streams.has(user));
      const entered = await Promise.all(some.map((user) => this.#log.enter(this.#room, user)));
      banned.push(...some.filter((_, index) => entered[index]?.banned));
    }
    return banned;
  }
}
