/**
 * Entries as text, the same in the stream and on the channels:
 *
 *     <offset> <previous> <epoch> <at> <kind> <lane, or status> <audience>
 *     <user> <user> …                 (this line only if the audience is `users`)
 *     <body>
 *
 * The script adds the first four words. The rest, the content, is made here, so the script neither parses nor prints
 * JSON. A counter's message is `+<counter> <total> <epoch>`, the viewer count's `~<viewers> <users>`, a newer token's
 * `=<until, Unix ms> <user> <role> <issued, Unix ms, or -> <tag> <tag> …`, and a given-up token's `=0 <user>`.
 */

import assert from 'node:assert/strict';
import {
  type Audience,
  type Entry,
  type EntryStatus,
  type Epoch,
  type Grant,
  isPlainName,
  isRole,
  isTagName,
  isUserId,
  type Lane,
  type UserId,
} from '../../model.ts';
import { epochPattern, type Tail } from '../position.ts';
import type { ViewerCount } from '../presence.ts';
import type { LogMessage } from '../room-log.ts';

/** Text that no gateway wrote. The reader decides what can go on without it. */
export class LogTextError extends Error {
  constructor(text: string) {
    super(`The log holds what no gateway wrote: ${JSON.stringify(text.slice(0, 80))}`);
    this.name = 'LogTextError';
  }
}

/** The part of an entry's text that does not depend on the room. */
export function encodeContent(kind: string, lane: Lane, audience: Audience, body: string): string {
  if (typeof audience === 'string') return `${kind} ${lane} ${audience}\n${body}`;
  assert(audience.length > 0, 'a peer entry has a target');
  return `${kind} ${lane} users\n${audience.join(' ')}\n${body}`;
}

/** @throws {LogTextError} */
export function decodeEntry(text: string): { readonly entry: Entry; readonly previous: number } {
  const headEnd = text.indexOf('\n');
  const [offset, previous, epoch, at, kind, lane = '', audience = ''] = text.slice(0, headEnd).split(' ');
  const isPeer = audience === 'users';
  const targetsEnd = isPeer ? text.indexOf('\n', headEnd + 1) : headEnd;
  const isSound = isEpoch.test(epoch ?? '') && isPlainName(kind) && (isLane(lane) || isStatus(lane));
  if (headEnd < 0 || targetsEnd < 0 || !isSound || !(isPeer || isNamed(audience))) throw new LogTextError(text);
  const body = text.slice(targetsEnd + 1);
  if (!isObject(body)) throw new LogTextError(text);
  return {
    entry: {
      epoch: epoch as Epoch,
      offset: readNumber(offset, text),
      at: readNumber(at, text),
      kind,
      ...(isStatus(lane) ? { lane: 'chat' as const, status: lane } : { lane: lane as Lane }),
      audience: isPeer ? (text.slice(headEnd + 1, targetsEnd).split(' ') as UserId[]) : (audience as Audience),
      body,
    },
    previous: readNumber(previous, text),
  };
}

const isEpoch = new RegExp(`^${epochPattern}$`);
const isLane = (word: string): boolean => word === 'must' || word === 'chat';
const isStatus = (word: string): word is EntryStatus => word === 'sampled-out' || word === 'tombstone';
const isNamed = (audience: string): boolean =>
  audience === 'all' ||
  audience === 'staff' ||
  (audience.startsWith('tag:') && isTagName(audience.slice(4))) ||
  (audience.startsWith('staff:') && isUserId(audience.slice(6)));

/** Bodies go into events verbatim, so anything but a JSON object on one line would corrupt a stream. */
function isObject(body: string): boolean {
  if (!body.startsWith('{') || body.includes('\n')) return false;
  try {
    JSON.parse(body);
    return true;
  } catch {
    return false;
  }
}

/** @throws {LogTextError} */
export function decodeMessage(text: string): LogMessage {
  const sign = text[0];
  if (sign !== '+' && sign !== '=' && sign !== '~') return { type: 'entry', ...decodeEntry(text) };
  const [first, second, third] = text.slice(1).split(' ');
  if (!first || !second) throw new LogTextError(text);
  if (sign === '~') return { type: 'audience', ...decodeViewerCount(text.slice(1)) };
  if (sign === '+') {
    if (!isPlainName(first) || !isEpoch.test(third ?? '')) throw new LogTextError(text);
    return { type: 'count', epoch: third as Epoch, counter: first, total: readNumber(second, text) };
  }
  return { type: 'prolong', user: second as UserId, grant: first === '0' ? null : decodeGrant(text) };
}

export function encodeGrant(user: UserId, grant: Grant | null): string {
  if (grant === null) return `=0 ${user}`;
  const { expiresAtMs, role, issuedAtMs = '-', tags } = grant;
  return [`=${expiresAtMs}`, user, role, issuedAtMs, ...tags].join(' ');
}

/** @throws {LogTextError} */
function decodeGrant(text: string): Grant {
  const [until, , role, issued, ...tags] = text.slice(1).split(' ');
  if (!isRole(role) || !tags.every(isTagName)) throw new LogTextError(text);
  const issuedAt = issued === '-' ? {} : { issuedAtMs: readNumber(issued, text) };
  return { expiresAtMs: readNumber(until, text), role, tags, ...issuedAt };
}

/** Empty for null. */
export const encodeViewerCount = (count: ViewerCount | null): string =>
  count === null ? '' : `${count.viewers} ${count.users}`;

/**
 * `<viewers> <users>`.
 * @throws {LogTextError}
 */
export function decodeViewerCount(text: string): ViewerCount {
  const [viewers, users] = text.split(' ');
  return { viewers: readNumber(viewers, text), users: readNumber(users, text) };
}

/**
 * `<epoch> <offset> <first>`, then the lineage as `<epoch>:<last>`, the newest last.
 * @throws {LogTextError}
 */
export function decodeTail(text: string): Tail {
  const [epoch, offset, first, ...ancestors] = text.split(' ');
  if (!epoch || !isEpoch.test(epoch)) throw new LogTextError(text);
  const lineage = ancestors.map((ancestor) => {
    const [old, last] = ancestor.split(':');
    return { epoch: old as Epoch, last: readNumber(last, text) };
  });
  return { epoch: epoch as Epoch, offset: readNumber(offset, text), first: readNumber(first, text), lineage };
}

export function readNumber(digits: string | undefined, text: string): number {
  const value = Number(digits || Number.NaN);
  if (!Number.isSafeInteger(value)) throw new LogTextError(text);
  return value;
}
