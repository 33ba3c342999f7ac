/**
 * How a room's entries come in: each one once and in order, or a loss that is declared. The log publishes them live;
 * whenever that leaves a doubt (a break in the numbers, another epoch, a cut link, a lapsed lease) this reads the
 * missing range from the log before anything later is let through. Viewers ask nothing of this kind themselves: one
 * reader per room and node, however many of them wait.
 *
 * It is always in one of these modes:
 * - **opening**: following has begun, the state is being read. What is heard meanwhile is kept aside.
 * - **whole**: everything up to `position` has been let through, and what is heard goes straight on.
 * - **behind**: something may be missing. What is heard is kept aside, a bounded number of it, until the log has been
 *   read up to there. While the log is away this lasts; it is tried again with growing pauses.
 * - **closed**.
 */

import type { Clock, Timer } from '../clock.ts';
import { Refusal } from '../errors.ts';
import { type GapCause, judge, type Position, type Tail } from '../log/position.ts';
import type { Follower, Headcount, Heard, RoomLog, RoomState } from '../log/room-log.ts';
import type { Entry, RoomId, UserId } from '../signal.ts';

/** Entries that nobody can have any more. The rest continues after `to`. */
export interface Loss {
  readonly from: Position;
  readonly to: Position;
  /** How many; null where nobody can know. */
  readonly missed: number | null;
  readonly cause: GapCause;
}

/** Where entries go. */
export interface Sink {
  take(entry: Entry): void;
  counted(counter: string, total: number): void;
  watched(headcount: Headcount): void;
  /** A user of this room has a newer token. */
  prolonged(user: UserId, expiresAtMs: number): void;
  /** Something was lost, and state changes with it: `state` is how it stands, and may be newer than `loss.to`. */
  lost(loss: Loss, state: RoomState): void;
  /** The present epoch has another name; nothing was lost. */
  renamed(position: Position): void;
  /** The directory may have forgotten this node's users. Settled once they are on record again. */
  register(): Promise<void>;
}

/** Entries that may be kept aside while the log is read; more are read from the log instead. */
export const asideMax = 1_000;
/** Entries per read. */
const pageEntries = 500;
/** Readings that may be older than a tail that is to be reached; two are already more than an honest log needs. */
const reachTriesMax = 5;
const firstPauseMs = 100;
const longestPauseMs = 5_000;

export class Intake implements Follower {
  readonly #room: RoomId;
  readonly #log: RoomLog;
  readonly #clock: Clock;
  readonly #sink: Sink;
  #mode: 'opening' | 'whole' | 'behind' | 'closed' = 'opening';
  #position: Position | null = null;
  #aside: Extract<Heard, { type: 'entry' }>[] = [];
  #isAsideFull = false;
  #mustRegister = false;
  #catchingUp: Promise<void> | null = null;
  #pause: { timer: Timer; wake: () => void } | null = null;

  constructor(room: RoomId, log: RoomLog, clock: Clock, sink: Sink) {
    this.#room = room;
    this.#log = log;
    this.#clock = clock;
    this.#sink = sink;
  }

  /** Follows the room. Rejects with the log's refusal where the log is away. */
  async open(): Promise<RoomState> {
    await this.#log.follow(this.#room, this);
    const state = await this.#log.readState(this.#room);
    this.#position = { epoch: state.tail.epoch, offset: state.tail.offset };
    return state;
  }

