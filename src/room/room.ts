/**
 * One room on this node: its viewers here, and what they get. The intake passes each entry once and in order. The room
 * frames every entry once, lays it on the tape of each class that the audience gate allows, and flushes it. The room
 * also keeps what a newcomer needs: the current state, and the users with a stream here.
 */

import type { Clock } from '../clock.ts';
import { type AudienceClass, classOf, isFor, namedIn, type Receiver, targetsOf } from '../fanout/audience.ts';
import { Flush } from '../fanout/flush.ts';
import { gapFrame, type Loss } from '../fanout/gap.ts';
import type { HubCounters } from '../fanout/hub-counters.ts';
import type { Frame } from '../fanout/span.ts';
import { Tape } from '../fanout/tape.ts';
import { ViewerSet } from '../fanout/viewer-set.ts';
import type { Backend } from '../log/backend.ts';
import type { GapCause, Position } from '../log/position.ts';
import type { Presence, ViewerCount } from '../log/presence.ts';
import type { RoomState } from '../log/room-log.ts';
import type { Entry, Grant, RoomId, UserId } from '../model.ts';
import type { Settings } from '../settings.ts';
import { spansPerViewer, type Viewer } from '../stream/viewer.ts';
import { Attendance } from './attendance.ts';
import { readBan } from './bans.ts';
import { frameFor, frameOf, ownFrame } from './entry-frame.ts';
import { Intake, type Sink } from './intake.ts';
import { Pages } from './page.ts';
import { ReplayFloor } from './replay-floor.ts';
import { retractFrom } from './retraction.ts';
import { StateView } from './room-state.ts';
import { counterOf, counters, Sums, totalIn } from './sums.ts';
import { ShownViewerCount } from './viewer-count.ts';
import { Waiters } from './waiters.ts';

export type RoomSettings = Pick<
  Settings,
  | 'flushMs'
  | 'tapeBytesMax'
  | 'viewerBytesMax'
  | 'stateInlineBytes'
  | 'audienceClassesMax'
  | 'replayEntriesMax'
  | 'viewerCountMs'
>;

export class Room implements Sink {
  readonly id: RoomId;
  readonly intake: Intake;
  readonly state: StateView;
  readonly attendance: Attendance;
  /** The log's pages, for viewers that return and for pulls. */
  readonly pages: Pages;
  /** Unix milliseconds since when the room is not in use here; null while it is. */
  idleSinceMs: number | null;
  readonly shownViewerCount: ShownViewerCount;
  /** What the tapes may lack for users that return. */
  readonly replayFloor = new ReplayFloor();
  readonly #presence: Presence;
  readonly #settings: RoomSettings;
  readonly #clock: Clock;
  readonly #hubCounters: HubCounters;
  readonly #flush: Flush;
  readonly #viewerSets = new Map<string, ViewerSet>();
  /** Viewers whose registration the log has not answered yet. */
  readonly #entering = new Set<Viewer>();
  #openStreams = 0;
  readonly #sums = new Sums();
  readonly #waiters: Waiters;
  /** The newest entry applied. A jump beyond the next offset skips direct signals for other nodes. */
  #appliedUpTo = 0;
  #uses = 0;
  /** The room has ended once this offset is reached; null while it has not ended. */
  #endsAt: number | null = null;

  constructor(id: RoomId, backend: Backend, settings: RoomSettings, clock: Clock, hubCounters: HubCounters) {
    const { log, presence } = backend;
    this.id = id;
    this.#presence = presence;
    this.#settings = settings;
    this.#clock = clock;
    this.#hubCounters = hubCounters;
    this.#waiters = new Waiters(clock);
    this.idleSinceMs = clock.now();
    this.state = new StateView(settings.stateInlineBytes);
    this.intake = new Intake(id, log, clock, this, settings.replayEntriesMax);
    this.attendance = new Attendance(id, presence, this.intake);
    const { stateInlineBytes } = settings;
    this.pages = new Pages(id, log, clock, { stateInlineBytes, spanBytesMax: this.spanBytesMax });
    this.shownViewerCount = new ShownViewerCount({
      clock,
      riseMs: settings.viewerCountMs,
      ownViewers: () => this.size,
      onNews: () => this.#flush.request(),
    });
    this.#flush = new Flush(
      clock,
      settings.flushMs,
      () => this.#sweep(),
      (swept) => {
        if (this.#viewerSets.size > 0) hubCounters.swept(swept, clock.now());
      },
    );
  }

  async open(): Promise<void> {
    const state = await this.intake.open();
    this.#setState(state);
    this.#appliedUpTo = state.tail.offset;
    this.intake.begin();
  }

