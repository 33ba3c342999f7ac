/**
 * Batches the joins and leaves of each room into few calls, as a group commit. The first step is sent at once. Steps
 * that arrive while a call of the room is under way form the next call, at most `attendAtOnce` of them. A crowd that
 * reconnects costs the log one call for hundreds of its users.
 *
 * - The steps of a room are applied in the order of their requests, so `enter` after `leave` ends entered.
 * - An answer was read after its request: a step never joins a call that was sent.
 * - A failed call rejects each of its members. So does a wait of `LOG_DEADLINE_MS` since the first member of the batch
 *   asked: a slow log makes no caller wait for several calls.
 *
 * A batch is `waiting`, then `sent`, then `over`. A batch given up at its deadline or by `close` is `over` too,
 * whatever becomes of its call.
 */

import type { Clock, Timer } from '../../clock.ts';
import { Refusal } from '../../errors.ts';
import type { Role, RoomId, UserId } from '../../model.ts';
import type { Tail } from '../position.ts';
import type { Entered } from '../presence.ts';

/** Steps in one call, at most. */
export const attendAtOnce = 500;
/** Pending steps in all rooms, at most; one more is refused. */
export const attendingMax = 100_000;

/** A user joins on this node, or has left it. */
export interface Step {
  readonly user: UserId;
  readonly comes: boolean;
  /** The role with which the user joins. */
  readonly role: Role;
}

/** The answer of one call for all of its steps. */
export interface Attended {
  readonly tail: Tail;
  readonly ended: boolean;
  /** A user was registered, and the node had no valid lease until then. */
  readonly lapsed: boolean;
  readonly covered?: boolean;
  /** The steps of users that are banned in the role with which they join. */
  readonly banned: ReadonlySet<Step>;
}

export interface PresenceBatchOptions {
  readonly attend: (room: RoomId, steps: readonly Step[]) => Promise<Attended>;
  readonly clock: Clock;
  readonly deadlineMs: number;
}

interface Member {
  /** Null: a query only. */
  readonly step: Step | null;
  readonly resolve: (entered: Entered) => void;
  readonly reject: (error: unknown) => void;
}

interface Batch {
  mode: 'waiting' | 'sent' | 'over';
  readonly members: Member[];
  readonly deadline: Timer;
}

export class PresenceBatch {
  readonly #options: PresenceBatchOptions;
  /** Per room, the batch under way and those that wait behind it. */
  readonly #queues = new Map<RoomId, Batch[]>();
  #attending = 0;
  #isClosed = false;

  constructor(options: PresenceBatchOptions) {
    this.#options = options;
  }

  /** Pending steps and queries. */
  get attending(): number {
    return this.#attending;
  }

  enter(room: RoomId, user: UserId | null, role: Role = 'viewer'): Promise<Entered> {
    return this.#join(room, user === null ? null : { user, comes: true, role });
  }

  async leave(room: RoomId, user: UserId): Promise<void> {
    await this.#join(room, { user, comes: false, role: 'viewer' });
  }

  close(): void {
    this.#isClosed = true;
    for (const queue of this.#queues.values()) for (const batch of queue) this.#refuse(batch, away());
  }

  #join(room: RoomId, step: Step | null): Promise<Entered> {
    if (this.#isClosed || this.#attending >= attendingMax) return Promise.reject(away());
    return new Promise((resolve, reject) => {
      const queue = this.#queues.get(room) ?? [];
      let batch = queue.at(-1);
      if (batch === undefined || batch.mode !== 'waiting' || batch.members.length >= attendAtOnce) {
        batch = this.#open();
        queue.push(batch);
      }
      batch.members.push({ step, resolve, reject });
      this.#attending += 1;
      if (this.#queues.has(room)) return;
      this.#queues.set(room, queue);
      void this.#drain(room, queue);
    });
  }

  #open(): Batch {
    const { clock, deadlineMs } = this.#options;
    const deadline = clock.after(deadlineMs, () => this.#refuse(batch, away()));
    const batch: Batch = { mode: 'waiting', members: [], deadline };
    return batch;
  }

  /** Sends one batch after the other, until none waits. */
  async #drain(room: RoomId, queue: Batch[]): Promise<void> {
    for (let batch = queue[0]; batch !== undefined; batch = queue[0]) {
      if (batch.mode === 'waiting') await this.#send(room, batch);
      queue.shift();
    }
    this.#queues.delete(room);
  }

  async #send(room: RoomId, batch: Batch): Promise<void> {
    batch.mode = 'sent';
    try {
      this.#answer(
        batch,
        await this.#options.attend(
          room,
          batch.members.flatMap(({ step }) => step ?? []),
        ),
      );
    } catch (error) {
      this.#refuse(batch, error);
    }
  }

  #answer(batch: Batch, { tail, ended, lapsed, covered = false, banned }: Attended): void {
    let tellsLapsed = lapsed;
    for (const { step, resolve } of this.#end(batch)) {
      const isBanned = step !== null && banned.has(step);
      const isPut = step?.comes === true && !isBanned;
      // The first registered user found no lease. The others found the lease that it began.
      resolve({ tail, ended, banned: isBanned, lapsed: isPut && tellsLapsed, ...(covered ? { covered } : {}) });
      if (isPut) tellsLapsed = false;
    }
  }

  #refuse(batch: Batch, error: unknown): void {
    for (const { reject } of this.#end(batch)) {
      reject(error instanceof Refusal ? new Refusal(error.code, error.message, error.extras) : error);
    }
  }

  /** Ends a batch. Returns the members to answer: none if they have been answered. */
  #end(batch: Batch): readonly Member[] {
    if (batch.mode === 'over') return [];
    batch.mode = 'over';
    batch.deadline.cancel();
    this.#attending -= batch.members.length;
    return batch.members;
  }
}

const away = (): Refusal => new Refusal('log-unavailable', 'The room log is unreachable.');
