/**
 * Attaches a viewer: it gets the verdict on its id, the state and what it missed, and is attached at the end of the
 * tape. Between history and live no entry is lost or duplicated.
 *
 * The tape grows for the viewer from before the first read. While its place lies before the tape, pages are read from
 * the log. Once the tape covers its place, the rest is delivered from there in one turn, in which nothing can be added.
 * Every read is judged like a resume of its own: if the log was trimmed or lost during a slow replay, the viewer gets a
 * gap and continues after it.
 */

import { isFor } from '../fanout/audience.ts';
import { gapFrame } from '../fanout/gap.ts';
import type { HubCounters } from '../fanout/hub-counters.ts';
import {
  type Followed,
  formatPosition,
  type Judgement,
  judge,
  judgeFollowed,
  type Position,
  type Tail,
} from '../log/position.ts';
import type { RoomLog } from '../log/room-log.ts';
import type { Entry, UserId } from '../model.ts';
import { binds } from '../room/bans.ts';
import { type Page, pageEntries } from '../room/page.ts';
import { eventFrame, retryFrame } from '../stream/frame.ts';
import { Piece } from '../stream/piece.ts';
import type { Viewer } from '../stream/viewer.ts';
import type { Join } from './join.ts';

export interface CatchUpOptions {
  readonly log: Pick<RoomLog, 'read'>;
  readonly hubCounters: HubCounters;
  readonly replayEntriesMax: number;
  readonly retryMs: number;
}

/** Entries searched per event of history requested: some entries are not for every viewer. */
const historyLookback = 4;

export class CatchUp {
  readonly #join: Join;
  readonly #options: CatchUpOptions;
  readonly #viewer: Viewer;
  #after: Followed;
  /** The viewer's snapshot holds the state up to here. It may be of a later epoch than the viewer's place. */
  #stateAsOf: Position;
  /** The viewer count that it got last, as a frame. */
  #viewerCount = '';

  constructor(join: Join, options: CatchUpOptions) {
    this.#join = join;
    this.#options = options;
    this.#viewer = join.viewer;
    const { epoch, offset, lineage } = join.tail;
    this.#after = { epoch, offset, lineage };
    this.#stateAsOf = this.#after;
  }

