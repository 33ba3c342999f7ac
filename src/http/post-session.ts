/**
 * `POST /rooms/:room/session`: turns a bearer token into the cookie that an EventSource can send, and prolongs the
 * streams that the user has open in the room. The cookie is the room's own, so rooms do not overwrite each other's.
 */

import type { FastifyInstance } from 'fastify';
import { Refusal } from '../errors.ts';
import type { RoomLog } from '../log/room-log.ts';
import type { Settings } from '../settings.ts';
import { cookieName, type Door, findToken, speakerOf } from './identity.ts';
import { acceptJson } from './json-body.ts';
import { checkShape, problems, roomOf, roomParams, sessionAnswer } from './schemas.ts';

export interface PostSessionOptions {
  readonly settings: Pick<Settings, 'basePath'>;
  readonly log: Pick<RoomLog, 'prolong'>;
  readonly door: Door;
}

export function postSession({ settings, log, door }: PostSessionOptions) {
  return async (app: FastifyInstance): Promise<void> => {
    // The token is all that is asked for; a body that a client sends out of habit is read and left alone.
    acceptJson(app, 1);
    app.route({
      method: 'POST',
      url: '/rooms/:room/session',
      schema: {
        operationId: 'openSession',
        security: [{ token: [] }],
        summary: 'Turn a bearer token into a cookie, and prolong open streams',
        description:
          'Takes the token as `Authorization: Bearer` only. Sets the cookie `ringside` for the paths of this room and lets the streams that the user has open in it last until the token expires.',
        params: roomParams,
        response: { 200: sessionAnswer, ...problems },
      },
      validatorCompiler: checkShape,
      handler: async (request, reply) => {
        const room = roomOf(request);
        const identity = await door.identify(request, room);
        const { id } = speakerOf(identity);
        const found = findToken(request);
        if (found?.source !== 'header') {
          throw new Refusal('unauthorized', 'Send the token as `Authorization: Bearer`.');
        }
        await log.prolong(room, id, identity.expiresAtMs);
        reply.setCookie(cookieName, found.token, {
          path: `${settings.basePath}/rooms/${room}`,
          httpOnly: true,
          sameSite: 'lax',
          secure: request.protocol === 'https',
          expires: new Date(identity.expiresAtMs),
        });
        reply.header('cache-control', 'no-store').type('application/json');
        return JSON.stringify({ expiresAt: identity.expiresAtMs });
      },
    });
  };
}
