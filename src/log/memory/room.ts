/**
 * One room of the embedded log: what a write means and what a reader gets. Every method is one synchronous step, and so
 * atomic within one process. It knows nodes only by name, and no network. `memory-log` finds the room, passes the time,
 * and delivers what the room publishes.
 */

import { Refusal } from '../../errors.ts';
import type { Entry, Grant, Role, UserId } from '../../model.ts';
import { formatPosition, judge, type Position, type Tail } from '../position.ts';
import { type Entered, type Renewed, sameCount, type ViewerCount } from '../presence.ts';
import {
  type Appended,
  type Change,
  isSampled,
  type LogMessage,
  noParts,
  onceTtlMs,
  type Reader,
  type Reading,
  type RoomState,
  type Rule,
  sampledChat,
  type Write,
} from '../room-log.ts';
import { conforms, declare, declaredInMs, noteSampledOut } from './chat.ts';
import { checkWrite, rateKey, refuse } from './check.ts';
import { countViewers, lease, noteEntered, noteLeft, whereIs } from './directory.ts';
import {
  beginEpoch,
  countUp,
  findSeen,
  keep,
  keptCount,
  type MemoryLimits,
  type NewEntry,
  newEpoch,
  newRecord,
  partsAfter,
  type RoomRecord,
  remainsOf,
  take,
  trimRoom,
} from './record.ts';
import { retract } from './retract.ts';
import { isBound, keepRules, listRules, setRule } from './rules.ts';

/** Publishes a message to all nodes that follow the room (null), or to the named ones among them. */
export type Publish = (message: LogMessage, nodes: ReadonlySet<string> | null) => void;

/** Idempotency keys per room. One more is refused with `overloaded`: dropping a key would break a promise. */
export const onceKeysMax = 100_000;
/** How long a room without any write outlives its last stream. */
const idleRoomMs = 120_000;
/** The minimum time between two publications of one counter. */
const countPublishMs = 100;

/** What a node reports when it renews; see `Presence.renew`. */
export interface Renewal {
  readonly node: string;
  readonly viewers: number;
  readonly seen: Position | null;
  readonly shown: ViewerCount | null;
}

type Kept = Extract<Appended, { outcome: 'kept' }>;
/** `position` and `at` if they are not those of the room's last entry. */
type Result = Pick<Kept, 'connected' | 'total' | 'pending'> & Partial<Pick<Kept, 'position' | 'at'>>;

export class MemoryRoom {
  readonly record: RoomRecord;
  readonly #limits: MemoryLimits;
  readonly #publish: Publish;

  constructor(limits: MemoryLimits, publish: Publish, record: RoomRecord) {
    this.#limits = limits;
    this.#publish = publish;
    this.record = record;
  }

  /** Creates a room; if `old`, its expired predecessor, is given, with the rules and the end that outlive it. */
  static create(limits: MemoryLimits, publish: Publish, run: number, now: number, old?: RoomRecord): MemoryRoom {
    const remains = old === undefined ? null : remainsOf(old, now);
    const record = { ...newRecord(newEpoch(), run, now + idleRoomMs), ...remains, isWritten: remains !== null };
    const room = new MemoryRoom(limits, publish, record);
    room.#outlive(now);
    return room;
  }

  /** A restarted store may have lost its latest entries without a trace, so the offsets get a new epoch. */
  fence(run: number): void {
    const { record } = this;
    if (record.run === run) return;
    beginEpoch(record, run);
  }