  async close(): Promise<void> {
    this.#flush.close();
    this.shownViewerCount.close();
    this.pages.close();
    this.#waiters.wake(null);
    await this.intake.close();
  }

  /**
   * Reports this node and its viewer count to the log, and checks whether entries were missed. Returns after how many
   * milliseconds the log wants the next renewal; 0: at our own pace. Rejects with the log's refusal.
   */
  async renew(): Promise<number> {
    // Before the room has been read, it has no viewers.
    if (!this.intake.isOpen) return 0;
    const call = this.intake.leaseCall();
    const { shown } = this.shownViewerCount;
    const renewed = await this.#presence.renew(this.id, this.size, call.position, shown);
    this.shownViewerCount.renewed(renewed);
    this.intake.leased(call, { ...renewed, lapsed: renewed.lapsed && this.hasUsers() });
    this.intake.compare(renewed.tail);
    return renewed.againMs;
  }

  /** Marks the room as in use until the returned function is called. */
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

  reserve(viewer: Viewer): void {
    this.#entering.add(viewer);
  }

  /**
   * The log admitted a viewer. Returns its class's viewer set, whose tape grows from now on; null at the class limit.
   */
  admit(viewer: Viewer): ViewerSet | null {
    const audience = classOf(viewer.identity);
    const known = this.#viewerSets.get(audience.key);
    if (known === undefined && this.#viewerSets.size >= this.#settings.audienceClassesMax) return null;
    const viewerSet = known ?? this.#openViewerSet(audience);
    viewerSet.add(viewer);
    this.#entering.delete(viewer);
    return viewerSet;
  }

  /** A viewer has its socket. */
  opened(): void {
    this.#openStreams += 1;
  }

  get isEnded(): boolean {
    return this.#endsAt !== null && this.intake.position.offset >= this.#endsAt;
  }

  /** Open streams. */
  get size(): number {
    return this.#openStreams;
  }

  /** Viewers here, including joining ones. */
  *viewers(): Generator<Viewer> {
    for (const viewerSet of this.#viewerSets.values()) yield* viewerSet.viewers();
    yield* this.#entering;
  }

  /** A viewer left. An empty viewer set is dropped with its tape. */
  remove(viewer: Viewer, viewerSet: ViewerSet | null): void {
    if (viewer.isOpen) this.#openStreams -= 1;
    this.#entering.delete(viewer);
    viewerSet?.remove(viewer);
    if (viewerSet?.size === 0) this.#viewerSets.delete(viewerSet.audience.key);
  }

  /** Settles when an entry arrives that the receiver may see, when `signal` aborts, or after `ms` at the latest. */
  nextFor(receiver: Receiver, ms: number, signal: AbortSignal): Promise<void> {
    return this.#waiters.nextFor(receiver, ms, signal);
  }

  apply(entry: Entry): void {
    const { position } = this.intake;
    if (entry.offset > this.#appliedUpTo + 1) this.replayFloor.add(entry.offset - 1);
    this.#appliedUpTo = entry.offset;
    // An entry of an older history says nothing about the sums of the present one.
    if (this.#sums.isDoubted && entry.epoch === position.epoch) this.#explainFall(counterOf(entry));
    const isNews = this.state.apply(entry);
    const ban = entry.kind === 'ban' ? readBan(entry) : null;
    if (ban !== null) this.attendance.ban(ban);
    if (entry.kind === 'end') this.#endsAt = entry.offset;
    const frame = isNews || entry.kind !== 'state' ? this.#frame(entry, position) : null;
    const own = frame !== null && frame.targets === null ? this.#forNamed(entry, frame) : null;
    for (const viewerSet of this.#viewerSets.values()) this.#lay(viewerSet, entry, frame, own);
    if (entry.kind === 'retract') retractFrom(entry, this.#viewerSets.values(), this.pages);
    this.#waiters.wake(entry);
    if (entry.kind === 'state') this.#noteSums();
    this.#flush.request(entry.at);
  }

  counted(counter: string, total: number): void {
    this.#explainFall({ counter, total });
    if (this.#sums.note(counter, total)) this.#flush.request();
  }

  watched(sum: ViewerCount): void {
    this.shownViewerCount.note(sum);
  }

  prolonged(user: UserId, grant: Grant | null): void {
    this.attendance.renew(user, grant);
  }

  /** The viewer count for a newcomer. A pending count is laid on the tapes first, for attached viewers alone. */
  watchedFrame(): string {
    this.#addControl(this.shownViewerCount.news());
    return this.shownViewerCount.frame;
  }

  lost(loss: Loss, state: RoomState): void {
    this.#setState(state);
    this.#appliedUpTo = loss.to.offset;
    this.replayFloor.clear();
    const gap = Buffer.from(gapFrame({ ...loss, lane: 'all' }) + this.state.wholeFrame());
    for (const viewerSet of this.#viewerSets.values()) {
      viewerSet.tape.restart(loss.to);
      this.#declareLoss(viewerSet, gap, loss.cause);
    }
    this.#waiters.wake(null);
    this.#flush.request();
  }

  renamed(position: Position): void {
    // Counts that no entry holds yet may be lost.
    this.#sums.doubt();
    for (const { tape } of this.#viewerSets.values()) tape.pass(position);
  }

  register(): Promise<void> {
    return this.attendance.register();
  }

  hasUsers(): boolean {
    return this.attendance.size > 0;
  }

  isHere(users: readonly UserId[]): boolean {
    return users.some((user) => this.attendance.has(user));
  }

  /** About how many bytes one viewer gets at a time. */
  get spanBytesMax(): number {
    return Math.ceil(this.#settings.viewerBytesMax / spansPerViewer);
  }

  #openViewerSet(audience: AudienceClass): ViewerSet {
    const tape = new Tape(this.intake.position, this.#settings.tapeBytesMax, this.spanBytesMax, this.#hubCounters);
    const viewerSet = new ViewerSet(audience, tape, () => this.state.wholeFrame(), this.#hubCounters);
    this.#viewerSets.set(audience.key, viewerSet);
    return viewerSet;
  }

  #setState(state: RoomState): void {
    this.state.replace(state);
    this.#endsAt = state.ended ? state.tail.offset : null;
    this.#sums.reset((counter) => this.#totalOf(counter));
  }

  /** An entry as bytes, framed once for all classes; null if no viewer here gets any of it. */
  #frame(entry: Entry, position: Position): Frame | null {
    const targets = targetsOf(entry.audience);
    if (typeof entry.audience !== 'string' && !this.isHere(entry.audience)) {
      this.replayFloor.add(entry.offset);
      return null;
    }
    return frameOf(entry, position, this.#settings.stateInlineBytes, targets);
  }

  /** The frame of an entry for one user beyond its class; null if there is no such user, or the user is not here. */
  #forNamed(entry: Entry, frame: Frame): Frame | null {
    const [user] = namedIn(entry);
    if (user === undefined) return null;
    if (this.attendance.has(user)) return ownFrame(frame, user);
    this.replayFloor.addFor(user, entry.offset);
    return null;
  }

  #lay(viewerSet: ViewerSet, entry: Entry, frame: Frame | null, own: Frame | null): void {
    const { audience, tape } = viewerSet;
    if (entry.kind === 'gap' && isFor(entry, audience.receiver)) viewerSet.countGaps('sampled');
    const its = frameFor(audience, entry, frame, own);
    if (its === null) tape.pass(this.intake.position);
    else tape.add(its);
  }

  #declareLoss(viewerSet: ViewerSet, gap: Buffer, cause: GapCause): void {
    viewerSet.tape.addControl(gap);
    viewerSet.countGaps(cause);
  }

  /** Publishes a gap and the whole state before a counter falls. */
  #explainFall(sum: { counter: string; total: number } | null): void {
    if (sum === null || !this.#sums.hasFallen(sum.counter, sum.total)) return;
    for (const viewerSet of this.#viewerSets.values()) {
      const { position } = viewerSet.tape.end;
      const gap = gapFrame({ from: position, to: position, missed: null, lane: 'all', cause: 'failover' });
      this.#declareLoss(viewerSet, Buffer.from(gap + this.state.wholeFrame()), 'failover');
    }
    this.#sums.reset((counter) => this.#totalOf(counter));
  }

  *#sweep(): Generator<void> {
    this.#addControl([...this.#sums.news(), ...this.shownViewerCount.news()]);
    for (const viewerSet of this.#viewerSets.values()) yield* viewerSet.sweep();
    if (!this.isEnded) return;
    for (const viewer of [...this.viewers()]) {
      viewer.end('ended');
      yield;
    }
  }

  #addControl(frames: Iterable<Buffer>): void {
    for (const frame of frames) for (const { tape } of this.#viewerSets.values()) tape.addControl(frame);
  }

  /** Notes the sum of each counter that became state. */
  #noteSums(): void {
    for (const counter of counters) this.#sums.note(counter, this.#totalOf(counter));
  }

  #totalOf(counter: string): number {
    return totalIn(this.state.part(counter)?.value ?? null);
  }
}
