/**
 * The contract of a room's log: the one memory that all gateways share. Two implementations keep it, `memory-log` (one
 * process, nothing to install) and `redis-log`; the tests in `test/contract` hold both to every sentence here. Who is in a
 * room, and where, is `presence`'s.
 *
 * - A write is one atomic step. It is checked, numbered, kept and published together, or it leaves no trace.
 * - A repeat of a write with the same key within `onceTtlMs` changes nothing and gets the first answer.
 * - Offsets of one room rise by one per entry. Entries are published in that order.
 * - Every node that follows a room hears each entry once the follow is settled, except peer entries, which only the
 *   nodes hear that have one of the targets on record. A link that breaks loses messages; the follower is then told.
 * - Chat of a room above `CHAT_PER_SECOND` is sampled, whoever writes it, by the room's log and so alike for everyone.
 *   A second's worth may come at once. What is beyond is kept, numbered, published and answered like any other, but in
 *   sampled out; a room within its rate has none of these. Peer entries and the other lanes are never sampled.
 * - Sampled-out entries are declared by entries of kind `gap`, lane `must`, for all, that the log itself writes:
 *   `{"from":"<epoch>.<offset>","missed":<n>,"lane":"chat","cause":"sampled"}`, where `n` is exactly how many sampled-out
 *   entries there are after `from` and before the `gap`, and the first of them is the one right after `from`. At most
 *   one per `declareMs`: with the next chat or by `settle`; and before the room's end always. What is undeclared
 *   survives whatever the entries survive.
 * - What was trimmed by count, bytes or age is never served again, and every read says what is left.
 * - What was retracted is never read again. In its place a tombstone is read: its number, time, kind and audience (`staff`
 *   for what was sampled out), with the body `{"by":"<id of the retract entry>"}`. Gaps count it like what it
 *   was. The `retract` entry goes to whom the entry was for, so whoever could have it is told.
 * - A rule binds only users whose role is lower than that of who set it, judged by the role with which they come or
 *   write. Rules and the end outlive the room by `RULES_TTL_S`, and a rule with an end never ceases before that.
 * - What was closed (a ban, a mute, the end) does not open, and what is lost is declared, also where a store loses one part
 *   of a room and keeps the others.
 * - Every call ends within `LOG_DEADLINE_MS` plus a little, by an answer or by a Refusal: `log-unavailable` when
 *   surely nothing was written, `outcome-unknown` when that cannot be known, `overloaded` when the log holds as much as
 *   it may.
 *
 * The log knows rooms, users, their roles, and nodes. It does not know viewers, HTTP, or what an action means.
 */

import type { RefusalCode } from '../errors.ts';
import type { Audience, Entry, Epoch, Grant, Identity, Lane, Role, RoomId, StatePart, UserId } from '../model.ts';
import type { Position, Tail } from './position.ts';
import type { ViewerCount } from './presence.ts';

/** A token bucket per user and name: `burst` at once, then `perSecond`. */
export interface Rate {
  readonly name: string;
  readonly burst: number;
  readonly perSecond: number;
  /** How many tokens this write takes; at most `burst`. */
  readonly cost: number;
}

