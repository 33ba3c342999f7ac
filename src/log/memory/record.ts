/**
 * What the embedded log keeps of one room, as plain values: a copy is a backup. This file owns kept entries, counters,
 * idempotency keys and rate buckets. `log/memory/directory` owns who is where, `log/memory/rules` the rules, and
 * `log/memory/room` the meaning of a write.
 */

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import type { Entry, Epoch, StatePart } from '../../model.ts';
import type { Settings } from '../../settings.ts';
import { fullAgainAt, waitForTokens } from '../../token-bucket.ts';
import { type Ancestor, lineageMax } from '../position.ts';
import type { ViewerCount } from '../presence.ts';
import type { Appended, Rate } from '../room-log.ts';
import { type ChatRecord, newChat } from './chat.ts';
import { type Directory, newDirectory } from './directory.ts';
import { newRules, type RuleRecord } from './rules.ts';

export type MemoryLimits = Pick<
  Settings,
  | 'logEntriesMax'
  | 'logBytesMax'
  | 'logTtlS'
  | 'roomTtlS'
  | 'rulesTtlS'
  | 'rulesMax'
  | 'statePartsMax'
  | 'countMs'
  | 'chatPerSecond'
>;

export interface RoomRecord {
  epoch: Epoch;
  /** The store's run that last wrote the epoch; another run means that the store restarted. */
  run: number;
  offset: number;
  /** The last offset published to all nodes; direct signals do not count. */
  published: number;
  ended: boolean;
  isWritten: boolean;
  forgetAtMs: number;
  lineage: Ancestor[];
  readonly entries: EntryRecord;
  readonly parts: Map<string, StatePart>;
  /** Version of the newest change of state, removals included. */
  total: number;
  /** Offset of the newest retract entry that was for all. */
  retracted: number;
  readonly counters: Map<string, CounterRecord>;
  readonly chat: ChatRecord;
  readonly rules: RuleRecord;
  readonly seen: Map<string, SeenRecord>;
  readonly rates: RateRecord;
  readonly directory: Directory;
  /** The viewer count last published. */
  sum: ViewerCount;
  /** The viewer count that a node last reported showing. */
  shown: ViewerCount | null;
}

/** `list[head]` is the oldest kept entry. Trimming moves `head` and occasionally cuts the list. */
export interface EntryRecord {
  list: Entry[];
  head: number;
  bytes: number;
}

export interface CounterRecord {
  total: number;
  isPending: boolean;
  settledAtMs: number;
  publishedAtMs: number;
}

export interface SeenRecord {
  readonly digest: string;
  readonly answer: Extract<Appended, { outcome: 'kept' }>;
  readonly forgetAtMs: number;
}

export interface RateRecord {
  /** When each bucket is full again, in Unix milliseconds, by name and user. */
  readonly fullAtMs: Map<string, number>;
  sweepAtSize: number;
}

/** Buckets are swept when there are this many, or twice as many as the last sweep left, whichever is more. */
export const bucketsMin = 10_000;

const epochAlphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
export const newEpoch = (): Epoch => Array.from({ length: 9 }, () => epochAlphabet[randomInt(36)]).join('') as Epoch;

export const newRecord = (epoch: Epoch, run: number, forgetAtMs: number): RoomRecord => ({
  epoch,
  run,
  offset: 0,
  published: 0,
  ended: false,
  isWritten: false,
  forgetAtMs,
  lineage: [],
  total: 0,
  retracted: 0,
  entries: { list: [], head: 0, bytes: 0 },
  parts: new Map(),
  counters: new Map(),
  chat: newChat(),
  rules: newRules(),
  seen: new Map(),
  rates: { fullAtMs: new Map(), sweepAtSize: bucketsMin },
  directory: newDirectory(),
  sum: { viewers: 0, users: 0 },
  shown: null,
});

/** What outlives a forgotten room: its rules and its end; null if they have expired too. */
export function remainsOf({ rules, ended }: RoomRecord, now: number): Pick<RoomRecord, 'rules' | 'ended'> | null {
  return rules.keptUntilMs > now ? { rules, ended } : null;
}

/** Begins a new epoch of a room whose store may have lost entries. */
export function beginEpoch(record: RoomRecord, run: number): void {
  record.lineage = [...record.lineage, { epoch: record.epoch, last: record.offset }].slice(-lineageMax);
  record.epoch = newEpoch();
  record.run = run;
}

// Entries.

/** An entry before it is numbered. */
export type NewEntry = Pick<Entry, 'kind' | 'lane' | 'status' | 'audience' | 'body'>;

export const keptCount = (entries: EntryRecord): number => entries.list.length - entries.head;

/** The memory cost of an entry beyond its text, in bytes: roughly what the engine adds for the object and its place. */
const entryOverheadBytes = 128;

