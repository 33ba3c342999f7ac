/**
 * The contract of who is in a room, over all nodes: the viewer count, and the directory of users, by which the log
 * finds the nodes that a direct signal must reach. Each back end keeps it beside its log, because some steps need both:
 * `enter` judges bans and reads the tail, and a direct signal is published by the directory.
 *
 * Calls end, and are refused, like those of `room-log`.
 */

import type { Grant, Role, RoomId, UserId } from '../model.ts';
import type { Position, Tail } from './position.ts';

/** How many watch a room, over all nodes. */
export interface ViewerCount {
  /** Open streams, including those without a token. */
  readonly viewers: number;
  /** Distinct users in the directory. */
  readonly users: number;
}

export const sameCount = (one: ViewerCount, other: ViewerCount): boolean =>
  one.viewers === other.viewers && one.users === other.users;

/** What the log answers at admission. */
export interface Entered {
  readonly tail: Tail;
  readonly ended: boolean;
  readonly banned: boolean;
  /** If a user was registered: this node had no valid lease in the room before. See `Renewed`. */
  readonly lapsed: boolean;
  readonly covered?: boolean;
}

export interface Renewed {
  readonly tail: Tail;
  /** The room's viewer count now. */
  readonly sum: ViewerCount;
  /** The count that a node last reported showing to its viewers; null if none has. */
  readonly shown: ViewerCount | null;
  /** How soon to renew again, in milliseconds, to remove more users of expired nodes; 0: at the node's own pace. */
  readonly againMs: number;
  /** The lease had expired or was lost: this node may have missed direct signals, and its users must enter again. */
  readonly lapsed: boolean;
  /** The directory itself was lost: direct signals go to every node until it is refilled, so this node missed none. */
  readonly covered?: boolean;
}

export interface Presence {
  /**
   * Registers a user with a stream on this node in the room's directory. For `null` (no token) it only reads. `role`:
   * the role of the stream's token; default `viewer`, which every ban binds.
   */
  enter(room: RoomId, user: UserId | null, role?: Role): Promise<Entered>;
  /** Call when the user's last stream in this room on this node has ended. */
  leave(room: RoomId, user: UserId): Promise<void>;
  /** Notifies the nodes where the user is registered of what its token allows now; null: the user gave it up. */
  prolong(room: RoomId, user: UserId, grant: Grant | null): Promise<void>;
  /**
   * Keeps this node's records in the directory valid for another `leaseMs`, keeps the room from being forgotten, and
   * returns the tail. `seen`: the last entry that this node received from the log. If the log has less in that epoch,
   * it was restored to an older state without noticing, and begins a new epoch. Never pass a position from a client.
   *
   * `viewers`: this node's streams in the room; they count as long as the lease is valid. When the sum over all nodes
   * or the directory's number of users changes, both are published to all nodes as `audience`. Users of a node whose
   * lease expired are removed, a bounded number at a time. `shown`: the count that this node shows its viewers; a node
   * that begins to follow the room continues from it.
   */
  renew(room: RoomId, viewers?: number, seen?: Position | null, shown?: ViewerCount | null): Promise<Renewed>;
}

/** How long a node's directory records stay valid without `renew`, in milliseconds. */
export const leaseMs = 15_000;