  /** Settles when the viewer is attached or gone. Rejects with the log's refusal. */
  async run(): Promise<void> {
    const tail = await this.#reach(this.#join.tail);
    if (tail === null) return;
    const judged = await this.#startFrom(tail);
    if (this.#viewer.isGone) return;
    this.#greet(judged, tail);
    while (!this.#viewer.isGone) {
      if (this.#attach()) return;
      if (this.#viewer.isWaiting) await this.#join.flowing();
      else await this.#readPage();
    }
  }

  /** Brings the room up to a tail, or to a later one if the history changed meanwhile; null if the viewer left. */
  async #reach(tail: Tail): Promise<Tail | null> {
    const { room } = this.#join;
    let reached = tail;
    for (;;) {
      await room.intake.reach(reached);
      if (this.#viewer.isGone) return null;
      if (room.intake.position.epoch === reached.epoch) return reached;
      reached = (await this.#options.log.read(room.id, null, 1)).tail;
    }
  }

  async #startFrom(tail: Tail): Promise<Judgement> {
    const { from, history } = this.#join.request;
    const judged = judge(from, tail);
    if (judged.verdict === 'fresh' && history > 0) {
      return { ...judged, to: { epoch: tail.epoch, offset: await this.#historyStart(tail, history) } };
    }
    const oldest = tail.offset - this.#options.replayEntriesMax;
    if (judged.to.offset >= oldest) return judged;
    const missed = judged.missed === null ? null : judged.missed + oldest - judged.to.offset;
    return { verdict: 'gap', to: { epoch: tail.epoch, offset: oldest }, missed, cause: judged.cause ?? 'trimmed' };
  }

  /** The offset after which the viewer has its latest `count` events, or as many of them as are found nearby. */
  async #historyStart(tail: Tail, count: number): Promise<number> {
    const offset = Math.max(tail.first - 1, tail.offset - Math.min(count * historyLookback, pageEntries));
    const entries = await this.#entriesAfter({ epoch: tail.epoch, offset }, tail);
    // If much was written and trimmed since the tail was read, this may go beyond it. State ends at the tail.
    const isHistory = ({ kind, offset }: Entry): boolean => offset <= tail.offset && kind !== 'state' && kind !== 'gap';
    const its = entries.filter((entry) => isHistory(entry) && isFor(entry, this.#viewer.identity));
    const first = its.at(-count) ?? its[0];
    return first === undefined ? tail.offset : first.offset - 1;
  }

  /** From a shared page, unless that was read before the tail was. */
  async #entriesAfter(after: Position, tail: Tail): Promise<readonly Entry[]> {
    const { room } = this.#join;
    const { reading } = await room.pages.read(after);
    if (reading.tail.epoch === tail.epoch && reading.tail.offset >= tail.offset) return reading.entries;
    return (await this.#options.log.read(room.id, after, pageEntries)).entries;
  }

  /** `retry`, `resume`, `state` and the viewer count: the beginning of every stream. */
  #greet(judged: Judgement, tail: Tail): void {
    const { room, request } = this.#join;
    const { from, isOtherUser = false } = request;
    const { id, role } = this.#viewer.identity;
    const to = formatPosition({ epoch: tail.epoch, offset: judged.to.offset });
    const data = JSON.stringify({
      verdict: judged.verdict,
      from: from === null || from === 'unreadable' ? null : formatPosition(from),
      to,
      missed: judged.missed,
      cause: judged.cause,
      you: { id, role, ...(isOtherUser ? { changed: true } : {}) },
    });
    this.#count(judged);
    this.#after = { ...judged.to, lineage: tail.lineage };
    this.#stateAsOf = { epoch: room.intake.position.epoch, offset: room.state.asOf };
    const state = judged.verdict === 'exact' ? room.state.frameSince(judged.to.offset) : room.state.wholeFrame();
    const resume = eventFrame({ event: 'resume', id: to, data });
    this.#viewerCount = room.watchedFrame();
    this.#viewer.send(Piece.private(retryFrame(this.#options.retryMs) + resume + state + this.#viewerCount));
  }

  #count({ verdict, cause }: Judgement): void {
    const { hubCounters } = this.#options;
    hubCounters.joins[verdict] += 1;
    if (cause !== null) hubCounters.gaps[cause] += 1;
  }

  /** If the tape covers the viewer's place, delivers the rest and attaches it. False if it cannot be attached yet. */
  #attach(): boolean {
    const { room, viewerSet } = this.#join;
    if (this.#viewer.isWaiting) return false;
    const { tape } = viewerSet;
    if (tape.end.position.epoch !== this.#after.epoch || !tape.covers(this.#after.offset)) return false;
    const user = this.#viewer.identity.id;
    if (user !== null && this.#mayLackItsOwn(user)) return false;
    for (const { piece, upTo } of tape.replay({ user, after: this.#after.offset, stateAsOf: this.#stateAsOf.offset })) {
      this.#viewer.send(piece);
      this.#after = { ...this.#after, offset: upTo };
      if (this.#viewer.isWaiting) return false;
    }
    // A viewer count is laid on the tape once, for attached viewers, and is not replayed.
    const watched = room.watchedFrame();
    if (watched !== this.#viewerCount) this.#viewer.send(Piece.private(watched));
    viewerSet.attach(this.#viewer);
    return true;
  }

  /** Entries that name the user were not published to this node before its registration; the tape has later ones. */
  #mayLackItsOwn(user: UserId): boolean {
    const { room, tail } = this.#join;
    const { offset } = this.#after;
    return offset < tail.offset && offset < room.replayFloor.before(user);
  }

  async #readPage(): Promise<void> {
    const { room } = this.#join;
    const { drops } = room.pages;
    const page = await room.pages.read(this.#after);
    const { reading } = page;
    if (this.#viewer.isGone) return;
    const judged = judgeFollowed(this.#after, reading.tail, this.#options.replayEntriesMax);
    if (judged.verdict !== 'exact' || this.#isStateLost(reading.tail)) return this.#declare(judged, reading.tail);
    this.#after = { ...judged.to, lineage: reading.tail.lineage };
    await this.#send(page, drops);
    if (reading.entries.length === 0) await room.intake.reach(reading.tail);
  }

  /** Whether the viewer's snapshot holds changes that the log has lost, though its place is still valid. */
  #isStateLost(tail: Tail): boolean {
    return judge(this.#stateAsOf, tail).cause === 'failover';
  }

  /** The log was trimmed or lost during the replay. */
  async #declare(judged: Judgement, tail: Tail): Promise<void> {
    const { room } = this.#join;
    if ((await this.#reach(tail)) === null) return;
    const cause = judged.cause ?? 'failover';
    const missed = judged.verdict === 'gap' ? judged.missed : null;
    const gap = gapFrame({ from: this.#after, to: judged.to, missed, lane: 'all', cause });
    this.#options.hubCounters.gaps[cause] += 1;
    this.#after = { ...judged.to, lineage: tail.lineage };
    this.#stateAsOf = { epoch: room.intake.position.epoch, offset: room.state.asOf };
    this.#viewer.send(Piece.private(gap + room.state.wholeFrame()));
  }

  /** Delivers a page in parts, each after the previous one was sent, as long as nothing in it was retracted. */
  async #send(page: Page, drops: number): Promise<void> {
    const { identity } = this.#viewer;
    // The room notifies the viewer too, but may receive the ban after this page.
    for (const ban of page.bans) if (binds(ban, identity)) this.#join.banned(ban);
    if (this.#viewer.isGone) return;
    const user = identity.id;
    for (const { piece, upTo } of page.replayFor(this.#join.viewerSet.audience, user, this.#stateAsOf.offset)) {
      if (this.#viewer.isWaiting) await this.#join.flowing();
      if (this.#viewer.isGone || this.#join.room.pages.drops !== drops) return;
      this.#viewer.send(piece);
      this.#after = { ...this.#after, offset: upTo };
    }
    const last = page.reading.entries.at(-1);
    if (last !== undefined) this.#after = { ...this.#after, offset: last.offset };
  }
}
