/**
 * The claims of a token with a valid signature, as docs/protocol.md lists them, each checked whether it is used or not. A
 * token is valid as a whole or not at all.
 */

import { type Identity, isRole, isRoomId, isTagName, isUserId, type Role, type RoomId } from '../model.ts';
import { TokenRefusal } from './token-refusal.ts';

export interface Claims {
  readonly id: Exclude<Identity['id'], null>;
  readonly name: string | null;
  readonly tags: readonly string[];
  readonly rooms: Readonly<Record<string, Role>>;
  /** Unix milliseconds. */
  readonly expMs: number;
  /** Unix milliseconds; absent where the token does not say. */
  readonly issuedAtMs?: number;
}

const nameLengthMax = 64;
const tagsMax = 8;
/** How far ahead `exp` may be. A later one was meant in milliseconds, or for ever, and neither is allowed. */
export const expAheadMaxMs = 10 * 366 * 86_400_000;

/** @throws {TokenRefusal} if any claim breaks the protocol. */
export function readClaims(claims: Readonly<Record<string, unknown>>, nowMs: number): Claims {
  const { sub, rooms, name, tags, exp, iat } = claims;
  const isNamed = isUserId(sub) && (name === undefined || isDisplayName(name));
  if (!isNamed || !areRooms(rooms) || !areTags(tags)) throw new TokenRefusal('claims');
  if (!isDate(exp) || exp * 1000 > nowMs + expAheadMaxMs) throw new TokenRefusal('dates');
  // A token cannot be issued after its end.
  if (iat !== undefined && !(isDate(iat) && iat <= exp)) throw new TokenRefusal('dates');
  return {
    id: sub,
    name: name === undefined || name.trim() === '' ? null : name,
    tags: [...new Set(tags)],
    rooms,
    expMs: Math.round(exp * 1000),
    ...(iat === undefined ? {} : { issuedAtMs: Math.round(iat * 1000) }),
  };
}

/** A room may be called `constructor`, so only entries that the token really has count. */
export function roleIn({ rooms }: Claims, room: RoomId): Role | null {
  const entry = Object.hasOwn(rooms, room) ? room : '*';
  return Object.hasOwn(rooms, entry) ? (rooms[entry] ?? null) : null;
}

/** RFC 7519: seconds since 1970, which may have a fraction. */
const isDate = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && Number.isFinite(value * 1000);

const areRooms = (value: unknown): value is Record<string, Role> =>
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.entries(value).every(([room, role]) => (room === '*' || isRoomId(room)) && isRole(role));

const areTags = (value: unknown): value is readonly string[] | undefined =>
  value === undefined || (Array.isArray(value) && value.length <= tagsMax && value.every(isTagName));

/** Controls could break lines, and direction overrides could make one name read as another. */
const unfitForNames = /[\p{Cc}\p{Cs}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
const isDisplayName = (name: unknown): name is string =>
  typeof name === 'string' && [...name].length <= nameLengthMax && !unfitForNames.test(name);
