/** `GET /rooms/:room/events`: the same events by request, with a cursor and an optional wait. */

import type { FastifyInstance } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import type { CookieSettings } from '../auth/cookies.ts';
import { TokenRefusal } from '../auth/token-refusal.ts';
import { Refusal } from '../errors.ts';
import type { Pull, Pulled } from '../hub/pull.ts';
import { formatPosition, parsePosition } from '../log/position.ts';
import { ambientUser } from './ambient-user.ts';
import { findCaller } from './caller.ts';
import {
  eventsAnswer,
  eventsQuery,
  problems,
  pullLimit,
  pullLimitMax,
  readSecurity,
  readWhole,
  roomParams,
  waitMaxS,
} from './schemas.ts';

export interface GetEventsOptions {
  readonly pull: Pull;
  readonly authenticator: Authenticator;
  readonly settings: CookieSettings;
}

interface EventsQuery {
  readonly after?: string;
  readonly limit?: string;
  readonly wait?: string;
}

/** When the limit may have passed. */
const notNow = { retryAfterS: 5 };

export function getEvents({ pull, authenticator, settings }: GetEventsOptions) {
  return async (app: FastifyInstance): Promise<void> => {
    app.route<{ Querystring: EventsQuery }>({
      method: 'GET',
      url: '/rooms/:room/events',
      exposeHeadRoute: false,
      schema: {
        operationId: 'pullEvents',
        summary: 'Pull the events after a cursor',
        description:
          'The events of the stream by request. Without `after` the answer only says where to begin. State changes come as `state` events; sums without an id, such as `likes`, are not included.',
        security: readSecurity,
        params: roomParams,
        querystring: eventsQuery,
        response: { 200: eventsAnswer, ...problems },
      },
      preHandler: findCaller(authenticator),
      handler: async (request, reply) => {
        const { room, identity } = request.caller;
        const { after = '', limit, wait } = request.query;
        const from = after === '' ? null : (parsePosition(after) ?? 'unreadable');
        const user = ambientUser(request, { room, identity, from }, settings);
        const gone = new AbortController();
        request.raw.once('close', () => gone.abort());
        const pulled = await pull.pull({
          room,
          identity,
          after: from,
          limit: readWhole('limit', limit, { absent: pullLimit, max: pullLimitMax }),
          waitMs: 1000 * readWhole('wait', wait, { absent: 0, max: waitMaxS }),
          signal: gone.signal,
          ...(identity.id === null ? { address: request.ip } : {}),
        });
        if (pulled === 'banned') throw new Refusal('banned', 'The user is banned from this room.');
        if (pulled === 'overloaded') throw new Refusal('overloaded', 'This gateway is at a limit.', notNow);
        if (pulled === 'share') throw new Refusal('rate-limited', 'Too many concurrent pulls.', notNow);
        if (pulled === 'expired') throw new TokenRefusal('expired');
        user.note(reply, pulled.tailOffset);
        reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }).type('application/json');
        const { id, role } = identity;
        return writePulled(pulled, { id, role, ...(user.isOther ? { changed: true } : {}) });
      },
    });
  };
}

/** The answer as JSON. The events are text already, shared by all clients that get the same. */
function writePulled({ judged, events, next, nextPollMs }: Pulled, you: unknown): Buffer {
  const { verdict, missed, cause } = judged;
  const head = JSON.stringify({ verdict, missed, cause, next: formatPosition(next), nextPollMs, you });
  return Buffer.concat([Buffer.from(`${head.slice(0, -1)},"events":`), events, Buffer.from('}')]);
}
