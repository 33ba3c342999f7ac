/**
 * The contract of a room's log: the one memory that all gateways share. Two implementations keep it, `memory-log` (one
 * process, nothing to install) and `redis-log`. The tests in `test/contract` hold both to every sentence here.
 * `presence` covers who is in a room, and on which node.
 *
 * - A write is one atomic step. It is checked, numbered, kept and published together, or it leaves no trace.
 * - A repeat of a write with the same key within `onceTtlMs` changes nothing and gets the first answer.
 * - Offsets of one room rise by one per entry. Entries are published in that order.
 * - Once `follow` has settled, a node receives every entry of the room, except direct signals: only nodes where one of
 *   the targets is registered receive those. A broken link loses messages; the follower is then notified.
 * - The room's log samples chat above `CHAT_PER_SECOND` of all writers alike, so the sample is the same for everyone.
 *   It allows a burst of one second's worth. Chat above the rate is kept, numbered, published and answered like any
 *   other, but as sampled out; a room within its rate has none. Direct signals and the other lanes are never sampled.
 * - The log itself declares sampled-out entries, by entries of kind `gap`, lane `must`, for all:
 *   `{"from":"<epoch>.<offset>","missed":<n>,"lane":"chat","cause":"sampled"}`. `n` is the exact number of sampled-out
 *   entries after `from` and before the `gap`; the first of them comes right after `from`. The log declares at most
 *   once per `declareMs`, with the next chat or by `settle`, and always before the room's end. The count of undeclared
 *   entries survives whatever the entries survive.
 * - Entries trimmed by count, bytes or age are never served again, and every read returns what is left.
 * - A retracted entry is never read again. A tombstone is read in its place: its number, time, kind and audience
 *   (`staff` if it was sampled out), with the body `{"by":"<id of the retract entry>"}`. Gaps still count it. The
 *   `retract` entry has the audience of the retracted entry, so every user that could have received that is notified.
 * - A rule binds only users with a role below that of its author, judged by the role with which they join or write.
 *   Rules and the end outlive the room by `RULES_TTL_S`. A rule with an end time stays in force until then.
 * - Bans, mutes and the end stay in force, and losses are declared, even if a store loses one part of a room and keeps
 *   the others.
 * - Every call ends within `LOG_DEADLINE_MS` plus a little, by an answer or by a Refusal: `log-unavailable` if
 *   certainly nothing was written, `outcome-unknown` if that is uncertain, `overloaded` if the log is at its limit.
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
   * An event: kept, numbered, published to `audience`. An array of users makes it a direct signal. The log decides
   * whether an event of lane `chat` is sampled out.
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
   * Removes a state part; readers are notified. If there is no such part, it is refused: with `version-conflict` for
   * `any`, else with `not-found`.
   */
  | { readonly type: 'remove'; readonly part: string; readonly ifVersion: IfVersion }
  /**
   * Adds to a counter. The sum is exact at once, and becomes the state part `counter` at most once per `COUNT_MS`. That
   * part counts towards the room's limit of parts, but is never refused by it.
   */
  | { readonly type: 'count'; readonly counter: string; readonly by: number }
  /**
   * An event in lane `must`, for all, that adds to a counter. A `direct` entry for `to` alone follows it immediately,
   * with the receipt's body preceded by `"of":"<id of the event>"`. The answer names the event; `total` and `pending`
   * are the counter's.
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
   * Turns an event into a tombstone, for good, and notifies its audience. A repeat changes nothing and gets the first
   * answer. `not-found` if there is no such entry (any more), or it is of one of the `lastingKinds`.
   */
  | { readonly type: 'retract'; readonly target: Position; readonly body: string }
  /**
   * Sets or lifts a rule on a user, and notifies the staff and the user. `not-this-role` if a rule in force was set by
   * a higher role than the writer's; that rule stays. `rules-full` if the room has `RULES_MAX` in force.
   */
  | {
      readonly type: 'rule';
      readonly kind: string;
      readonly rule: 'ban' | 'mute';
      readonly user: UserId;
      /** How long from now, in seconds; 0: permanent; null lifts the rule. */
      readonly seconds: number | null;
      readonly body: string;
    }
  /**
   * Ends the room. In the same step, pending sums of counters first become state, and sampled-out entries are declared.
   * Every later write is refused with `room-ended`, except moderation: retractions, and rules set or lifted.
   */
  | { readonly type: 'end'; readonly body: string };

/** The version that a part must have (0: it must not exist), `any`: it must exist, null: no condition. */
export type IfVersion = number | 'any' | null;

/** Whether the room's chat rate applies to this event. */
export const isSampled = (event: Extract<Change, { type: 'event' }>): boolean =>
  event.lane === 'chat' && typeof event.audience === 'string';

export interface Write {
  readonly room: RoomId;
  readonly by: UserId;
  /** The writer's role, which decides whether rules bind it. */
  readonly role: Role;
  /** Makes a repeat safe. The key is scoped to room and user; the digest tells whether the body is the same. */
  readonly once: { readonly key: string; readonly digest: string } | null;
  readonly rate: Rate | null;
  /** Whether a mute of `by` refuses this write. A ban always does. A rule refuses only roles that it binds. */
  readonly mutable: boolean;
  readonly change: Change;
}

