/**
 * The request/response path: the same entries, through the same audience gate, for clients that poll. An answer holds
 * the entries after a cursor. With `waitMs` it waits for the first event that the client may see, while its token is
 * valid.
 */

import type { Clock } from '../clock.ts';
import { type Judgement, judge, type Position, type Tail } from '../log/position.ts';
import type { Entry, Identity, RoomId } from '../model.ts';
import { binds, isSince } from '../room/bans.ts';
import { type Page, pageEntries } from '../room/page.ts';
import type { Room } from '../room/room.ts';
import type { Visitor } from '../room/visitor.ts';
import { type Asker, askerOf } from './asker.ts';
import type { Hub } from './hub.ts';
import type { From } from './join.ts';
import { ReadLine } from './read-line.ts';
import { Shares } from './shares.ts';

export interface PullRequest {
  readonly room: RoomId;
  readonly identity: Identity;
  readonly after: From;
  /** Entries examined for one answer. */
  readonly limit: number;
  readonly waitMs: number;
  /** Aborted when the client disconnects. */
  readonly signal: AbortSignal;
  /** The address of a client without a token. */
  readonly address?: string;
}

export interface Pulled {
  readonly judged: Judgement;
  /** The events as the text of a JSON array. */
  readonly events: Buffer;
  /** The cursor of the next request. */
  readonly next: Position;
  /** How long the client may wait before it polls again. */
  readonly nextPollMs: number;
  /** The room's last offset when it was read. */
  readonly tailOffset: number;
}

export interface PullSettings {
  readonly pullsMax: number;
  readonly userPullsMax: number;
  readonly addressPullsMax: number;
}

const busyPollMs = 1_000;
const quietPollMs = 3_000;
/** First reads of the log under way at a time; pulls that waited and are woken share their reads. */
const looksAtOnce = 4;
/** Clients that request at most this many entries share pages of this size. */
const smallPage = 100;
const noEvents = Buffer.from('[]');

interface Look extends Pulled {
  readonly count: number;
}

/**
 * `share`: the client has as many requests under way as allowed. `overloaded`: a limit shared by all clients.
 * `expired`: the token was valid when the request arrived, and is not any more.
 */
export type NotPulled = 'banned' | 'overloaded' | 'share' | 'expired';

/** A pull that the log has admitted. */
interface Visit {
  readonly room: Room;
  readonly visitor: Visitor;
  /** Aborted when the user's rights are no longer those of its token. */
  readonly outdated: AbortSignal;
  readonly tail: Tail;
}

export class Pull {
  readonly #hub: Hub;
  readonly #settings: PullSettings;
  readonly #clock: Clock;
  readonly #line: ReadLine;
  readonly #underWay = new Shares();
  #waiting = 0;

  constructor(hub: Hub, settings: PullSettings, clock: Clock) {
    this.#hub = hub;
    this.#settings = settings;
    this.#clock = clock;
    this.#line = new ReadLine(looksAtOnce, settings.pullsMax);
  }

  /** Rejects with the log's refusal if the log is unavailable. */
  async pull(request: PullRequest): Promise<Pulled | NotPulled> {
    const asker = askerOf(request.identity, request.address);
    if (!this.#underWay.take(asker.key, this.#underWayMax(asker))) return 'share';
    try {
      return await this.#pull(request, asker);
    } finally {
      this.#underWay.give(asker.key);
    }
  }

  #underWayMax({ isNamed, isPlatform }: Asker): number {
    if (isPlatform) return Number.POSITIVE_INFINITY;
    return isNamed ? this.#settings.userPullsMax : this.#settings.addressPullsMax;
  }

