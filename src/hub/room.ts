/**
 * One room on this node: who watches it here, and what they are told. Entries come from the intake, each once and in
 * order; every one is framed once, laid on the tape of each class that the gate lets see it, and flushed. The room also
 * keeps what a newcomer needs: the state as it stands, and which users have a stream here.
 */

import type { Clock } from '../clock.ts';
import type { GapCause, Position } from '../log/position.ts';
import type { Headcount, RoomLog, RoomState } from '../log/room-log.ts';
import type { Settings } from '../settings.ts';
import type { Entry, Grant, RoomId, UserId } from '../signal.ts';
import { spansPerViewer, type Viewer } from '../stream/viewer.ts';
import { Attendance } from './attendance.ts';
import {
  type AudienceClass,
  classOf,
  isFor,
  isOnTapeOf,
  mayHoldOwn,
  namedIn,
  type Receiver,
  targetsOf,
} from './audience.ts';
import { type Bannable, Bans, binds } from './bans.ts';
import { frameOf } from './entry-frame.ts';
import { Flush } from './flush.ts';
import { gapFrame } from './gap.ts';
import { Holes } from './holes.ts';
import { Intake, type Loss, type Sink } from './intake.ts';
import type { Meter } from './meter.ts';
import { Pages } from './page.ts';
import { takeBack } from './retraction.ts';
import { StateView } from './room-state.ts';
import type { Frame } from './span.ts';
import { Stand } from './stand.ts';
import { counterOf, counters, Sums, totalIn } from './sums.ts';
import { Tape } from './tape.ts';
import { Waiters } from './waiters.ts';
import { Watching } from './watching.ts';

export type RoomSettings = Pick<
  Settings,
  'flushMs' | 'tapeBytesMax' | 'viewerBytesMax' | 'stateInlineBytes' | 'audiencesMax' | 'replayEntriesMax'
>;

export class Room implements Sink {
  readonly id: RoomId;
  readonly intake: Intake;
  readonly state: StateView;
  readonly attendance: Attendance;
  /** What those who come back read. */
  readonly pages: Pages;
  /** Unix milliseconds since when nobody needs the room here; null while somebody does. */
  idleSinceMs: number | null;
  readonly bans = new Bans();
  readonly watching = new Watching();
  /** What the tapes may lack for those who come back. */
  readonly holes = new Holes();
  readonly #settings: RoomSettings;
  readonly #clock: Clock;
  readonly #meter: Meter;
  readonly #flush: Flush;
  readonly #stands = new Map<string, Stand>();
  readonly #sums = new Sums();
  readonly #waiters: Waiters;
  /** The newest entry that was taken; a jump beyond the next one passes over peer entries for other nodes. */
  #takenUpTo = 0;
  #uses = 0;
  /** From this offset on there is nothing to wait for; null while the room has not ended. */
  #endsAt: number | null = null;

  constructor(id: RoomId, log: RoomLog, settings: RoomSettings, clock: Clock, meter: Meter) {
    this.id = id;
    this.#settings = settings;
    this.#clock = clock;
    this.#meter = meter;
    this.#waiters = new Waiters(clock);
    this.idleSinceMs = clock.now();
    this.state = new StateView(settings.stateInlineBytes);
    this.intake = new Intake(id, log, clock, this, settings.replayEntriesMax);
    this.attendance = new Attendance(id, log, this.intake);
    const { stateInlineBytes } = settings;
    this.pages = new Pages(id, log, clock, { stateInlineBytes, spanBytesMax: this.spanBytesMax });
    this.#flush = new Flush(
      clock,
      settings.flushMs,
      () => this.#sweep(),
      (swept) => {
        if (this.#stands.size > 0) meter.swept(swept, clock.now());
      },
    );
  }

  async open(): Promise<void> {
    const state = await this.intake.open();
    this.#setState(state);
    this.#takenUpTo = state.tail.offset;
    this.intake.begin();
  }

  async close(): Promise<void> {
    this.#flush.close();
    this.pages.close();
    this.#waiters.wake(null);
    await this.intake.close();
  }

  /** Marks the room as needed until the returned function is called. */
  use(): () => void {
    this.#uses += 1;
    this.idleSinceMs = null;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#uses -= 1;
      if (this.#uses === 0) this.idleSinceMs = this.#clock.now();
    };
  }

