/**
 * The rights that a gateway needs on a server, tried out on one connection: the functions, and by `probe.lua` every
 * command, kind of key and channel that they use. It distinguishes a missing right, which needs an operator, from a
 * server that refuses writes for now (full, a replica, starting), which may pass.
 */

import type { Redis } from 'ioredis';
import type { RoomId, UserId } from '../../model.ts';
import { type Finding, wordOf } from '../../redis/finding.ts';
import { isDenial, isOfASlot } from '../../redis/replies.ts';
import type { FunctionLibrary } from '../../redis/shard.ts';
import type { RoomKeys } from './keys.ts';
import { functionName, type LibraryFunction, librarySource } from './library.ts';

/** Keys of every kind and both channels of a room. */
function namesOf(keys: RoomKeys, room: RoomId) {
  const user = 'nobody' as UserId;
  return {
    keys: [
      keys.log(room),
      keys.meta(room),
      keys.state(room),
      keys.where(room),
      keys.nodes(room),
      keys.audience(room),
      keys.rules(room),
      keys.seen(room, user, ''),
      keys.rate(room, user, ''),
    ],
    channels: [keys.roomChannel(room), keys.nodeChannel(room, 'node')] as const,
  };
}

/**
 * What this room's slot shows of the server; what it does not show is absent. Load the library first, or the refusal is
 * that it is missing. Rejects only if the connection is lost.
 */
async function tryOut(redis: Redis, keys: RoomKeys, room: RoomId, isCluster: boolean): Promise<Partial<Finding>> {
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

/** The functions, as the transport needs them. */
export const libraryOf = (keys: RoomKeys): FunctionLibrary => ({
  source: librarySource,
  nameOf: (short) => functionName(short as LibraryFunction),
  isWrite: (short) => short === 'append',
  tryOut: (redis, slotName, isCluster) => tryOut(redis, keys, slotName as RoomId, isCluster),
});

/** `<what>: <word>` of each line, with equal words merged. */
function gather(lines: readonly string[]): string {
  const byWord = new Map<string, string[]>();
  for (const line of lines) {
    const [, what = line, word = ''] = /^(.*?): (.*)$/s.exec(line.replace(/\{[^}]*\}/, '*')) ?? [];
    byWord.set(word, [...(byWord.get(word) ?? []), what]);
  }
  return [...byWord].map(([word, whats]) => `${whats.join(', ')}: ${word}`).join('; ');
}
