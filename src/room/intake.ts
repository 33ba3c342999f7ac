/**
 * How a room's entries come in: each one once and in order, or a loss that is declared. The log publishes them live;
 * whenever that leaves a doubt (a break in the numbers, another epoch, a cut link, a lapsed lease) this reads the
 * missing range from the log before anything later is let through. Viewers ask nothing of this kind themselves: one
 * reader per room and node, however many of them wait.
 *
 * An entry for named users is published only to the nodes that have one of them on record. So nothing is let through
 * while this node's lease may have run out (`lease.ts`): it registers again, and reads on from what the lease covered.
 *
 * It is always in one of these modes:
 * - **opening**: following has begun, the state is being read. What is heard meanwhile is kept aside.
 * - **whole**: everything up to `position` has been let through, and what is heard goes straight on.
 * - **behind**: something may be missing. What is heard is kept aside, a bounded number of it, until the log has been
 *   read up to there. While the log is unavailable this lasts; it is tried again with growing pauses.
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

/** Where entries go. */
export interface Sink {
  take(entry: Entry): void;
  counted(counter: string, total: number): void;
  watched(viewerCount: ViewerCount): void;
  /** A user of this room came with a token; null: it has given its token up. */
  prolonged(user: UserId, grant: Grant | null): void;
  /** Something was lost, and state changes with it: `state` is how it stands, and may be newer than `loss.to`. */
  lost(loss: Loss, state: RoomState): void;
  /** The present epoch has another name, and no entry was lost. */
  renamed(position: Position): void;
  /** The directory may have forgotten this node's users. Settled once they are on record again. */
  register(): Promise<void>;
  /** Whether somebody here can be named by an entry. */
  hasUsers(): boolean;
  /** Whether one of these users has a stream here. */
  isHere(users: readonly UserId[]): boolean;
  /** Tells the log what this node has of the room, and passes what it answers to `leased`. */
  renew(): Promise<unknown>;
}

