/** The findings of a test of one server, and how its errors are told from a lost connection. */

import type { Redis } from 'ioredis';

export interface Finding {
  /** A missing right, in Redis' own words; null if none is. */
  readonly lack: string | null;
  /** Why the server refuses writes now, in its own words; null if it does not, or if unknown. */
  readonly refusal: string | null;
  /** `maxmemory-policy`; null if it is not known. */
  readonly policy: string | null;
}

/** The findings of a server of which nothing is known. */
export const nothingFound: Finding = { lack: null, refusal: null, policy: null };

/** Selects a database. Returns the missing right; null on success. */
export async function select(redis: Redis, database: number): Promise<string | null> {
  // In capitals: the driver repeats its own `select` by itself and hides a failure.
  const word = await redis.call('SELECT', database).then(() => null, wordOf);
  return word === null ? null : `SELECT ${database}: ${word}`;
}

/** The server's error message. Throws errors of the connection. */
export function wordOf(error: Error): string {
  if (error.name !== 'ReplyError') throw error;
  return error.message;
}