  /** The stand of a receiver's class; null where there may be no more classes. It gathers from now on. */
  standFor(receiver: Receiver): Stand | null {
    const audience = classOf(receiver);
    const stand = this.#stands.get(audience.key);
    if (stand !== undefined) return stand;
    if (this.#stands.size >= this.#settings.audiencesMax) this.#dropEmptyStands();
    return this.#stands.size >= this.#settings.audiencesMax ? null : this.#openStand(audience);
  }

  get isEnded(): boolean {
    return this.#endsAt !== null && this.intake.position.offset >= this.#endsAt;
  }

  /** Viewers here, those on their way to a seat among them. */
  get size(): number {
    let size = 0;
    for (const stand of this.#stands.values()) size += stand.size;
    return size;
  }

  *viewers(): Generator<Viewer> {
    for (const stand of this.#stands.values()) yield* stand.viewers();
  }

  /** A viewer left its seat. A stand that nobody sits in is given up, and its tape with it. */
  unseat(stand: Stand, viewer: Viewer): void {
    stand.unseat(viewer);
    if (stand.size === 0) this.#stands.delete(stand.audience.key);
  }

  /** Settled when an entry comes that the receiver may see, or at the latest after `ms`. */
  nextFor(receiver: Receiver, ms: number, signal: AbortSignal): Promise<void> {
    return this.#waiters.nextFor(receiver, ms, signal);
  }

  take(entry: Entry): void {
    const { position } = this.intake;
    if (entry.offset > this.#takenUpTo + 1) this.holes.add(entry.offset - 1);
    this.#takenUpTo = entry.offset;
    // What was written in an older history says nothing of the present one.
    if (this.#sums.isDoubted && entry.epoch === position.epoch) this.#explainFall(counterOf(entry));
    const isNews = this.state.apply(entry);
    const ban = this.bans.heed(entry, (user) => this.attendance.has(user));
    if (ban !== null) this.#endBanned((who) => binds(ban, who), ban.reason);
    if (entry.kind === 'end') this.#endsAt = entry.offset;
    const frame = isNews || entry.kind !== 'state' ? this.#frame(entry, position) : null;
    const own = frame !== null && frame.targets === null ? this.#forNamed(entry, frame) : null;
    for (const stand of this.#stands.values()) this.#lay(stand, entry, frame, own);
    if (entry.kind === 'retract') takeBack(entry, this.#stands.values(), this.pages);
    this.#waiters.wake(entry);
    if (entry.kind === 'state') this.#noteSums();
    this.#flush.request(entry.at);
  }

  counted(counter: string, total: number): void {
    this.#explainFall({ counter, total });
    if (this.#sums.note(counter, total)) this.#flush.request();
  }

  watched(headcount: Headcount): void {
    if (this.watching.note(headcount)) this.#flush.request();
  }

  prolonged(user: UserId, grant: Grant | null): void {
    for (const visitor of this.attendance.visitorsOf(user)) visitor.renewed(grant);
  }

  /** How many watch, for a newcomer. What is not told yet is laid on the tapes first, for those alone who sit already. */
  watchedFrame(): string {
    this.#say(this.watching.news());
    return this.watching.frame;
  }

  lost(loss: Loss, state: RoomState): void {
    this.#setState(state);
    this.#takenUpTo = loss.to.offset;
    this.holes.clear();
    this.bans.clear();
    const gap = Buffer.from(gapFrame({ ...loss, lane: 'all' }) + this.state.wholeFrame());
    for (const stand of this.#stands.values()) {
      stand.tape.restart(loss.to);
      this.#tellLoss(stand, gap, loss.cause);
    }
    this.#waiters.wake(null);
    this.#flush.request();
  }

  renamed(position: Position): void {
    // What only a sum knew, and no entry yet, may be lost.
    this.#sums.doubt();
    for (const { tape } of this.#stands.values()) tape.pass(position);
  }

  async register(): Promise<void> {
    // Where entries were lost, a ban may be among them, or the lifting of one.
    for (const who of await this.attendance.register()) {
      this.#endBanned(({ id, role }) => id === who.id && role === who.role, null);
    }
  }

  hasUsers(): boolean {
    return this.attendance.size > 0;
  }

  isHere(users: readonly UserId[]): boolean {
    return users.some((user) => this.attendance.has(user));
  }

  #endBanned(isBanned: (who: Bannable) => boolean, reason: string | null): void {
    for (const viewer of [...this.viewers()]) if (isBanned(viewer.identity)) viewer.end('banned', reason);
  }

  /** The size to which bytes are handed to one viewer at a time. */
  get spanBytesMax(): number {
    return Math.ceil(this.#settings.viewerBytesMax / spansPerViewer);
  }

  #openStand(audience: AudienceClass): Stand {
    const tape = new Tape(this.intake.position, this.#settings.tapeBytesMax, this.spanBytesMax, this.#meter);
    const stand = new Stand(audience, tape, () => this.state.wholeFrame(), this.#meter);
    this.#stands.set(audience.key, stand);
    return stand;
  }

  /** Stands whose viewer was admitted and never came. */
  #dropEmptyStands(): void {
    for (const [key, stand] of this.#stands) if (stand.size === 0) this.#stands.delete(key);
  }

  #setState(state: RoomState): void {
    this.state.replace(state);
    this.#endsAt = state.ended ? state.tail.offset : null;
    this.#sums.reset((counter) => this.#totalOf(counter));
  }

  /** An entry as bytes, made once for all classes; null where nobody here is to get anything of it. */
  #frame(entry: Entry, position: Position): Frame | null {
    const targets = targetsOf(entry.audience);
    if (typeof entry.audience !== 'string' && !this.isHere(entry.audience)) {
      this.holes.add(entry.offset);
      return null;
    }
    return frameOf(entry, position, this.#settings.stateInlineBytes, targets);
  }

  /** What is for one user beyond its class, for that user; null where it is for none, or for one who is not here. */
  #forNamed(entry: Entry, frame: Frame): Frame | null {
    const [user] = namedIn(entry);
    if (user === undefined) return null;
    if (this.attendance.has(user)) return { ...frame, targets: new Set([user]) };
    this.holes.addFor(user, entry.offset);
    return null;
  }

  #lay(stand: Stand, entry: Entry, frame: Frame | null, own: Frame | null): void {
    const { audience, tape } = stand;
    if (entry.kind === 'gap' && isFor(entry, audience.receiver)) stand.toldOf('sampled');
    if (frame !== null && (frame.targets !== null || isOnTapeOf(entry, audience.receiver))) tape.add(frame);
    else if (own !== null && mayHoldOwn(entry.audience, audience.receiver)) tape.add(own);
    else tape.pass(this.intake.position);
  }

  #tellLoss(stand: Stand, gap: Buffer, cause: GapCause): void {
    stand.tape.say(gap);
    stand.toldOf(cause);
  }

  /** A counter runs back only after a gap and the whole state. */
  #explainFall(sum: { counter: string; total: number } | null): void {
    if (sum === null || !this.#sums.hasFallen(sum.counter, sum.total)) return;
    for (const stand of this.#stands.values()) {
      const { position } = stand.tape.end;
      const gap = gapFrame({ from: position, to: position, missed: null, lane: 'all', cause: 'failover' });
      this.#tellLoss(stand, Buffer.from(gap + this.state.wholeFrame()), 'failover');
    }
    this.#sums.reset((counter) => this.#totalOf(counter));
  }

  *#sweep(): Generator<void> {
    this.#say([...this.#sums.news(), ...this.watching.news()]);
    for (const stand of this.#stands.values()) yield* stand.sweep();
    if (!this.isEnded) return;
    for (const viewer of [...this.viewers()]) {
      viewer.end('ended');
      yield;
    }
  }

  #say(frames: Iterable<Buffer>): void {
    for (const frame of frames) for (const { tape } of this.#stands.values()) tape.say(frame);
  }

  /** A counter that became state says what it sums up to. */
  #noteSums(): void {
    for (const counter of counters) this.#sums.note(counter, this.#totalOf(counter));
  }

  #totalOf(counter: string): number {
    return totalIn(this.state.part(counter)?.value ?? null);
  }
}
