/** What is found of one server when it is tried out, and how its words are told from a lost connection. */

import type { Redis } from 'ioredis';

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

/** Makes the connection use a database. Answers what is denied; null if it does use it. */
export async function select(redis: Redis, database: number): Promise<string | null> {
  // In capitals: what the driver knows as `select` it repeats by itself, where nobody hears of a failure.
  const word = await redis.call('SELECT', database).then(() => null, wordOf);
  return word === null ? null : `SELECT ${database}: ${word}`;
}

/** The server's word; whatever else went wrong is the connection's. */
export function wordOf(error: Error): string {
  if (error.name !== 'ReplyError') throw error;
  return error.message;
}