/** What a write does to the room. `body` is the event's data as JSON text on one line, without `at`. */
export type Change =
  /**
   * An event: kept, numbered, published to `audience`. An array of users is peer delivery. Whether one of lane `chat`
   * is sampled out is the log's to say.
   */
  | {
      readonly type: 'event';
      readonly kind: string;
      readonly lane: Lane;
      readonly audience: Audience;
      readonly body: string;
    }
  /** Sets a state part to a JSON text. */
  | { readonly type: 'put'; readonly part: string; readonly value: string; readonly ifVersion: IfVersion }
  /**
   * Removes a state part; readers learn of it. Removing what is not there is refused: with `version-conflict` for `any`,
   * else with `not-found`.
   */
  | { readonly type: 'remove'; readonly part: string; readonly ifVersion: IfVersion }
  /**
   * Adds to a counter. The sum is exact at once, and becomes the state part `counter` at most once per `COUNT_MS`. That
   * part counts among those that the room has, and is never one too many itself.
   */
  | { readonly type: 'count'; readonly counter: string; readonly by: number }
  /**
   * An event in lane must, for all, that adds to a counter. A `direct` entry for `to` alone comes right after it, with
   * the receipt's body and before that `"of":"<id of the event>"`. The answer names the event; `total` and `pending` are
   * the counter's.
   */
  | {
      readonly type: 'tally';
      readonly kind: string;
      readonly body: string;
      readonly counter: string;
      readonly by: number;
      readonly receipt: { readonly to: UserId; readonly body: string };
    }
  /**
   * Makes a tombstone of an event, for good, and tells those whom it was for. The same again changes nothing and gets the
   * first answer. `not-found` where there is no such entry (any more), or it is of one of the `lastingKinds`.
   */
  | { readonly type: 'retract'; readonly target: Position; readonly body: string }
  /**
   * Sets or lifts a rule on a user, and tells the staff and the user. `not-this-role` where a rule in force was set by a
   * higher role than the writer's: that one stays as it is. `rules-full` where the room has `RULES_MAX` in force.
   */
  | {
      readonly type: 'rule';
      readonly kind: string;
      readonly rule: 'ban' | 'mute';
      readonly user: UserId;
      /** How long from now; 0 for good; null lifts the rule. */
      readonly seconds: number | null;
      readonly body: string;
    }
  /**
   * Ends the room: pending sums of counters become state and sampled-out entries are declared first, in the same step. Every
   * later write is refused with `room-ended`, but for moderation: retractions, and rules set or lifted.
   */
  | { readonly type: 'end'; readonly body: string };

/** The version that a part must have (0: there is none), `any` that there is one, or null for no condition. */
export type IfVersion = number | 'any' | null;

/** Whether the room's rate of chat decides about this event. */
export const isSampled = (event: Extract<Change, { type: 'event' }>): boolean =>
  event.lane === 'chat' && typeof event.audience === 'string';

export interface Write {
  readonly room: RoomId;
  readonly by: UserId;
  /** The writer's, by which rules bind it or do not. */
  readonly role: Role;
  /** Makes a repeat harmless. The key is scoped to room and user; the digest tells another body from the same. */
  readonly once: { readonly key: string; readonly digest: string } | null;
  readonly rate: Rate | null;
  /** Whether a mute of `by` refuses this write. A ban always does. Neither does where it does not bind the role. */
  readonly mutable: boolean;
  readonly change: Change;
}

/**
 * `kept`: the write is in the log. `position` is the entry's; for a count it is the room's last one. `total` is a
 * counter's sum, `pending` whether that sum still waits to become state, or, for chat, whether sampled-out entries of the room
 * wait to be declared: then somebody has to `settle`. `connected`: how many targets of a peer entry
 * had a stream open.
 */
export type Appended =
  | {
      readonly outcome: 'kept';
      readonly position: Position;
      readonly at: number;
      readonly connected: number;
      readonly total: number;
      readonly pending: boolean;
      readonly repeated: boolean;
    }
  | {
      readonly outcome: 'refused';
      readonly code: RefusalCode & ('banned' | 'muted' | 'room-ended' | LimitCode);
      /** For `rate-limited`: when a token will be there. For `version-conflict`: the version there is (0: none). */
      readonly retryAfterMs: number;
      readonly version: number;
    };
type LimitCode =
  | 'rate-limited'
  | 'key-reused'
  | 'version-conflict'
  | 'state-full'
  | 'not-found'
  | 'not-this-role'
  | 'rules-full';

/** What the log publishes to a node that follows the room. */
export type LogMessage =
  /** `previous`: the last offset before this one that this node must have heard. A greater head than ours: a break. */
  | { readonly type: 'entry'; readonly entry: Entry; readonly previous: number }
  /** A counter moved. Fleeting: it may be lost, and the next one heals it. */
  | { readonly type: 'count'; readonly epoch: Epoch; readonly counter: string; readonly total: number }
  /** How many watch the room now, by what the nodes last said. Fleeting. */
  | ({ readonly type: 'audience' } & ViewerCount)
  /**
   * What the token says that a user came with now; null: the user has given its token up. Told to the nodes that have the
   * user on record. Fleeting.
   */
  | { readonly type: 'prolong'; readonly user: UserId; readonly grant: Grant | null };

