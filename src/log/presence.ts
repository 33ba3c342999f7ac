/**
 * The contract of who is in a room, over all nodes: the directory of users, by which the log finds the nodes that a peer
 * entry must reach, and how many watch. Each back end keeps it beside its log, as some steps need both: `enter` judges
 * bans and reads the tail, and a peer entry is published by the directory.
 *
 * Calls end, and are refused, as those of `room-log`.
 */

import type { Grant, Role, RoomId, UserId } from '../model.ts';
import type { Position, Tail } from './position.ts';

/** How many watch a room, over all nodes. */
export interface ViewerCount {
  /** Open streams, also those of viewers without a name. */
  readonly viewers: number;
  /** Distinct users in the directory. */
  readonly users: number;
}

export const sameCount = (one: ViewerCount, other: ViewerCount): boolean =>
  one.viewers === other.viewers && one.users === other.users;

/** What is known of a user at the door. */
export interface Entered {
  readonly tail: Tail;
  readonly ended: boolean;
  readonly banned: boolean;
  /** Where a user was put on record: this node had no valid lease in the room until now. See `Renewed`. */
  readonly lapsed: boolean;
  readonly covered?: boolean;
}

export interface Renewed {
  readonly tail: Tail;
  /** How many watch the room now. */
  readonly sum: ViewerCount;
  /** What a node said last that it shows its viewers; null where none has said it. */
  readonly shown: ViewerCount | null;
  /** How soon the node should renew again, in milliseconds, as users of silent nodes are left; 0: at its own pace. */
  readonly againMs: number;
  /** The lease had run out or was gone: peer entries may have passed this node by, and its users must enter again. */
  readonly lapsed: boolean;
  /** It was the directory that was lost: until it is filled again, peer entries go to every node, so none passed it by. */
  readonly covered?: boolean;
}

export interface Presence {
  /**
   * Puts a user with a stream on this node into the room's directory. `null` (no token) only asks. `role`: of the
   * stream's token; absent, `viewer`, whom every ban binds.
   */
  enter(room: RoomId, user: UserId | null, role?: Role): Promise<Entered>;
  /** The user's last stream in this room on this node is gone. */
  leave(room: RoomId, user: UserId): Promise<void>;
  /** Tells the nodes that have the user on record what its token allows now; null: the user has given it up. */
  prolong(room: RoomId, user: UserId, grant: Grant | null): Promise<void>;
  /**
   * Keeps this node's records in the directory valid for another `leaseMs`, and the room from being forgotten, and tells
   * the tail. `seen`: the last entry that the log gave this node. If the log has less in that epoch, it came back older
   * without noticing, and begins a new epoch. Never pass what a client says.
   *
   * `viewers`: streams that this node has in the room, which counts as long as the lease. The sum over all nodes, and
   * the directory's number of users, are published to everyone as `audience` when one of the two is another than before.
   * Users of a node whose lease ended are taken out, a bounded number at a time. `shown`: what this node shows its
   * viewers, from which a node that begins to follow the room goes on.
   */
  renew(room: RoomId, viewers?: number, seen?: Position | null, shown?: ViewerCount | null): Promise<Renewed>;
}

/** How long a node's directory records stay valid without `renew`, in milliseconds. */
export const leaseMs = 15_000;