/** Entries that may be kept aside while the log is read; more are read from the log instead. */
export const asideMax = 1_000;
/** Entries per read. */
const pageEntries = 500;
/** Readings that may be older than a tail that is to be reached; two are already more than an honest log needs. */
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
  /** Entries for named users may have passed this node by after here, though what came later was let through. */
  #unprovenAfter: Position | null = null;
  #catchingUp: Promise<void> | null = null;
  #pause: { timer: Timer; wake: () => void } | null = null;

  /** `replayMax`: how many entries of a history that was unknown until now are let through at most. */
  constructor(room: RoomId, log: RoomLog, clock: Clock, sink: Sink, replayMax: number) {
    this.#room = room;
    this.#log = log;
    this.#clock = clock;
    this.#sink = sink;
    this.#replayMax = replayMax;
    this.#lease = new Lease(clock);
  }

  /** Follows the room. Rejects with the log's refusal where the log is unavailable. */
  async open(): Promise<RoomState> {
    await this.#log.follow(this.#room, this);
    const state = await this.#log.readState(this.#room);
    const { epoch, offset, lineage } = state.tail;
    this.#followed = { epoch, offset, lineage };
    return state;
  }

  /** Lets entries through from now on. The sink must have taken the state that `open` gave. */
  begin(): void {
    if (this.#mode !== 'opening') return;
    this.#mode = 'whole';
    if (!this.#passAside() || this.#mustRegister) this.#doubt();
  }

  /** The last entry that was let through. */
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
    // The log is back: nobody waits for the end of a pause that grew while it was away.
    this.#wake();
  }

  /** A tail was read from the log: if it is not where we are, something may have passed us by. */
  compare(tail: Tail): void {
    if (this.#followed === null) return;
    if (tail.epoch !== this.position.epoch || tail.offset > this.position.offset) this.#doubt();
  }

  /**
   * Settled once everything up to a tail that was read from the log has been let through, or this is closed.
   * @throws {Refusal} `log-unavailable` where the log does not come to what it said itself.
   */
  async reach(tail: Tail): Promise<void> {
    for (let tries = 0; tries < reachTriesMax; tries += 1) {
      this.compare(tail);
      await this.#catchingUp;
      const isShort = this.position.epoch === tail.epoch && this.position.offset < tail.offset;
      if (this.#isClosed() || !isShort) return;
      // A reading that was under way already may have been older than this tail: then it is read once more.
    }
    throw new Refusal('log-unavailable', 'The room log is behind what this gateway has seen.');
  }

  /** Whether it has a position yet. */
  get isOpen(): boolean {
    return this.#followed !== null;
  }

  /** To be made before a call that takes this node's lease on. */
  leaseCall(): LeaseCall {
    return this.#lease.call(this.position);
  }

  /** The call succeeded. `lapsed`: it found that the lease had run out, or was gone, while users were here. */
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

  /** A sum of another history must not come before what explains it. */
  #count({ epoch, counter, total }: Extract<LogMessage, { type: 'count' }>): void {
    if (epoch === this.#followed?.epoch) this.#sink.counted(counter, total);
    else this.#doubt();
  }

  #passOrDoubt(message: Extract<LogMessage, { type: 'entry' }>): void {
    if (this.#mayPass() && this.#pass(message)) return;
    this.#putAside(message);
    this.#doubt();
  }

  /** False where entries for users who are here may be missing before this one. */
  #mayPass(): boolean {
    this.#mustRegister ||= this.#lease.state === 'over' && this.#sink.hasUsers();
    return !this.#mustRegister;
  }

  /** True where the entry was let through, or had been already. */
  #pass({ entry, previous }: Extract<LogMessage, { type: 'entry' }>): boolean {
    if (entry.epoch !== this.position.epoch) return false;
    if (entry.offset <= this.position.offset) return true;
    if (previous > this.position.offset) return false;
    this.#take(entry);
    return true;
  }

  #take(entry: Entry): void {
    const { epoch, lineage } = this.position;
    this.#followed = { epoch, offset: entry.offset, lineage };
    this.#sink.take(entry);
  }

  #putAside(message: Extract<LogMessage, { type: 'entry' }>): void {
    if (this.#aside.length < asideMax) this.#aside.push(message);
    else this.#isAsideFull = true;
  }

  /** Lets through what was kept aside; false where that shows a break. */
  #passAside(): boolean {
    const aside = this.#aside;
    const isWhole = !this.#isAsideFull;
    this.#aside = [];
    this.#isAsideFull = false;
    // An entry of an epoch that is over was read from the log, or is lost; one of an epoch to come is read next.
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
        // The log is unavailable and has said so by its own line; streams stay open and quiet until it is back.
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
        // No delay, as it was asked after we had more: the log lost it. It learns that from us, and begins a new epoch.
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

  /** Looks for entries for users who are here among those that were let through while the lease had run out. */
  async #prove(after: Position): Promise<void> {
    const from = this.position;
    let offset = after.epoch === from.epoch ? after.offset : from.offset;
    while (offset < from.offset) {
      const { tail, entries } = await this.#log.read(this.#room, { ...from, offset }, pageEntries);
      // Of another history only what both share was let through. Where they part, the next reading declares a loss.
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

  /** True where the reading reached the tail. */
  async #absorb(tail: Tail, entries: readonly Entry[]): Promise<boolean> {
    const from = this.position;
    const judged = judgeFollowed(from, tail, this.#replayMax);
    // The directory is as old as the log that it lies beside.
    if (tail.epoch !== from.epoch) this.#mustRegister = true;
    if (judged.verdict === 'exact') {
      this.#followed = { ...judged.to, lineage: tail.lineage };
      if (judged.to.epoch !== from.epoch) this.#sink.renamed(judged.to);
    } else {
      // What was lost may hold a ban, and nobody who is banned may be given what comes after it.
      await this.#sink.register();
      if (this.#isClosed()) return false;
      const state = await this.#log.readState(this.#room);
      // If the history changed again, this state belongs to another one than what was read: both are read again.
      if (this.#isClosed() || state.tail.epoch !== tail.epoch) return false;
      this.#followed = { ...judged.to, lineage: tail.lineage };
      const { to, missed } = judged;
      this.#sink.lost({ from, to, missed, cause: judged.cause ?? 'failover' }, state);
    }
    // What follows a place that the reading did not begin at is read next.
    for (const entry of entries) if (entry.offset === this.position.offset + 1) this.#take(entry);
    return this.position.offset >= tail.offset;
  }

  /**
   * Of another epoch than the tail's, what was heard before the tail was read is in what was read, or is lost. What was
   * heard since may be of an epoch still to come: true, and the log is to be read again.
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
