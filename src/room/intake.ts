/**
 * Passes a room's entries: each one once and in order, or a declared loss. The log publishes entries live. If a doubt
 * arises (a break in the offsets, another epoch, a cut link, a lapsed lease), this reads the missing range from the log
 * before anything later passes. Viewers do not repair gaps themselves: one reader per room and node does, however many
 * viewers wait.
 *
 * An entry for named users is published only to the nodes that have one of them registered. So nothing passes while
 * this node's lease may have expired (`lease.ts`): it registers again, and reads on from what the lease covered.
 *
 * It is always in one of these modes:
 * - **opening**: the room is followed, and the state is being read. Entries received meanwhile are set aside.
 * - **whole**: everything up to `position` has passed, and entries received pass at once.
 * - **behind**: entries may be missing. Entries received are set aside, at most `asideMax` of them, until the log has
 *   been read up to there. While the log is unavailable this mode lasts: the read is retried with growing pauses.
 * - **closed**.
 */

import { backoffMs } from '../backoff.ts';
import type { Clock, Timer } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { Loss } from '../fanout/gap.ts';
import { type Followed, judgeFollowed, type Position, type Tail } from '../log/position.ts';
import type { ViewerCount } from '../log/presence.ts';
import type { LogMessage, RoomLog, RoomState, Subscriber } from '../log/room-log.ts';
import type { Entry, Grant, RoomId, UserId } from '../model.ts';
import { type Lapse, Lease, type LeaseCall } from './lease.ts';

/** Receives what passes. */
export interface Sink {
  apply(entry: Entry): void;
  counted(counter: string, total: number): void;
  watched(viewerCount: ViewerCount): void;
  /** A user of this room came with a token; null: it gave its token up. */
  prolonged(user: UserId, grant: Grant | null): void;
  /** Entries were lost, and state changes with them. `state` is the current state, and may be newer than `loss.to`. */
  lost(loss: Loss, state: RoomState): void;
  /** The epoch changed, and no entry was lost. */
  renamed(position: Position): void;
  /** The directory may have lost this node's users. Settles once they are registered again. */
  register(): Promise<void>;
  /** Whether an entry can name a user here. */
  hasUsers(): boolean;
  /** Whether one of these users has a stream here. */
  isHere(users: readonly UserId[]): boolean;
  /** Reports to the log what this node has of the room, and passes the answer to `leased`. */
  renew(): Promise<unknown>;
}

/** Entries that may be set aside while the log is read; further ones are read from the log instead. */
export const asideMax = 1_000;
/** Entries per read. */
const pageEntries = 500;
/** Reads that may be older than a tail to be reached; two are already more than a correct log needs. */
const reachTriesMax = 5;
const pauses = { firstMs: 100, longestMs: 5_000 };

export class Intake implements Subscriber {
  readonly #room: RoomId;
  readonly #log: RoomLog;
  readonly #clock: Clock;
  readonly #sink: Sink;
  readonly #replayMax: number;
  readonly #lease: Lease;
  #mode: 'opening' | 'whole' | 'behind' | 'closed' = 'opening';
  #followed: Followed | null = null;
  #aside: Extract<LogMessage, { type: 'entry' }>[] = [];
  #isAsideFull = false;
  #mustRegister = false;
  /** Entries for named users after this position may have been missed, though later entries passed. */
  #unprovenAfter: Position | null = null;
  #catchingUp: Promise<void> | null = null;
  #pause: { timer: Timer; wake: () => void } | null = null;

  /** `replayMax`: how many entries of a history unknown until now may pass. */
  constructor(room: RoomId, log: RoomLog, clock: Clock, sink: Sink, replayMax: number) {
    this.#room = room;
    this.#log = log;
    this.#clock = clock;
    this.#sink = sink;
    this.#replayMax = replayMax;
    this.#lease = new Lease(clock);
  }

  /** Follows the room. Rejects with the log's refusal if the log is unavailable. */
  async open(): Promise<RoomState> {
    await this.#log.follow(this.#room, this);
    const state = await this.#log.readState(this.#room);
    const { epoch, offset, lineage } = state.tail;
    this.#followed = { epoch, offset, lineage };
    return state;
  }

