/**
 * What a server must let a gateway do, tried out on one connection: the database, the functions, and by `probe.lua`
 * every command, kind of key and channel that they use. It tells a missing right from a server that takes no writes
 * just now (full, a replica, starting), because the one needs an operator and the other may pass.
 */

import type { Redis } from 'ioredis';
import type { RoomId, UserId } from '../signal.ts';
import type { RoomKeys } from './keys.ts';
import { functionName } from './redis-library.ts';
import { isDenial, isOfASlot } from './redis-replies.ts';

export interface Finding {
  /** What is denied although a gateway needs it, with Redis' own word; null if nothing is. */
  readonly lack: string | null;
  /** Why the server takes no writes now, in its own word; null if it does, or if nobody can tell. */
  readonly refusal: string | null;
  /** `maxmemory-policy`; null if it is not known. */
  readonly policy: string | null;
}

/** What is found of a server that nobody can tell anything of. */
export const nothingFound: Finding = { lack: null, refusal: null, policy: null };

/** Keys of every kind and both channels of a room. */
export function namesOf(keys: RoomKeys, room: RoomId) {
  const user = 'nobody' as UserId;
  return {
    keys: [
      ...[keys.log(room), keys.meta(room), keys.state(room), keys.where(room), keys.nodes(room), keys.audience(room)],
      ...[keys.rules(room), keys.seen(room, user, ''), keys.rate(room, user, '')],
    ],
    channels: [keys.roomChannel(room), keys.nodeChannel(room, 'node')] as const,
  };
}

/** Makes the connection use a database. Answers what is denied; null if it does use it. */
export async function select(redis: Redis, database: number): Promise<string | null> {
  // In capitals: what the driver knows as `select` it repeats by itself, where nobody hears of a failure.
  const word = await redis.call('SELECT', database).then(() => null, wordOf);
  return word === null ? null : `SELECT ${database}: ${word}`;
}

/**
 * What this room's slot shows of the server; what it does not show is left out. The library must have been loaded, else
 * the refusal is that it is not there. Rejects only if the connection is lost.
 */
export async function tryOut(
  redis: Redis,
  keys: RoomKeys,
  room: RoomId,
  isCluster: boolean,
): Promise<Partial<Finding>> {
  const names = namesOf(keys, room);
  const asking = isCluster ? await redis.asking().then(() => null, wordOf) : null;
  if (asking !== null) return { lack: `ASKING: ${asking}` };
  const [memory, reply] = await Promise.all([
    redis.info('memory').catch(wordOf),
    redis.fcall(functionName('probe'), names.keys.length, ...names.keys, ...names.channels).catch(wordOf),
  ]);
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1] ?? null;
  if (Array.isArray(reply)) return { policy, lack: reply.length === 0 ? null : gather(reply as string[]) };
  const word = String(reply);
  if (isDenial(word)) return { policy, lack: `FCALL on keys ${keys.space}:*: ${word}` };
  return isOfASlot(word) ? { policy } : { policy, refusal: word };
}

/** The server's word; whatever else went wrong is the connection's. */
function wordOf(error: Error): string {
  if (error.name !== 'ReplyError') throw error;
  return error.message;
}

/** `<what>: <word>` of each, the equal words told once. */
function gather(lines: readonly string[]): string {
  const byWord = new Map<string, string[]>();
  for (const line of lines) {
    const [, what = line, word = ''] = /^(.*?): (.*)$/s.exec(line.replace(/\{[^}]*\}/, '*')) ?? [];
    byWord.set(word, [...(byWord.get(word) ?? []), what]);
  }
  return [...byWord].map(([word, whats]) => `${whats.join(', ')}: ${word}`).join('; ');
}
