/**
 * How a viewer comes to its seat: it is told what its id is worth, gets the state, gets what it missed, and is seated
 * at the end of the tape, so that between history and live nothing is lost and nothing comes twice.
 *
 * The tape gathers for it from before the first read. While its place lies before the tape, pages are read from the
 * log; as soon as the tape covers its place, what is left is taken from there in one turn, in which nothing can be
 * added. Every read is judged like a resume of its own: if the log was trimmed or lost under a slow replay, the viewer
 * is told and goes on behind the gap.
 */

import { isFor } from '../fanout/audience.ts';
import { gapFrame } from '../fanout/gap.ts';
import type { HubCounters } from '../fanout/hub-counters.ts';
import type { ViewerSet } from '../fanout/viewer-set.ts';
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
import { binds, isSince } from '../room/bans.ts';
import { type Page, pageEntries } from '../room/page.ts';
import type { Room } from '../room/room.ts';
import { eventFrame, retryFrame } from '../stream/frame.ts';
import { Piece } from '../stream/piece.ts';
import type { Viewer, ViewerListener } from '../stream/viewer.ts';

/** What a client came with: an id, none, or something that is no id of ours. */
export type From = Position | null | 'unreadable';

export interface Joining {
  readonly room: Room;
  readonly viewerSet: ViewerSet;
  readonly viewer: Viewer;
  readonly from: From;
  /** How many of the latest events a first visit wants. */
  readonly history: number;
  /** The id that it came with may have been given to another user. */
  readonly isOtherUser: boolean;
  /** Read from the log after the user was put on record. */
  readonly tail: Tail;
  readonly retryMs: number;
  readonly hubCounters: HubCounters;
}

export interface CatchUpSettings {
  readonly replayEntriesMax: number;
}

/** How much further than asked history is looked for where entries are not for everybody. */
const historyLookback = 4;

export class CatchUp implements ViewerListener {
  readonly #log: RoomLog;
  readonly #settings: CatchUpSettings;
  readonly #joining: Joining;
  readonly #viewer: Viewer;
  #after: Followed;
  /** State up to here is in the snapshot that the viewer has. It may be of a later epoch than the viewer's place. */
  #stateAsOf: Position;
  /** The number of those who watch that it was told last, as a frame. */
  #watched = '';
  #wake: (() => void) | null = null;

  constructor(log: RoomLog, settings: CatchUpSettings, joining: Joining) {
    this.#log = log;
    this.#settings = settings;
    this.#joining = joining;
    this.#viewer = joining.viewer;
    const { epoch, offset, lineage } = joining.tail;
    this.#after = { epoch, offset, lineage };
    this.#stateAsOf = this.#after;
  }

  onDrained(): void {
    this.#wake?.();
  }

  onGone(): void {
    this.#wake?.();
  }

