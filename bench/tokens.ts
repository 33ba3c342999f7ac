/** Tokens for the crowd and the writer, signed by hand so that the benchmarks share no code with what checks them. */

import { createHmac } from 'node:crypto';

/** The key of every gateway that a benchmark starts. */
export const benchSecret = 'Kq3vXb8TzR5mWc2LhY7pNd4sGf9jUe6a';

const lifeS = 3_600;
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

export function signToken(secret: string, sub: string, role: string): string {
  const claims = { sub, rooms: { '*': role }, exp: Math.floor(Date.now() / 1000) + lifeS };
  const input = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}
