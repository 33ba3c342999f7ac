/**
 * The user that a browser's ids were given to. With a cookie, or with nothing, a browser returns as its present user:
 * after a log-out as none, after another log-in as another. Its id says only how far it had got. So a second cookie holds
 * the user that last opened a stream in the room, and the offset up to which ids may be another user's. It decides what
 * `resume` says and nothing else. A token in the header or the address identifies the user by itself.
 */

import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { findToken } from '../auth/authenticator.ts';
import { type CookieSettings, giveCookie, userCookieName } from '../auth/cookies.ts';
import type { From } from '../hub/join.ts';
import { offsetPattern } from '../log/position.ts';
import type { Identity, RoomId } from '../model.ts';

/** The user, and after a change of users the offset up to which ids may be another user's. */
const markPattern = new RegExp(`^(nobody|[A-Za-z0-9_-]{11})(?:\\.${offsetPattern})?$`);

export interface AmbientUser {
  /** The client's id may have been given to another user. */
  readonly isOther: boolean;
  /** Stores the present user in the browser. `tailOffset`: no issued id is beyond it. */
  note(reply: FastifyReply, tailOffset: number): void;
}

export function ambientUser(
  request: FastifyRequest,
  { room, identity, from }: { room: RoomId; identity: Identity; from: From },
  settings: CookieSettings,
): AmbientUser {
  const source = findToken(request)?.source ?? null;
  if (source === 'header' || source === 'query') return { isOther: false, note: () => undefined };
  const now = markOf(identity, room);
  const [, before, upTo] = markPattern.exec(request.cookies[userCookieName] ?? '') ?? [];
  const isNew = before !== now;
  const isOld = upTo !== undefined && from !== null && from !== 'unreadable' && from.offset <= Number(upTo);
  return {
    // A browser without the cookie is unknown.
    isOther: from !== null && before !== undefined && (isNew || isOld),
    note: (reply, tailOffset) => {
      const value = before === undefined ? now : `${now}.${tailOffset}`;
      if (isNew) giveCookie(reply, settings, { name: userCookieName, value, room, maxAgeS: null });
    },
  };
}

/** A digest: it tells users apart and names none. */
const markOf = ({ id }: Identity, room: RoomId): string =>
  id === null ? 'nobody' : createHash('sha256').update(`${room} ${id}`).digest('base64url').slice(0, 11);