  /** Passes entries from now on. The sink must have applied the state that `open` returned. */
  begin(): void {
    if (this.#mode !== 'opening') return;
    this.#mode = 'whole';
    if (!this.#passAside() || this.#mustRegister) this.#doubt();
  }

  /** The last entry that passed. */
  get position(): Followed {
    if (this.#followed === null) throw new Error('the intake has not been opened');
    return this.#followed;
  }

  heard(message: LogMessage): void {
    if (this.#mode === 'closed') return;
    if (message.type === 'count') this.#count(message);
    else if (message.type === 'audience') this.#sink.watched(message);
    else if (message.type === 'prolong') this.#sink.prolonged(message.user, message.grant);
    else if (this.#mode === 'whole') this.#passOrDoubt(message);
    else this.#putAside(message);
  }

  resumed(): void {
    this.#mustRegister = true;
    this.#doubt();
    // The log is available again: do not wait out a pause that grew during the outage.
    this.#wake();
  }

  /** A tail was read from the log. If it is of another epoch or ahead of `position`, entries may have been missed. */
  compare(tail: Tail): void {
    if (this.#followed === null) return;
    if (tail.epoch !== this.position.epoch || tail.offset > this.position.offset) this.#doubt();
  }

  /**
   * Settles once everything up to a tail that was read from the log has passed, or this is closed.
   * @throws {Refusal} `log-unavailable` if the log does not reach its own tail.
   */
  async reach(tail: Tail): Promise<void> {
    for (let tries = 0; tries < reachTriesMax; tries += 1) {
      this.compare(tail);
      await this.#catchingUp;
      const isShort = this.position.epoch === tail.epoch && this.position.offset < tail.offset;
      if (this.#isClosed() || !isShort) return;
      // A read already under way may have been older than this tail: read once more.
    }
    throw new Refusal('log-unavailable', 'The room log is behind what this gateway has seen.');
  }

  /** Whether it has a position yet. */
  get isOpen(): boolean {
    return this.#followed !== null;
  }

  /** Call before a request that extends this node's lease. */
  leaseCall(): LeaseCall {
    return this.#lease.call(this.position);
  }

  /** The call succeeded. `lapsed`: it found that the lease had expired, or was gone, while users were here. */
  leased(call: LeaseCall, lapse: Lapse): void {
    const verdict = this.#lease.answered(call, lapse);
    if (verdict === 'good') return;
    if (verdict === 'prove') this.#unprovenAfter ??= this.#lease.provenUpTo;
    this.#mustRegister = true;
    this.#doubt();
  }

  async close(): Promise<void> {
    this.#mode = 'closed';
    this.#aside = [];
    this.#wake();
    await this.#log.unfollow(this.#room);
  }

  /** A sum of another history must not precede what explains it. */
  #count({ epoch, counter, total }: Extract<LogMessage, { type: 'count' }>): void {
    if (epoch === this.#followed?.epoch) this.#sink.counted(counter, total);
    else this.#doubt();
  }

  #passOrDoubt(message: Extract<LogMessage, { type: 'entry' }>): void {
    if (this.#mayPass() && this.#pass(message)) return;
    this.#putAside(message);
    this.#doubt();
  }

  /** False if entries for users here may be missing before this one. */
  #mayPass(): boolean {
    this.#mustRegister ||= this.#lease.state === 'over' && this.#sink.hasUsers();
    return !this.#mustRegister;
  }

  /** True if the entry passed, now or before. */
  #pass({ entry, previous }: Extract<LogMessage, { type: 'entry' }>): boolean {
    if (entry.epoch !== this.position.epoch) return false;
    if (entry.offset <= this.position.offset) return true;
    if (previous > this.position.offset) return false;
    this.#apply(entry);
    return true;
  }

  #apply(entry: Entry): void {
    const { epoch, lineage } = this.position;
    this.#followed = { epoch, offset: entry.offset, lineage };
    this.#sink.apply(entry);
  }

  #putAside(message: Extract<LogMessage, { type: 'entry' }>): void {
    if (this.#aside.length < asideMax) this.#aside.push(message);
    else this.#isAsideFull = true;
  }

  /** Passes what was set aside; false if that reveals a break. */
  #passAside(): boolean {
    const aside = this.#aside;
    const isWhole = !this.#isAsideFull;
    this.#aside = [];
    this.#isAsideFull = false;
    // An entry of a past epoch was read from the log, or is lost. One of a future epoch is read next.
    const strange = aside.findIndex((message) => !this.#pass(message));
    if (strange === -1) return isWhole;
    this.#aside = aside.slice(strange);
    return false;
  }

  #doubt(): void {
    if (this.#mode === 'closed' || this.#mode === 'opening') return;
    this.#mode = 'behind';
    this.#catchingUp ??= this.#catchUp().finally(() => {
      this.#catchingUp = null;
    });
  }

  async #catchUp(): Promise<void> {
    for (let failures = 1; this.#mode === 'behind'; failures += 1) {
      try {
        await this.#readUntilWhole();
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        // The outage has its own log line. Streams stay open and quiet until the log is available again.
        await this.#rest(backoffMs(failures, pauses));
      }
    }
  }

  async #readUntilWhole(): Promise<void> {
    while (this.#mode === 'behind') {
      if (this.#mustRegister) await this.#register();
      if (this.#unprovenAfter !== null) await this.#prove(this.#unprovenAfter);
      const heardBefore = this.#aside.length;
      let reading = await this.#log.read(this.#room, this.position, pageEntries);
      if (this.#isClosed()) return;
      if (this.#isOlder(reading.tail)) {
        // This is no delay, as the read began after we had more: the log lost entries. `renew` reports our position,
        // and the log begins a new epoch.
        await this.#sink.renew();
        reading = await this.#log.read(this.#room, this.position, pageEntries);
        if (this.#isClosed()) return;
      }
      const isSettled = await this.#absorb(reading.tail, reading.entries);
      if (this.#isClosed()) return;
      const isNewer = this.#dropForeign(reading.tail, heardBefore);
      if (isSettled && this.#mayPass() && this.#passAside() && !isNewer) this.#mode = 'whole';
    }
  }

  #isOlder({ epoch, offset }: Tail): boolean {
    return epoch === this.position.epoch && offset < this.position.offset;
  }

  async #register(): Promise<void> {
    this.#mustRegister = false;
    const call = this.leaseCall();
    const takesLease = this.#sink.hasUsers();
    await this.#sink.register().catch((error: unknown) => {
      this.#mustRegister = true;
      throw error;
    });
    if (takesLease) this.#lease.registered(call);
  }

  /** Searches the entries that passed while the lease had expired for any that are for users here. */
  async #prove(after: Position): Promise<void> {
    const from = this.position;
    let offset = after.epoch === from.epoch ? after.offset : from.offset;
    while (offset < from.offset) {
      const { tail, entries } = await this.#log.read(this.#room, { ...from, offset }, pageEntries);
      // Of another history, only the shared part passed. The next read declares a loss where the two part.
      const sharedUpTo = Math.min(from.offset, judgeFollowed(from, tail, Number.POSITIVE_INFINITY).to.offset);
      const passed = entries.filter((entry) => entry.offset > offset && entry.offset <= sharedUpTo);
      const isMissed = passed.some(({ audience }) => typeof audience !== 'string' && this.#sink.isHere(audience));
      if (isMissed || tail.first > offset + 1) {
        const state = await this.#log.readState(this.#room);
        if (!this.#isClosed()) this.#sink.lost({ from, to: from, missed: null, cause: 'failover' }, state);
        break;
      }
      offset = passed.at(-1)?.offset ?? from.offset;
    }
    this.#unprovenAfter = null;
  }

  /** True if the read reached the tail. */
  async #absorb(tail: Tail, entries: readonly Entry[]): Promise<boolean> {
    const from = this.position;
    const judged = judgeFollowed(from, tail, this.#replayMax);
    // The directory is stored beside the log, and is as old.
    if (tail.epoch !== from.epoch) this.#mustRegister = true;
    if (judged.verdict === 'exact') {
      this.#followed = { ...judged.to, lineage: tail.lineage };
      if (judged.to.epoch !== from.epoch) this.#sink.renamed(judged.to);
    } else {
      // The lost entries may include a ban, and a banned user must get nothing that follows it.
      await this.#sink.register();
      if (this.#isClosed()) return false;
      const state = await this.#log.readState(this.#room);
      // If the history changed again, this state and the entries belong to different histories: both are read again.
      if (this.#isClosed() || state.tail.epoch !== tail.epoch) return false;
      this.#followed = { ...judged.to, lineage: tail.lineage };
      const { to, missed } = judged;
      this.#sink.lost({ from, to, missed, cause: judged.cause ?? 'failover' }, state);
    }
    // Entries after a break are read next.
    for (const entry of entries) if (entry.offset === this.position.offset + 1) this.#apply(entry);
    return this.position.offset >= tail.offset;
  }

  /**
   * Drops entries of another epoch than the tail's. Those received before the tail was read are in the reading, or
   * lost. Those received since may be of a future epoch: then it returns true, and the log must be read again.
   */
  #dropForeign(tail: Tail, heardBefore: number): boolean {
    const isForeign = ({ entry }: { entry: Entry }): boolean => entry.epoch !== tail.epoch;
    const isNewer = this.#aside.slice(heardBefore).some(isForeign);
    this.#aside = this.#aside.filter((message) => !isForeign(message));
    return isNewer;
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.after(ms, resolve);
      this.#pause = { timer, wake: resolve };
    });
  }

  #wake(): void {
    this.#pause?.timer.cancel();
    this.#pause?.wake();
  }

  #isClosed(): boolean {
    return this.#mode === 'closed';
  }
}
