/**
 * The names of a room's keys and channels in Redis. All contain the room's id as hash tag, so a room is one slot and
 * one function call may touch all of it. All begin with the key space, so several platforms can share one Redis.
 */

import type { RoomId, UserId } from '../../model.ts';

/**
 * `<REDIS_PREFIX>`, or `<REDIS_PREFIX>/<database>`: channels belong to no database, so the name includes its number.
 */
export const keySpace = (prefix: string, database: number): string =>
  database === 0 ? prefix : `${prefix}/${database}`;

export type RoomKeys = ReturnType<typeof keysIn>;

/** The names in one key space. */
export function keysIn(space: string) {
  const named = (room: string, rest: string): string => `${space}:{${room}}${rest}`;
  return {
    space,
    /** Stream: the entries, with the id `<offset>-0`: the text, and the bytes written to the room before it. */
    log: (room: RoomId): string => named(room, ':log'),
    /**
     * Hash: epoch, history (the name of the data set; see shared.lua), offset, published, count_at, total, lineage,
     * ended, touched, bytes and bytes_gone (see trim_bytes in shared.lua), chat (the state of sampling; see chat.lua),
     * the retractions (see retract.lua), the counters, and a copy of the rules.
     */
    meta: (room: RoomId): string => named(room, ':meta'),
    /** Hash: part to `<version> <json>`, or to `<version>` alone for a removed part. */
    state: (room: RoomId): string => named(room, ':state'),
    /** Hash: user to the nodes that hold a stream of that user, separated by spaces. Field '': see directory.lua. */
    where: (room: RoomId): string => named(room, ':where'),
    /** Hash: node to the end of its lease. Field '': as above. */
    nodes: (room: RoomId): string => named(room, ':nodes'),
    /** Hash: streams per node and in sum; see renew.lua. */
    audience: (room: RoomId): string => named(room, ':audience'),
    /**
     * Hash: bans and mutes, their ends and the roles that set them, and when the room ended; see rules.lua. It outlives
     * the room.
     */
    rules: (room: RoomId): string => named(room, ':rules'),
    /** String: digest and answer of a write. A space separates user and key: a user may contain anything else. */
    seen: (room: RoomId, user: UserId, key: string): string => named(room, `:seen:${user} ${key}`),
    /** The same for a write without a key. No user is empty, so it never collides with a client's key. */
    sent: (room: RoomId, id: string): string => named(room, `:seen: ${id}`),
    /** String: the theoretical arrival time of a rate. */
    rate: (room: RoomId, user: UserId, name: string): string => named(room, `:rate:${user} ${name}`),
    roomChannel: (room: RoomId): string => named(room, ''),
    nodeChannel: (room: RoomId, nodeId: string): string => named(room, `:${nodeId}`),
  };
}