  /** Settled when the viewer has its seat or is gone. Rejects with the log's refusal where the log is away. */
  async run(): Promise<void> {
    const tail = await this.#reach(this.#joining.tail);
    if (tail === null) return;
    const judged = await this.#startFrom(tail);
    if (this.#viewer.isGone) return;
    this.#greet(judged, tail);
    while (!this.#viewer.isGone) {
      if (this.#takeSeat()) return;
      if (this.#viewer.isWaiting) await this.#flowing();
      else await this.#readPage();
    }
  }

  /** Brings the room up to a tail, or to a later one if the history changed meanwhile; null where the viewer left. */
  async #reach(tail: Tail): Promise<Tail | null> {
    const { room } = this.#joining;
    let reached = tail;
    for (;;) {
      await room.intake.reach(reached);
      if (this.#viewer.isGone) return null;
      if (room.intake.position.epoch === reached.epoch) return reached;
      reached = (await this.#log.read(room.id, null, 1)).tail;
    }
  }

  async #startFrom(tail: Tail): Promise<Judgement> {
    const { from, history } = this.#joining;
    const judged = judge(from, tail);
    if (judged.verdict === 'fresh' && history > 0) {
      return { ...judged, to: { epoch: tail.epoch, offset: await this.#historyStart(tail, history) } };
    }
    const oldest = tail.offset - this.#settings.replayEntriesMax;
    if (judged.to.offset >= oldest) return judged;
    const missed = judged.missed === null ? null : judged.missed + oldest - judged.to.offset;
    return { verdict: 'gap', to: { epoch: tail.epoch, offset: oldest }, missed, cause: judged.cause ?? 'trimmed' };
  }

  /** The offset after which the viewer has its latest `count` events, or as many of them as can be found nearby. */
  async #historyStart(tail: Tail, count: number): Promise<number> {
    const offset = Math.max(tail.first - 1, tail.offset - Math.min(count * historyLookback, pageEntries));
    const entries = await this.#entriesAfter({ epoch: tail.epoch, offset }, tail);
    // If much was written and trimmed since the tail was read, this may reach beyond it; state is known up to there only.
    const isHistory = ({ kind, offset }: Entry): boolean => offset <= tail.offset && kind !== 'state' && kind !== 'gap';
    const its = entries.filter((entry) => isHistory(entry) && isFor(entry, this.#viewer.identity));
    const first = its.at(-count) ?? its[0];
    return first === undefined ? tail.offset : first.offset - 1;
  }

  /** From a page that a crowd shares, unless it was read before the tail was. */
  async #entriesAfter(after: Position, tail: Tail): Promise<readonly Entry[]> {
    const { room } = this.#joining;
    const { reading } = await room.pages.read(after);
    if (reading.tail.epoch === tail.epoch && reading.tail.offset >= tail.offset) return reading.entries;
    return (await this.#log.read(room.id, after, pageEntries)).entries;
  }

  /** `retry`, `resume`, `state`, and how many watch: what every stream begins with. */
  #greet(judged: Judgement, tail: Tail): void {
    const { room, from, isOtherUser, retryMs } = this.#joining;
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
    this.#watched = room.watchedFrame();
    this.#viewer.send(Piece.private(retryFrame(retryMs) + resume + state + this.#watched));
  }

  #count({ verdict, cause }: Judgement): void {
    const { hubCounters } = this.#joining;
    hubCounters.joins[verdict] += 1;
    if (cause !== null) hubCounters.gaps[cause] += 1;
  }

  /** Where the tape covers the viewer's place: gives it the rest and its seat. False where it cannot be seated yet. */
  #takeSeat(): boolean {
    const { room, viewerSet } = this.#joining;
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
    // A number is laid on the tape once, for those who sit, and is no part of what is replayed.
    const watched = room.watchedFrame();
    if (watched !== this.#watched) this.#viewer.send(Piece.private(watched));
    viewerSet.seat(this.#viewer);
    return true;
  }

  /** Before the user was on record here, what named it passed this node by; from then on the tape has it. */
  #mayLackItsOwn(user: UserId): boolean {
    const { room, tail } = this.#joining;
    const { offset } = this.#after;
    return offset < tail.offset && offset < room.replayFloor.before(user);
  }

  async #readPage(): Promise<void> {
    const { room } = this.#joining;
    const { drops } = room.pages;
    const page = await room.pages.read(this.#after);
    const { reading } = page;
    if (this.#viewer.isGone) return;
    const judged = judgeFollowed(this.#after, reading.tail, this.#settings.replayEntriesMax);
    if (judged.verdict !== 'exact' || this.#isStateLost(reading.tail)) return this.#declare(judged, reading.tail);
    this.#after = { ...judged.to, lineage: reading.tail.lineage };
    await this.#send(page, drops);
    if (reading.entries.length === 0) await room.intake.reach(reading.tail);
  }

  /** Whether the snapshot that the viewer has holds changes that the log has lost, though its place is still good. */
  #isStateLost(tail: Tail): boolean {
    return judge(this.#stateAsOf, tail).cause === 'failover';
  }

  /** The log was trimmed or lost under the replay. */
  async #declare(judged: Judgement, tail: Tail): Promise<void> {
    const { room } = this.#joining;
    if ((await this.#reach(tail)) === null) return;
    const cause = judged.cause ?? 'failover';
    const missed = judged.verdict === 'gap' ? judged.missed : null;
    const gap = gapFrame({ from: this.#after, to: judged.to, missed, lane: 'all', cause });
    this.#joining.hubCounters.gaps[cause] += 1;
    this.#after = { ...judged.to, lineage: tail.lineage };
    this.#stateAsOf = { epoch: room.intake.position.epoch, offset: room.state.asOf };
    this.#viewer.send(Piece.private(gap + room.state.wholeFrame()));
  }

  /** Hands a page over in parts, each when the one before it has been taken, as long as nothing in it was retracted. */
  async #send(page: Page, drops: number): Promise<void> {
    const { identity } = this.#viewer;
    // The room ends its stream too, but may hear of it later than this page.
    const ban = page.bans.find((one) => binds(one, identity) && isSince(one, this.#joining.tail));
    if (ban !== undefined) return this.#viewer.end('banned', { reason: ban.reason });
    const user = identity.id;
    for (const { piece, upTo } of page.replayFor(this.#joining.viewerSet.audience, user, this.#stateAsOf.offset)) {
      if (this.#viewer.isWaiting) await this.#flowing();
      if (this.#joining.room.pages.drops !== drops) return;
      this.#viewer.send(piece);
      this.#after = { ...this.#after, offset: upTo };
    }
    const last = page.reading.entries.at(-1);
    if (last !== undefined) this.#after = { ...this.#after, offset: last.offset };
  }

  #flowing(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = null;
        resolve();
      };
    });
  }
}
