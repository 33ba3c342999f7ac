/**
 * The request/response way: the same entries, through the same gate, for clients that ask. One answer holds what came
 * after a cursor; with `waitMs` the answer waits for the first event that the client may see.
 */

import { type Judgement, judge, type Position, type Tail } from '../log/position.ts';
import type { Reading, RoomLog } from '../log/room-log.ts';
import type { Entry, Identity, RoomId } from '../signal.ts';
import { isFor } from './audience.ts';
import { binds, isSince, readBan } from './bans.ts';
import type { From } from './catch-up.ts';
import { type EntryEvent, eventOf } from './entry-frame.ts';
import type { Hub, Visit } from './hub.ts';

export interface PullRequest {
  readonly room: RoomId;
  readonly identity: Identity;
  readonly after: From;
  /** How many entries are looked through for one answer. */
  readonly limit: number;
  readonly waitMs: number;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

export interface Pulled {
  readonly judged: Judgement;
  readonly events: readonly EntryEvent[];
  /** The cursor of the next request. */
  readonly next: Position;
  /** How long the client may well wait before it asks again. */
  readonly nextPollMs: number;
}

export interface PullSettings {
  readonly stateInlineBytes: number;
  readonly pullsMax: number;
}

const busyPollMs = 1_000;
const quietPollMs = 3_000;

export class Pull {
  readonly #hub: Hub;
  readonly #log: RoomLog;
  readonly #settings: PullSettings;
  #waiting = 0;

  constructor(hub: Hub, log: RoomLog, settings: PullSettings) {
    this.#hub = hub;
    this.#log = log;
    this.#settings = settings;
  }

  /** Rejects with the log's refusal where the log is away. */
  async pull(request: PullRequest): Promise<Pulled | 'banned' | 'overloaded'> {
    const visit = await this.#hub.visit(request.room, request.identity);
    if (typeof visit === 'string') return visit;
    try {
      const first = await this.#read(request, visit.tail, request.after);
      const mayWait = request.waitMs > 0 && first.judged.verdict !== 'reset' && !visit.isEnded;
      if (first.events.length > 0 || !mayWait || this.#waiting >= this.#settings.pullsMax) return first;
      return await this.#wait(request, visit, first);
    } finally {
      visit.leave();
    }
  }

  async #wait(request: PullRequest, { room, tail }: Visit, first: Pulled): Promise<Pulled> {
    this.#waiting += 1;
    const found = new AbortController();
    try {
      const signal = AbortSignal.any([request.signal, found.signal]);
      const heard = room.nextFor(request.identity, request.waitMs, signal);
      // What came between the first look and the waiting is found by a second look.
      let look = await this.#read(request, tail, first.next);
      if (look.events.length === 0 && look.judged.verdict === 'exact') {
        await heard;
        look = await this.#read(request, tail, look.next);
      }
      return look.judged.verdict === 'exact' ? { ...look, judged: first.judged } : look;
    } finally {
      found.abort();
      this.#waiting -= 1;
    }
  }

  /** `tail`: with which the log let the client in. */
  async #read({ room, identity, limit }: PullRequest, tail: Tail, after: From): Promise<Pulled> {
    const position = after === 'unreadable' ? null : after;
    const reading = upToBan(await this.#log.read(room, position, limit), identity, tail);
    const judged = judge(after, reading.tail);
    const events = reading.entries
      .filter((entry) => isFor(entry, identity))
      .flatMap((entry) => eventOf(entry, this.#settings.stateInlineBytes) ?? []);
    return { judged, events, next: nextOf(reading, judged), nextPollMs: pollMs(reading, limit) };
  }
}

/** Whoever is banned since it was let in is told of that, and gets nothing that came after. */
function upToBan(reading: Reading, identity: Identity, tail: Tail): Reading {
  const isBan = (entry: Entry): boolean => {
    const ban = entry.kind === 'ban' ? readBan(entry) : null;
    return ban !== null && binds(ban, identity) && isSince(ban, tail);
  };
  const index = reading.entries.findIndex(isBan);
  return index === -1 ? reading : { ...reading, entries: reading.entries.slice(0, index + 1) };
}

const nextOf = ({ entries, tail }: Reading, judged: Judgement): Position => {
  const last = entries.at(-1);
  return last === undefined ? judged.to : { epoch: tail.epoch, offset: last.offset };
};

function pollMs({ entries }: Reading, limit: number): number {
  if (entries.length >= limit) return 0;
  return entries.length > 0 ? busyPollMs : quietPollMs;
}