export interface Subscriber {
  heard(message: LogMessage): void;
  /** The live path was cut and is whole again: messages may be missing. Read from your last position. */
  resumed(): void;
}

export interface Reading {
  readonly tail: Tail;
  /** In order, without holes, beginning right after the position that `judge` gives; at most `limit`. */
  readonly entries: readonly Entry[];
  /** Offset of the newest `retract` entry that was for all; 0 for none. */
  readonly retracted: number;
}

export interface RoomState {
  readonly tail: Tail;
  /** The version of the newest change; 0 if there never was one. */
  readonly total: number;
  /** Every part, and every removed part whose removal a reader of `tail.first - 1` may not know. */
  readonly parts: ReadonlyMap<string, StatePart>;
  /** Present: `parts` holds only what changed after this version, which is the one that was asked about. */
  readonly since?: number;
  /** Whether the reader is banned from the room. */
  readonly banned: boolean;
  readonly ended: boolean;
}

/** Who asks: a rule on the user binds it, or does not, by its role. */
export type Reader = Pick<Identity, 'id' | 'role'>;

/** To be known to `readState` by who asks for no part, whatever the epoch is. */
export const noParts: Position = { epoch: '*' as Epoch, offset: Number.MAX_SAFE_INTEGER };

/** A ban or mute that is in force. */
export interface Rule {
  readonly rule: 'ban' | 'mute';
  readonly user: UserId;
  readonly sinceMs: number;
  /** Null: for good. */
  readonly untilMs: number | null;
  /** Of who set it: users of a lower role are bound. */
  readonly role: Role;
  /** Of the entry that set it. */
  readonly body: string;
}

/** How the log itself is, in words for who runs it. */
export interface LogHealth {
  /** Why calls cannot be expected to succeed now; null if they can. */
  readonly trouble: string | null;
  /** What threatens although they succeed, such as a Redis that may delete keys. */
  readonly risks: readonly string[];
}

export interface RoomLog {
  append(write: Write): Promise<Appended>;
  /**
   * Turns a counter's pending sum into state, or, for `sampledChat`, declares the sampled-out entries if that is due. Answers
   * how long until what still is pending may be settled, in milliseconds; 0 where nothing is. Harmless to repeat.
   */
  settle(room: RoomId, counter: string): Promise<number>;

  /** Entries after a position (from the tail for null), and the tail to judge the position by. */
  read(room: RoomId, after: Position | null, limit: number): Promise<Reading>;
  /**
   * `reader`: who asks, and may be banned; the state is told all the same. `known`: a total version that the caller has
   * the state of; if it is of the present epoch, only what changed after it is told. `noParts`: no part is.
   */
  readState(room: RoomId, reader?: Reader | null, known?: Position | null): Promise<RoomState>;
  /** The rules that are in force, in any order. */
  readRules(room: RoomId): Promise<readonly Rule[]>;

  /** Settled once messages flow: whatever is appended from then on is heard. One follower per room and node. */
  follow(room: RoomId, subscriber: Subscriber): Promise<void>;
  unfollow(room: RoomId): Promise<void>;

  /** Whether calls can be expected to succeed now: `health` tells no trouble. */
  isReady(): boolean;
  health(): LogHealth;
  close(): Promise<void>;
}

/** Kinds that cannot be retracted: the room's rules, state and end depend on them, or others' counts do. */
export const lastingKinds: ReadonlySet<string> = new Set([
  'state',
  'gap',
  'end',
  'retract',
  'ban',
  'unban',
  'mute',
  'unmute',
]);
/** Changes that a room takes after its end too. */
export const takenAfterEnd: ReadonlySet<Change['type']> = new Set(['retract', 'rule']);
/** What `settle` calls the sampled-out entries of a room; no counter has this name. */
export const sampledChat = 'chat';
/** The least time between two declarations of sampled-out entries in a room, in milliseconds. */
export const declareMs = 1000;
/** How long a client's idempotency key is honoured, in milliseconds (PROTOCOL: 10 minutes). */
export const onceTtlMs = 600_000;
