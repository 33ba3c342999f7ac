/**
 * The embedded log's directory of one room: which nodes hold a stream of which user, each valid while the node's lease
 * is. It is a plain value, like everything that `log/memory/record` keeps. Users of a node that fell silent are still
 * counted for
 * `graceMs`, as the node may come back; then they are taken out, `sweepAtOnce` at a time.
 */

import type { UserId } from '../../model.ts';
import { graceMs, leaseMs } from '../room-log.ts';

export interface Directory {
  readonly nodes: Map<string, NodeRecord>;
  /** How many nodes have each user on record, be their leases valid or not. */
  readonly held: Map<UserId, number>;
}

interface NodeRecord {
  leaseEndsAtMs: number;
  readonly users: Set<UserId>;
}

/** Users of silent nodes that one call takes out at most. */
const sweepAtOnce = 1_000;

export const newDirectory = (): Directory => ({ nodes: new Map(), held: new Map() });

/** Starts or prolongs a node's lease. Tells whether it had run out or was gone. */
export function lease({ nodes }: Directory, node: string, now: number): { lapsed: boolean } {
  const record = nodes.get(node) ?? { leaseEndsAtMs: now, users: new Set() };
  const lapsed = record.leaseEndsAtMs <= now;
  record.leaseEndsAtMs = now + leaseMs;
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

/** Which nodes hold streams of these users, and how many of the users have one. */
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

/**
 * Takes out users of nodes that have been silent for the grace, none of them before `awakeAtMs` and the grace. Answers
 * how many users are gone with that, and how long until more is to be taken out; null where nothing is.
 */
export function sweepGhosts(
  directory: Directory,
  awakeAtMs: number,
  now: number,
): { gone: number; againMs: number | null } {
  let left = sweepAtOnce;
  let gone = 0;
  let againMs = Infinity;
  for (const [node, { leaseEndsAtMs, users }] of directory.nodes) {
    const dueInMs = Math.max(leaseEndsAtMs, awakeAtMs) + graceMs - now;
    if (leaseEndsAtMs <= now && dueInMs > 0) againMs = Math.min(againMs, dueInMs);
    if (leaseEndsAtMs > now || dueInMs > 0) continue;
    for (const user of users) {
      if (left === 0) return { gone, againMs: sweepPauseMs };
      left -= 1;
      users.delete(user);
      gone += release(directory, user);
    }
    directory.nodes.delete(node);
  }
  return { gone, againMs: againMs === Infinity ? null : againMs };
}

/** The least time between two steps of a sweep. */
const sweepPauseMs = 50;

/** One node less has the user on record. Answers how many users that is less in all. */
function release({ held }: Directory, user: UserId): number {
  const nodes = (held.get(user) ?? 1) - 1;
  if (nodes > 0) {
    held.set(user, nodes);
    return 0;
  }
  held.delete(user);
  return 1;
}
