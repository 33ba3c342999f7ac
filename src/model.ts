/**
 * The words that every folder shares: rooms, users, roles, lanes, audiences, and the entry, which is a signal that the
 * room's log has numbered. Types and their checks only.
 */

declare const brand: unique symbol;

/** 1 to 64 of `[A-Za-z0-9._~-]`, the first a letter or digit. Safe as a path segment and inside a Redis hash tag. */
export type RoomId = string & { readonly [brand]: 'RoomId' };
/** 1 to 64 printable characters without spaces: a token's `sub`. */
export type UserId = string & { readonly [brand]: 'UserId' };
/** Names one unbroken history of a room's log: 1 to 12 of `[a-z0-9]`. */
export type Epoch = string & { readonly [brand]: 'Epoch' };

export const roomPattern = '^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$';
export const namePattern = '^[a-z][a-z0-9.-]{0,31}$';
export const tagPattern = '^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$';
/** No white space (the line separators among it), controls, format characters or lone surrogates. */
export const userPattern = '^[^\\s\\p{C}\\p{Z}]{1,64}$';

const isRoom = new RegExp(roomPattern);
const isName = new RegExp(namePattern);
const isTag = new RegExp(tagPattern);
const isUser = new RegExp(userPattern, 'u');

export const isRoomId = (text: unknown): text is RoomId => typeof text === 'string' && isRoom.test(text);
export const isUserId = (text: unknown): text is UserId => typeof text === 'string' && isUser.test(text);
/** A kind of action or event, or the name of a state part. Says nothing about whether the name is reserved. */
export const isPlainName = (text: unknown): text is string => typeof text === 'string' && isName.test(text);
export const isTagName = (text: unknown): text is string => typeof text === 'string' && isTag.test(text);

/** Names that the protocol reserves: no host may use them for an event or a state part. */
export const reservedNames: ReadonlySet<string> = new Set([
  'resume',
  'state',
  'gap',
  'move',
  'end',
  'likes',
  'audience',
  'retract',
  'direct',
  'message',
  'error',
  'open',
  'comment',
  'gift',
  'gifts',
  'notice',
  'like',
  'signal',
  'pin',
  'settings',
  'mute',
  'unmute',
  'ban',
  'unban',
]);

/** Each role includes the ones before it. */
export const roles = ['viewer', 'moderator', 'host', 'service'] as const;
export type Role = (typeof roles)[number];
export const isRole = (text: unknown): text is Role => roles.includes(text as Role);
/** 0 for a viewer; higher roles have higher ranks. */
export const rankOf = (role: Role): number => roles.indexOf(role);
export const isAtLeast = (role: Role, least: Role): boolean => rankOf(role) >= rankOf(least);

/**
 * What may happen to an entry when a viewer is slow. `must`: never left out. `chat`: may be left out, and is then
 * declared.
 */
export type Lane = 'must' | 'chat';

/**
 * `sampled-out`: chat beyond what people can read; the log decides which. Its author and staff get it, nobody else does,
 * and a `gap` entry of the log declares it. `tombstone`: what was retracted; its number is left, in lane chat, nobody
 * gets anything of it, and a later `retract` entry declares it.
 */
export type EntryStatus = 'sampled-out' | 'tombstone';

/**
 * Who may receive an entry: everyone, moderators and up, those and one user, holders of a tag, or the named users (peer
 * delivery).
 */
export type Audience = 'all' | 'staff' | `staff:${string}` | `tag:${string}` | readonly UserId[];

/** The author of an event, as others see it. */
export interface Speaker {
  readonly id: UserId;
  readonly name: string | null;
  readonly role: Role;
}

/** The caller, as its token describes it for one room. `id` is null for a viewer without a token. */
export interface Identity {
  readonly id: UserId | null;
  readonly name: string | null;
  readonly role: Role;
  readonly tags: readonly string[];
  /** Unix milliseconds; `Infinity` without a token. */
  readonly expiresAtMs: number;
  /** The token names this very room, and not only `*`. */
  readonly namesRoom?: boolean;
  /** Unix milliseconds; absent if the token does not say when it was issued. */
  readonly issuedAtMs?: number;
}

/** What a user's token allows in one room, and until when. */
export type Grant = Omit<Identity, 'id' | 'name'>;

/** One signal as the room's log keeps it. The same entry is delivered live, replayed, pulled and paged. */
export interface Entry {
  readonly epoch: Epoch;
  readonly offset: number;
  /** Unix milliseconds by the log's clock. */
  readonly at: number;
  /** The event's name on the wire; `state` for a change of a state part. */
  readonly kind: string;
  readonly lane: Lane;
  readonly status?: EntryStatus;
  readonly audience: Audience;
  /** A JSON object as text, on one line: the event's data without `at`. For `state`: `{"part":…,"value":…}`. */
  readonly body: string;
}

/** The version of a part is the offset of its last change. `value` is JSON text; null once the part was removed. */
export interface StatePart {
  readonly version: number;
  readonly value: string | null;
}