function sizeOf(entry: Entry): number {
  const names = typeof entry.audience === 'string' ? 0 : entry.audience.reduce((sum, user) => sum + user.length, 0);
  return entryOverheadBytes + Buffer.byteLength(entry.body) + names;
}

export function keep(entries: EntryRecord, entry: Entry): void {
  entries.list.push(entry);
  entries.bytes += sizeOf(entry);
}

/** Replaces the entry that has the same number, which must be kept. */
export function replaceKept({ entries, offset }: RoomRecord, entry: Entry): void {
  const index = entries.list.length - 1 - (offset - entry.offset);
  const old = entries.list[index];
  assert(old?.offset === entry.offset, 'the entry is kept');
  entries.list[index] = entry;
  entries.bytes += sizeOf(entry) - sizeOf(old);
}

/** The kept entry of this number. */
export function keptAt({ entries, offset }: RoomRecord, wanted: number): Entry | undefined {
  const index = entries.list.length - 1 - (offset - wanted);
  return index < entries.head ? undefined : entries.list[index];
}

/** Drops the oldest entries until all three limits hold, and the removed parts whose removal every reader knows. */
export function trimRoom(record: RoomRecord, limits: MemoryLimits, now: number): void {
  const { entries, offset, parts } = record;
  const { logEntriesMax, logBytesMax, logTtlS } = limits;
  const before = keptCount(entries);
  trim(entries, { countMax: logEntriesMax, bytesMax: logBytesMax, bornAfterMs: now - logTtlS * 1000 });
  if (keptCount(entries) === before) return;
  const first = offset - keptCount(entries) + 1;
  // A reader at `first - 1` has received the removals up to there; a reader behind that cannot resume exactly.
  for (const [part, { version, value }] of parts) if (value === null && version < first) parts.delete(part);
}

function trim(entries: EntryRecord, limits: { countMax: number; bytesMax: number; bornAfterMs: number }): void {
  let oldest = entries.list[entries.head];
  while (
    oldest !== undefined &&
    (keptCount(entries) > limits.countMax || entries.bytes > limits.bytesMax || oldest.at <= limits.bornAfterMs)
  ) {
    entries.bytes -= sizeOf(oldest);
    entries.head += 1;
    oldest = entries.list[entries.head];
  }
  // Cutting only when half of the list is dead keeps trimming cheap on average, and frees the dead entries.
  if (entries.head * 2 > entries.list.length) {
    entries.list = entries.list.slice(entries.head);
    entries.head = 0;
  }
}

// Counters.

/** Adds to a counter; its sum then waits to become state. */
export function countUp(counters: RoomRecord['counters'], name: string, by: number): CounterRecord {
  const counter = counters.get(name) ?? {
    total: 0,
    isPending: false,
    settledAtMs: -Infinity,
    publishedAtMs: -Infinity,
  };
  counters.set(name, counter);
  counter.total += by;
  counter.isPending = true;
  return counter;
}

// Idempotency keys.

/** All keys have the same lifetime, so the oldest expires first. */
export function findSeen(seen: Map<string, SeenRecord>, key: string, now: number): SeenRecord | undefined {
  for (const [name, { forgetAtMs }] of seen) {
    if (forgetAtMs > now) break;
    seen.delete(name);
  }
  return seen.get(key);
}

// Rate buckets.

/** Milliseconds until there are enough tokens; 0 if there are now. Takes none; `take` does. */
export function waitForRate(rates: RateRecord, key: string, rate: Rate, now: number): number {
  const perTokenMs = 1000 / rate.perSecond;
  const overMs = waitForTokens(rates.fullAtMs.get(key), now, rate.cost * perTokenMs, rate.burst * perTokenMs);
  // Fractions of a token do not add up exactly, so 0.01 ms too early is accepted.
  return overMs > 0.01 ? Math.max(1, Math.ceil(overMs)) : 0;
}

export function take(rates: RateRecord, key: string, rate: Rate, now: number): void {
  const fullAtMs = fullAgainAt(rates.fullAtMs.get(key), now, (rate.cost * 1000) / rate.perSecond);
  rates.fullAtMs.set(key, fullAtMs);
  if (rates.fullAtMs.size < rates.sweepAtSize) return;
  // A full bucket is the same as none.
  for (const [name, atMs] of rates.fullAtMs) if (atMs <= now) rates.fullAtMs.delete(name);
  rates.sweepAtSize = Math.max(bucketsMin, rates.fullAtMs.size * 2);
}

/** The parts that changed after a version, in a new map. */
export function partsAfter(parts: ReadonlyMap<string, StatePart>, version: number): Map<string, StatePart> {
  return new Map([...parts].filter(([, part]) => part.version > version));
}