  /** Lets entries through from now on. The sink must have taken the state that `open` gave. */
  begin(): void {
    if (this.#mode !== 'opening') return;
    this.#mode = 'whole';
    if (!this.#passAside() || this.#mustRegister) this.#doubt();
  }

  /** The last entry that was let through. */
  get position(): Position {
    if (this.#position === null) throw new Error('the intake has not been opened');
    return this.#position;
  }

  heard(message: Heard): void {
    if (this.#mode === 'closed') return;
    if (message.type === 'count') this.#sink.counted(message.counter, message.total);
    else if (message.type === 'audience') this.#sink.watched(message);
    else if (message.type === 'prolong') this.#sink.prolonged(message.user, message.expiresAtMs);
    else if (this.#mode === 'whole') this.#passOrDoubt(message);
    else this.#putAside(message);
  }

  resumed(): void {
    this.#mustRegister = true;
    this.#doubt();
  }

  /** A tail was read from the log: if it is not where we are, something may have passed us by. */
  compare(tail: Tail): void {
    if (this.#position === null) return;
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
    throw new Refusal('log-unavailable', 'The room log says less than it said before.');
  }

  /** The lease had lapsed: peer entries may have passed this node by. */
  lapsed(): void {
    this.resumed();
  }

  async close(): Promise<void> {
    this.#mode = 'closed';
    this.#aside = [];
    this.#pause?.timer.cancel();
    this.#pause?.wake();
    await this.#log.unfollow(this.#room);
  }

  #passOrDoubt(message: Extract<Heard, { type: 'entry' }>): void {
    if (this.#pass(message)) return;
    this.#putAside(message);
    this.#doubt();
  }

  /** True where the entry was let through, or had been already. */
  #pass({ entry, previous }: Extract<Heard, { type: 'entry' }>): boolean {
    if (entry.epoch !== this.position.epoch) return false;
    if (entry.offset <= this.position.offset) return true;
    if (previous > this.position.offset) return false;
    this.#take(entry);
    return true;
  }

  #take(entry: Entry): void {
    this.#position = { epoch: this.position.epoch, offset: entry.offset };
    this.#sink.take(entry);
  }

  #putAside(message: Extract<Heard, { type: 'entry' }>): void {
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
    for (let pauseMs = firstPauseMs; this.#mode === 'behind'; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        await this.#readUntilWhole();
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        // The log is away and has said so by its own line; streams stay open and quiet until it is back.
        await this.#rest(pauseMs * (0.5 + Math.random()));
      }
    }
  }

  async #readUntilWhole(): Promise<void> {
    while (this.#mode === 'behind') {
      if (this.#mustRegister) {
        this.#mustRegister = false;
        await this.#sink.register().catch((error: unknown) => {
          this.#mustRegister = true;
          throw error;
        });
      }
      const heardBefore = this.#aside.length;
      const reading = await this.#log.read(this.#room, this.position, pageEntries);
      if (this.#isClosed()) return;
      const isSettled = await this.#absorb(reading.tail, reading.entries);
      if (this.#isClosed()) return;
      const isNewer = this.#dropForeign(reading.tail, heardBefore);
      if (isSettled && this.#passAside() && !isNewer && !this.#mustRegister) this.#mode = 'whole';
    }
  }

  /** True where the reading reached the tail. */
  async #absorb(tail: Tail, entries: readonly Entry[]): Promise<boolean> {
    const from = this.position;
    const judged = judge(from, tail);
    // The directory is as old as the log that it lies beside.
    if (tail.epoch !== from.epoch) this.#mustRegister = true;
    if (judged.verdict === 'exact') {
      this.#position = judged.to;
      if (judged.to.epoch !== from.epoch) this.#sink.renamed(judged.to);
    } else {
      // What was lost may hold a ban, and nobody who is banned may be given what comes after it.
      await this.#sink.register();
      if (this.#isClosed()) return false;
      const state = await this.#log.readState(this.#room);
      // If the history changed again, this state belongs to another one than what was read: both are read again.
      if (this.#isClosed() || state.tail.epoch !== tail.epoch) return false;
      this.#position = judged.to;
      // A gap was judged by what the log keeps; after a reset even that is unknown.
      const missed = judged.verdict === 'gap' ? judged.missed : null;
      this.#sink.lost({ from, to: judged.to, missed, cause: judged.cause ?? 'failover' }, state);
    }
    for (const entry of entries) if (entry.offset > this.position.offset) this.#take(entry);
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

  #isClosed(): boolean {
    return this.#mode === 'closed';
  }
}
