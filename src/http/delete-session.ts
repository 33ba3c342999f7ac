/**
 * `DELETE /rooms/:room/session`: logs out. It removes the cookie, valid or not, and ends its user's streams in the room.
 * Each client returns with whatever token it still has; this browser has none.
 */

import type { FastifyInstance } from 'fastify';
import { cookieName, giveCookie } from '../auth/cookies.ts';
import { Refusal } from '../errors.ts';
import type { Identity } from '../model.ts';
import type { SessionOptions } from './post-session.ts';
import { problems, roomOf, roomParams } from './schemas.ts';

export function deleteSession({ presence, authenticator, settings }: Omit<SessionOptions, 'clock'>) {
  return async (app: FastifyInstance): Promise<void> => {
    app.route({
      method: 'DELETE',
      url: '/rooms/:room/session',
      schema: {
        operationId: 'closeSession',
        security: [{ cookie: [] }, { token: [] }, {}],
        summary: 'Log out: remove the cookie, and end open streams',
        description:
          'Removes the cookie `ringside` of this room, even if its token has expired. The streams of its user in the room, on any device, end with `reauthorized`; clients that still have a token return.',
        params: roomParams,
        response: { 204: { description: 'The cookie is removed.', type: 'null' }, ...problems },
      },
      handler: async (request, reply) => {
        const room = roomOf(request);
        const named = [
          await authenticator.identify(request, room).catch(nobody),
          await authenticator.identifyByCookie(request, room),
        ];
        const users = new Set(named.map((one) => one?.id ?? null));
        // First, so that the cookie is removed even if the log is unavailable.
        giveCookie(reply, settings, { name: cookieName, value: '', room, maxAgeS: 0 });
        for (const user of users) if (user !== null) await presence.prolong(room, user, null);
        return reply.code(204).header('cache-control', 'no-store').send();
      },
    });
  };
}

/** An invalid token logs out as well. A page of another site logs nobody out. */
function nobody(error: unknown): Identity | null {
  if (error instanceof Refusal && error.code !== 'origin-refused') return null;
  throw error;
}
