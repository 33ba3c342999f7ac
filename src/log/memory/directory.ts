/**
 * The embedded log's directory of one room: which nodes hold a stream of which user, each valid as long as the node's
 * lease. It is a plain value, like everything that `log/memory/record` keeps. Only tests have several nodes, so expired
 * nodes are removed at once.
 */

import type { UserId } from '../../model.ts';
import { leaseMs, type ViewerCount } from '../presence.ts';

export interface Directory {
  readonly nodes: Map<string, NodeRecord>;
  /** The number of nodes where each user is registered, whether or not their leases are valid. */
  readonly held: Map<UserId, number>;
}

interface NodeRecord {
  leaseEndsAtMs: number;
  /** Open streams, as the node last reported. */
  viewers: number;
  readonly users: Set<UserId>;
}

export const newDirectory = (): Directory => ({ nodes: new Map(), held: new Map() });

/** Starts or prolongs a node's lease; sets `viewers` if given. Returns whether the lease had expired or was missing. */
export function lease({ nodes }: Directory, node: string, now: number, viewers?: number): { lapsed: boolean } {
  const record = nodes.get(node) ?? { leaseEndsAtMs: now, viewers: 0, users: new Set() };
  const lapsed = record.leaseEndsAtMs <= now;
  record.leaseEndsAtMs = now + leaseMs;
  record.viewers = viewers ?? record.viewers;
  nodes.set(node, record);
  return { lapsed };
}

export function noteEntered(directory: Directory, node: string, user: UserId, now: number): { lapsed: boolean } {
  const leased = lease(directory, node, now);
  const users = directory.nodes.get(node)?.users;
  if (users !== undefined && !users.has(user)) {
    users.add(user);
    directory.held.set(user, (directory.held.get(user) ?? 0) + 1);
  }
  return leased;
}

export function noteLeft(directory: Directory, node: string, user: UserId): void {
  const users = directory.nodes.get(node)?.users;
  if (users?.delete(user)) release(directory, user);
}

/** The nodes that hold streams of these users, and how many of the users have one. */
export function whereIs(
  { nodes }: Directory,
  users: readonly UserId[],
  now: number,
): { nodes: Set<string>; connected: number } {
  const names = new Set<string>();
  const found = new Set<UserId>();
  for (const [node, record] of nodes) {
    if (record.leaseEndsAtMs <= now) continue;
    for (const user of users) {
      if (!record.users.has(user)) continue;
      names.add(node);
      found.add(user);
    }
  }
  return { nodes: names, connected: found.size };
}

/** The viewer count of the nodes with a valid lease. Removes the other nodes, and the users that only they held. */
export function countViewers(directory: Directory, now: number): ViewerCount {
  let viewers = 0;
  for (const [node, record] of directory.nodes) {
    if (record.leaseEndsAtMs > now) viewers += record.viewers;
    else {
      for (const user of record.users) release(directory, user);
      directory.nodes.delete(node);
    }
  }
  return { viewers, users: directory.held.size };
}

/** Counts one node fewer that holds the user. */
function release({ held }: Directory, user: UserId): void {
  const nodes = (held.get(user) ?? 1) - 1;
  if (nodes > 0) held.set(user, nodes);
  else held.delete(user);
}
