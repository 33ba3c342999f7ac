/**
 * The cookies that this gateway sets, and their scope. `ringside` is a token for one room. It outlives the token, so that
 * a returning browser is refused instead of silently losing its identity. `ambient-user` reads `ringside_user`.
 */

import type { FastifyReply } from 'fastify';
import type { RoomId } from '../model.ts';
import type { Settings } from '../settings.ts';

export const cookieName = 'ringside';
export const userCookieName = 'ringside_user';
/** How long a cookie is kept after its token has expired. */
export const cookieOutlivesS = 86_400;

export type CookieSettings = Pick<Settings, 'cookieSameSite' | 'basePath'>;

/** The path of a room's cookies as the public sees it. */
const cookiePathOf = (room: RoomId, basePath = ''): string => `${basePath}/rooms/${room}`;

/** `maxAgeS`: null keeps it until the browser is closed; 0 removes it. */
export function giveCookie(
  reply: FastifyReply,
  settings: CookieSettings,
  { name, value, room, maxAgeS }: { name: string; value: string; room: RoomId; maxAgeS: number | null },
): void {
  const { cookieSameSite: sameSite, basePath } = settings;
  const isForOthers = sameSite === 'none';
  const options = {
    path: cookiePathOf(room, basePath),
    httpOnly: true,
    sameSite,
    // Browsers take `SameSite=None` with `Secure` only. Where they keep no cookies of other sites at all, they keep one
    // for each site that a page is of (CHIPS).
    secure: isForOthers || reply.request.protocol === 'https',
    partitioned: isForOthers,
    ...(maxAgeS === null ? {} : { maxAge: maxAgeS }),
  };
  // Not `setCookie`, which waits for a hook that a stream never comes to.
  reply.header('set-cookie', reply.server.serializeCookie(name, value, options));
}