  async #pull(request: PullRequest, asker: Asker): Promise<Pulled | NotPulled> {
    const found = await this.#hub.use(request.room, asker);
    if (found === null) return 'overloaded';
    const { room, done } = found;
    const outdated = new AbortController();
    const visitor = {
      identity: request.identity,
      prolonged: (identity: Identity) => {
        visitor.identity = identity;
      },
      outdated: () => outdated.abort(),
      // `upToBan` ends its events with the ban.
      banned: () => undefined,
    };
    try {
      const { banned, ended, tail } = await room.attendance.enter(visitor);
      if (banned) return 'banned';
      const visit = { room, visitor, outdated: outdated.signal, tail };
      const first = await this.#firstLook(request, visit);
      if (first === null) return 'overloaded';
      const mayWait = request.waitMs > 0 && first.judged.verdict !== 'reset' && !ended;
      const isOver = first.count > 0 || !mayWait || this.#waiting >= this.#settings.pullsMax;
      const last = isOver ? first : await this.#wait(request, visit, first);
      if (visitor.identity.expiresAtMs <= this.#clock.now()) return 'expired';
      // The events were selected by the user's old rights: the client asks again at once, with the new ones.
      return outdated.signal.aborted
        ? { ...last, judged: first.judged, events: noEvents, next: first.judged.to, nextPollMs: 0 }
        : last;
    } finally {
      room.attendance.leave(visitor);
      done();
    }
  }

  /** Null if too many pulls wait for a read. */
  async #firstLook(request: PullRequest, visit: Visit): Promise<Look | null> {
    const { after } = request;
    if (after !== null && after !== 'unreadable') {
      return this.#line.run(() => this.#look(request, visit, after, visit.tail));
    }
    // This client begins at the end of the log, and nothing follows that.
    const judged = judge(after, visit.tail);
    const tailOffset = visit.tail.offset;
    return { judged, events: noEvents, count: 0, next: judged.to, nextPollMs: quietPollMs, tailOffset };
  }

  async #wait(request: PullRequest, visit: Visit, first: Look): Promise<Pulled> {
    const { room, visitor, outdated } = visit;
    this.#waiting += 1;
    const found = new AbortController();
    try {
      const signal = AbortSignal.any([request.signal, outdated, found.signal]);
      const leftMs = visitor.identity.expiresAtMs - this.#clock.now();
      const heard = room.nextFor(request.identity, Math.min(request.waitMs, leftMs), signal);
      // A second look finds what was logged between the first look and the wait.
      let look = await this.#look(request, visit, first.next, room.intake.position);
      if (look.count === 0 && look.judged.verdict === 'exact') {
        await heard;
        look = await this.#look(request, visit, look.next, room.intake.position);
      }
      return look.judged.verdict === 'exact' ? { ...look, judged: first.judged } : look;
    } finally {
      found.abort();
      this.#waiting -= 1;
    }
  }

  /** What the log holds after a position, as of `upTo` or later. */
  async #look({ identity, limit }: PullRequest, visit: Visit, after: Position, upTo: Position): Promise<Look> {
    const page = await visit.room.pages.readUpTo(after, limit > smallPage ? pageEntries : smallPage, upTo);
    const { tail, entries } = page.reading;
    const judged = judge(after, tail);
    const some = upToBan(page, identity, visit.tail).slice(0, limit);
    const { count, json } = some.length === entries.length ? page.eventsFor(identity) : page.eventsOf(some, identity);
    const last = some.at(-1);
    const next = last === undefined ? judged.to : { epoch: tail.epoch, offset: last.offset };
    return { judged, events: json, count, next, nextPollMs: pollMs(some.length, limit), tailOffset: tail.offset };
  }
}

/** A user banned since its admission gets the ban, and nothing after it. */
function upToBan({ reading, bans }: Page, identity: Identity, tail: Tail): readonly Entry[] {
  const ban = bans.find((one) => binds(one, identity) && isSince(one, tail));
  return ban === undefined ? reading.entries : reading.entries.filter(({ offset }) => offset <= ban.offset);
}

function pollMs(found: number, limit: number): number {
  if (found >= limit) return 0;
  return found > 0 ? busyPollMs : quietPollMs;
}