/**
 * `kept`: the write is logged. `position`: the entry's; for a count, the room's last one. `total`: a counter's sum.
 * `pending`: the sum still waits to become state, or, for chat, sampled-out entries of the room wait to be declared;
 * call `settle` then. `connected`: how many targets of a direct signal had a stream open.
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
      /** For `rate-limited`: when a token is available. */
      readonly retryAfterMs: number;
      /** For `version-conflict`: the present version (0: none). */
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
  /** `previous`: the last offset before this one that the node must have received; if not, messages were lost. */
  | { readonly type: 'entry'; readonly entry: Entry; readonly previous: number }
  /** A counter changed. Fleeting: it may be lost, and the next one heals the loss. */
  | { readonly type: 'count'; readonly epoch: Epoch; readonly counter: string; readonly total: number }
  /** The room's viewer count now, as the nodes last reported. Fleeting. */
  | ({ readonly type: 'audience' } & ViewerCount)
  /**
   * What a user's newest token allows; null: the user gave its token up. Sent to the nodes where the user is
   * registered. Fleeting.
   */
  | { readonly type: 'prolong'; readonly user: UserId; readonly grant: Grant | null };

export interface Subscriber {
  heard(message: LogMessage): void;
  /** The live path broke and is restored: messages may be missing. Read from your last position. */
  resumed(): void;
}

export interface Reading {
  readonly tail: Tail;
  /** In order, without holes, from right after the position that `judge` returns; at most `limit`. */
  readonly entries: readonly Entry[];
  /** Offset of the newest `retract` entry that was for all; 0 for none. */
  readonly retracted: number;
}

export interface RoomState {
  readonly tail: Tail;
  /** The version of the newest change; 0 if there never was one. */
  readonly total: number;
  /** Every part, and every removed part whose removal a reader at `tail.first - 1` may not know. */
  readonly parts: ReadonlyMap<string, StatePart>;
  /** If present, `parts` holds only what changed after this version, which is that of `known`. */
  readonly since?: number;
  /** Whether the reader is banned from the room. */
  readonly banned: boolean;
  readonly ended: boolean;
}

/** The user that asks. Its role decides whether a rule binds it. */
export type Reader = Pick<Identity, 'id' | 'role'>;

/** Pass it to `readState` as `known` to get no parts, whatever the epoch. */
export const noParts: Position = { epoch: '*' as Epoch, offset: Number.MAX_SAFE_INTEGER };

/** A ban or mute that is in force. */
export interface Rule {
  readonly rule: 'ban' | 'mute';
  readonly user: UserId;
  readonly sinceMs: number;
  /** Null: permanent. */
  readonly untilMs: number | null;
  /** The role of its author: users of a lower role are bound. */
  readonly role: Role;
  /** The body of the entry that set it. */
  readonly body: string;
}

/** The health of the log, in words for operators. */
export interface LogHealth {
  /** Why calls are expected to fail now; null if they are not. */
  readonly trouble: string | null;
  /** Risks while calls succeed, such as a Redis that may delete keys. */
  readonly risks: readonly string[];
}

export interface RoomLog {
  append(write: Write): Promise<Appended>;
  /**
   * Turns a counter's pending sum into state, or, for `sampledChat`, declares the sampled-out entries if that is due.
   * Returns the milliseconds until what is still pending may be settled; 0 if nothing is. Safe to repeat.
   */
  settle(room: RoomId, counter: string): Promise<number>;

  /** Entries after a position (from the tail for null), and the tail to judge the position by. */
  read(room: RoomId, after: Position | null, limit: number): Promise<Reading>;
  /**
   * `reader`: the user that asks; if it is banned, the state is returned all the same. `known`: the total version of
   * the state that the caller has; if it is of the present epoch, only later changes are returned.
   * `noParts`: no part is.
   */
  readState(room: RoomId, reader?: Reader | null, known?: Position | null): Promise<RoomState>;
  /** The rules in force, in any order. */
  readRules(room: RoomId): Promise<readonly Rule[]>;

  /** Settles once messages flow: entries appended from then on are delivered. One follower per room and node. */
  follow(room: RoomId, subscriber: Subscriber): Promise<void>;
  unfollow(room: RoomId): Promise<void>;

  /** Whether calls are expected to succeed now: `health` reports no trouble. */
  isReady(): boolean;
  health(): LogHealth;
  close(): Promise<void>;
}

/** Kinds that cannot be retracted: the room's rules, state and end depend on them, or counts in gaps do. */
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
/** Changes that a room accepts even after its end. */
export const takenAfterEnd: ReadonlySet<Change['type']> = new Set(['retract', 'rule']);
/** The name for a room's sampled-out entries in `settle`; no counter has this name. */
export const sampledChat = 'chat';
/** The minimum time between two declarations of sampled-out entries in a room, in milliseconds. */
export const declareMs = 1000;
/** How long a client's idempotency key is honoured, in milliseconds (PROTOCOL: 10 minutes). */
export const onceTtlMs = 600_000;