  tail(now: number): Tail {
    const { record } = this;
    trimRoom(record, this.#limits, now);
    const first = record.offset - keptCount(record.entries) + 1;
    return { epoch: record.epoch, offset: record.offset, first, lineage: [...record.lineage] };
  }

  append(write: Write, now: number): Appended {
    const { record } = this;
    const onceKey = write.once && `${write.by} ${write.once.key}`;
    const seen = onceKey === null ? undefined : findSeen(record.seen, onceKey, now);
    if (seen) {
      return seen.digest === write.once?.digest ? { ...seen.answer, repeated: true } : refuse('key-reused');
    }
    const refused = checkWrite(record, write, this.#limits, now);
    if (refused) return refused;
    if (onceKey !== null && record.seen.size >= onceKeysMax) {
      throw new Refusal('overloaded', 'The room has reached its limit of idempotency keys.');
    }

    if (write.rate) take(record.rates, rateKey(write.rate, write.by), write.rate, now);
    const result = this.#apply(write, now);
    record.isWritten = true;
    this.#outlive(now);
    const answer: Kept = {
      outcome: 'kept',
      position: { epoch: record.epoch, offset: record.offset },
      at: now,
      repeated: false,
      ...result,
    };
    if (onceKey !== null && write.once) {
      record.seen.set(onceKey, { digest: write.once.digest, answer, forgetAtMs: now + onceTtlMs });
    }
    return answer;
  }

  settle(name: string, now: number): number {
    const { ended, counters, chat } = this.record;
    if (ended) return 0;
    if (counters.get(name)?.isPending) this.#settle(name, now);
    const waitMs = name === sampledChat ? declaredInMs(chat, now) : null;
    if (waitMs === 0) this.#declare(now);
    return waitMs ?? 0;
  }

  read(after: Position | null, limit: number, now: number): Reading {
    const tail = this.tail(now);
    const { list, head } = this.record.entries;
    const start = head + judge(after, tail).to.offset + 1 - tail.first;
    const entries = list.slice(start, start + Math.max(0, limit));
    return { tail, entries, retracted: this.record.retracted };
  }

  readState(reader: Reader | null, known: Position | null, now: number): RoomState {
    const tail = this.tail(now);
    const { total, parts, ended } = this.record;
    const since = known?.epoch === tail.epoch ? { since: known.offset } : {};
    const banned = reader !== null && this.#isBanned(reader, now);
    const after = known?.epoch === noParts.epoch ? known.offset : (since.since ?? -1);
    return { tail, total, parts: partsAfter(parts, after), banned, ended, ...since };
  }

  readRules(now: number): Rule[] {
    return listRules(this.record.rules, now);
  }

  enter(node: string, user: UserId | null, role: Role, now: number): Entered {
    if (!this.record.isWritten) this.#outlive(now);
    const banned = this.#isBanned({ id: user, role }, now);
    const isPut = user !== null && !banned;
    const lapsed = isPut && noteEntered(this.record.directory, node, user, now).lapsed;
    return { tail: this.tail(now), ended: this.record.ended, banned, lapsed };
  }

  leave(node: string, user: UserId): void {
    noteLeft(this.record.directory, node, user);
  }

  prolong(user: UserId, grant: Grant | null, now: number): void {
    this.#publish({ type: 'prolong', user, grant }, whereIs(this.record.directory, [user], now).nodes);
  }

  renew({ node, viewers, seen, shown }: Renewal, now: number): Renewed {
    this.#outlive(now);
    const { record } = this;
    const { directory } = record;
    if (seen?.epoch === record.epoch && seen.offset > record.offset) beginEpoch(record, record.run);
    const { lapsed } = lease(directory, node, now, viewers);
    const sum = countViewers(directory, now);
    if (!sameCount(sum, record.sum)) this.#publish({ type: 'audience', ...sum }, null);
    record.sum = sum;
    record.shown = shown ?? record.shown;
    return { tail: this.tail(now), lapsed, sum, shown: record.shown, againMs: 0 };
  }

  #isBanned(reader: Reader, now: number): boolean {
    return isBound(this.record.rules, 'ban', reader, now);
  }

  #apply({ change, role }: Write, now: number): Result {
    switch (change.type) {
      case 'event': {
        if (!isSampled(change)) return { connected: this.#add(change, now), total: 0, pending: false };
        this.#add(this.#isSampledOut(now) ? { ...change, status: 'sampled-out' } : change, now);
        return { connected: 0, total: 0, pending: this.record.chat.undeclared > 0 };
      }
      case 'put':
        this.#setPart(change.part, change.value, now);
        break;
      case 'remove':
        this.#setPart(change.part, null, now);
        break;
      case 'count':
        return { connected: 0, ...this.#count(change.counter, change.by, now) };
      case 'tally':
        return this.#streamCounters(change, now);
      case 'retract':
        return {
          connected: 0,
          total: 0,
          pending: false,
          ...retract(this.record, change, (told) => this.#add(told, now)),
        };
      case 'rule':
        setRule(this.record.rules, change, role, now);
        this.#add({ kind: change.kind, lane: 'must', audience: `staff:${change.user}`, body: change.body }, now);
        break;
      case 'end':
        for (const [name, { isPending }] of this.record.counters) if (isPending) this.#settle(name, now);
        if (this.record.chat.undeclared > 0) this.#declare(now);
        this.#add({ kind: 'end', lane: 'must', audience: 'all', body: change.body }, now);
        this.record.ended = true;
        break;
    }
    return { connected: 0, total: 0, pending: false };
  }

  #streamCounters({ kind, body, counter, by, receipt }: Extract<Change, { type: 'tally' }>, now: number): Result {
    const { record } = this;
    this.#add({ kind, lane: 'must', audience: 'all', body }, now);
    const position = { epoch: record.epoch, offset: record.offset };
    const own = `{"of":"${formatPosition(position)}",${receipt.body.slice(1)}`;
    const connected = this.#add({ kind: 'direct', lane: 'must', audience: [receipt.to], body: own }, now);
    return { connected, position, ...this.#count(counter, by, now) };
  }

  #count(name: string, by: number, now: number): Pick<Kept, 'total' | 'pending'> {
    const counter = countUp(this.record.counters, name, by);
    // If the sum becomes state, the state's entry publishes it.
    if (now - counter.settledAtMs >= this.#limits.countMs) this.#settle(name, now);
    else if (now - counter.publishedAtMs >= countPublishMs) {
      counter.publishedAtMs = now;
      this.#publish({ type: 'count', epoch: this.record.epoch, counter: name, total: counter.total }, null);
    }
    return { total: counter.total, pending: counter.isPending };
  }

  #settle(name: string, now: number): void {
    const counter = this.record.counters.get(name);
    if (!counter) return;
    counter.isPending = false;
    counter.settledAtMs = now;
    this.#setPart(name, JSON.stringify({ total: counter.total }), now);
  }

  /** Declares what is due, and returns whether the next chat is above the rate. */
  #isSampledOut(now: number): boolean {
    const { record } = this;
    if (declaredInMs(record.chat, now) === 0) this.#declare(now);
    if (conforms(record.chat, this.#limits.chatPerSecond, now)) return false;
    noteSampledOut(record.chat, record, now);
    return true;
  }

  #declare(now: number): void {
    this.#add({ kind: 'gap', lane: 'must', audience: 'all', body: declare(this.record.chat, now) }, now);
  }

  #setPart(part: string, value: string | null, now: number): void {
    const { record } = this;
    const body = `{"part":${JSON.stringify(part)}${value === null ? '' : `,"value":${value}`}}`;
    this.#add({ kind: 'state', lane: 'must', audience: 'all', body }, now);
    record.total = record.offset;
    record.parts.set(part, { version: record.offset, value });
  }

  /** Numbers, keeps and publishes an entry; returns how many of its targets are connected. */
  #add({ kind, lane, status, audience, body }: NewEntry, now: number): number {
    const { record } = this;
    record.offset += 1;
    const plain: Entry = { epoch: record.epoch, offset: record.offset, at: now, kind, lane, audience, body };
    const entry = status === undefined ? plain : { ...plain, status };
    keep(record.entries, entry);
    trimRoom(record, this.#limits, now);
    const message: LogMessage = { type: 'entry', entry, previous: record.published };
    if (typeof audience !== 'string') {
      const { nodes, connected } = whereIs(record.directory, audience, now);
      this.#publish(message, nodes);
      return connected;
    }
    record.published = record.offset;
    this.#publish(message, null);
    return 0;
  }

  /** Restarts the time after which an unused room is forgotten. */
  #outlive(now: number): void {
    const { record } = this;
    const { roomTtlS, rulesTtlS } = this.#limits;
    record.forgetAtMs = now + (record.isWritten ? roomTtlS * 1000 : idleRoomMs);
    if (record.ended || record.rules.ban.size + record.rules.mute.size > 0)
      keepRules(record.rules, record.forgetAtMs + rulesTtlS * 1000);
  }
}
