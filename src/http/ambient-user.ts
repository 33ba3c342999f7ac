/**
 * Whom the ids of a browser were given to. With a cookie, or with nothing, a browser comes back as whoever it is by now:
 * after a log-out as nobody, after another log-in as another. Its id says only how far it had got, so a second cookie
 * keeps as whom this browser last opened a stream in the room, and up to which offset its ids may be another user's.
 * It decides what `resume` says and nothing else. A token in the header or the address says itself who comes.
 */

import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { findToken } from '../auth/authenticator.ts';
import { type CookieSettings, giveCookie, userCookieName } from '../auth/cookies.ts';
import type { From } from '../hub/join.ts';
import { offsetPattern } from '../log/position.ts';
import type { Identity, RoomId } from '../model.ts';

/** The user, and after a change of users the offset up to which ids may be another one's. */
const markPattern = new RegExp(`^(nobody|[A-Za-z0-9_-]{11})(?:\\.${offsetPattern})?$`);

export interface AmbientUser {
  /** The id that came may have been given to another user. */
  readonly isOther: boolean;
  /** Has the browser keep who it is now. `tailOffset`: no id that was given out so far is beyond it. */
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
    // Of a browser that kept nothing, nothing is known.
    isOther: from !== null && before !== undefined && (isNew || isOld),
    note: (reply, tailOffset) => {
      const value = before === undefined ? now : `${now}.${tailOffset}`;
      if (isNew) giveCookie(reply, settings, { name: userCookieName, value, room, maxAgeS: null });
    },
  };
}

/** Tells users apart and names none. */
const markOf = ({ id }: Identity, room: RoomId): string =>
  id === null ? 'nobody' : createHash('sha256').update(`${room} ${id}`).digest('base64url').slice(0, 11);
