/**
 * `POST /rooms/:room/session`: turns a bearer token into the cookie that an EventSource can send, and applies the token to
 * the user's open streams in the room. Each room has its own cookie, so rooms do not overwrite each other's.
 */

import type { FastifyInstance } from 'fastify';
import { type Authenticator, findToken, speakerOf } from '../auth/authenticator.ts';
import { type CookieSettings, cookieName, cookieOutlivesS, giveCookie } from '../auth/cookies.ts';
import type { Clock } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { Presence } from '../log/presence.ts';
import { findCaller } from './caller.ts';
import { acceptJson } from './json-body.ts';
import { problems, roomParams, sessionAnswer } from './schemas.ts';

export interface SessionOptions {
  readonly presence: Pick<Presence, 'prolong'>;
  readonly authenticator: Authenticator;
  readonly settings: CookieSettings;
  readonly clock: Clock;
}

export function postSession({ presence, authenticator, settings, clock }: SessionOptions) {
  return async (app: FastifyInstance): Promise<void> => {
    // Only the token is required; a body that a client sends by habit is ignored.
    acceptJson(app, 1);
    app.route({
      method: 'POST',
      url: '/rooms/:room/session',
      schema: {
        operationId: 'openSession',
        security: [{ token: [] }],
        summary: 'Turn a bearer token into a cookie, and renew open streams',
        description:
          'Takes the token as `Authorization: Bearer` only. Sets the cookie `ringside` for the paths of this room. The streams that the user has open in it last until the token expires; where it names another role or other tags, they end and come back.',
        params: roomParams,
        response: { 200: sessionAnswer, ...problems },
      },
      preHandler: findCaller(authenticator),
      handler: async (request, reply) => {
        const { room, identity } = request.caller;
        const { id } = speakerOf(identity);
        const { id: _id, name: _name, ...grant } = identity;
        const found = findToken(request);
        if (found?.source !== 'header') {
          throw new Refusal('unauthorized', 'Send the token as `Authorization: Bearer`.');
        }
        const before = await authenticator.identifyByCookie(request, room);
        await presence.prolong(room, id, grant);
        // This browser has another user now: the previous user's streams end, as after a log-out.
        if (before !== null && before.id !== null && before.id !== id) await presence.prolong(room, before.id, null);
        const maxAgeS = Math.ceil((identity.expiresAtMs - clock.now()) / 1000) + cookieOutlivesS;
        giveCookie(reply, settings, { name: cookieName, value: found.token, room, maxAgeS });
        reply.header('cache-control', 'no-store').type('application/json');
        return JSON.stringify({ expiresAt: identity.expiresAtMs });
      },
    });
  };
}
