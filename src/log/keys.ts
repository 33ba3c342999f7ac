/**
 * The names of a room's keys and channels in Redis. All hold the room's id as hash tag, so a room is one slot and one
 * function call may touch all of it.
 */

import type { RoomId, UserId } from '../signal.ts';

/** Stream: the entries, with the id `<offset>-0`: the text, and the bytes that were written to the room before. */
export const logKey = (room: RoomId): string => `rs:{${room}}:log`;
/**
 * Hash: epoch, history (whose data this is; see shared.lua), offset, heard, total, lineage, ended, touched, bytes and
 * bytes_gone (see trim_bytes in shared.lua), chat (what is sampled; see chat.lua), what was
 * retracted (see retract.lua), and the counters.
 */
export const metaKey = (room: RoomId): string => `rs:{${room}}:meta`;
/** Hash: part to `<version> <json>`, or to `<version>` alone for a part that was removed. */
export const stateKey = (room: RoomId): string => `rs:{${room}}:state`;
/** Hash: user to the nodes that hold a stream of that user, separated by spaces. */
export const whereKey = (room: RoomId): string => `rs:{${room}}:where`;
/** Hash: node to the end of its lease. */
export const nodesKey = (room: RoomId): string => `rs:{${room}}:nodes`;
/** Hash: what nodes report of how many watch, and what was told of it; see headcount.lua. */
export const audienceKey = (room: RoomId): string => `rs:{${room}}:audience`;
/** Hash: who is banned or muted, until when and by whom, and when the room ended; see rules.lua. It outlives the room. */
export const rulesKey = (room: RoomId): string => `rs:{${room}}:rules`;
/** String: digest and answer of a write. A space parts user and key, because a user may contain anything else. */
export const seenKey = (room: RoomId, user: UserId, key: string): string => `rs:{${room}}:seen:${user} ${key}`;
/** The same for a write without a key of its own. No user is empty, so this meets no client's key. */
export const sentKey = (room: RoomId, id: string): string => `rs:{${room}}:seen: ${id}`;
/** String: the theoretical arrival time of a rate. */
export const rateKey = (room: RoomId, user: UserId, name: string): string => `rs:{${room}}:rate:${user} ${name}`;

export const roomChannel = (room: RoomId): string => `rs:{${room}}`;
export const nodeChannel = (room: RoomId, nodeId: string): string => `rs:{${room}}:${nodeId}`;
