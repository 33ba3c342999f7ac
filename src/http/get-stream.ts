/**
 * `GET /rooms/:room/stream`: watch a room, from now on or from where one was. Everything that HTTP can say is settled
 * here; then the socket goes to the hub, and this request is over.
 */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { Refusal } from '../errors.ts';
import type { Floor } from '../hub/floor.ts';
import type { Admission, Hub, StreamRequest } from '../hub/hub.ts';
import { parsePosition } from '../log/position.ts';
import { headBytes, takeOver } from '../stream/take-over.ts';
import type { Door } from './identity.ts';
import {
  checkShape,
  historyMax,
  problems,
  readSecurity,
  readWhole,
  roomOf,
  roomParams,
  streamQuery,
} from './schemas.ts';
import { comeBackLater, encodingFor, framingFor, streamHeaders } from './stream-answer.ts';

export interface GetStreamOptions {
  readonly hub: Hub;
  readonly floor: Pick<Floor, 'isDraining' | 'note'>;
  readonly door: Door;
}

interface StreamQuery {
  readonly lastEventId?: string;
  readonly history?: string;
}

/** An id is read as one; an empty one is none. The header wins, as it is what an EventSource knows last. */
export function readFrom(request: FastifyRequest): StreamRequest['from'] {
  const { lastEventId } = request.query as StreamQuery;
  const header = request.headers['last-event-id'];
  const text = (typeof header === 'string' && header !== '' ? header : lastEventId) ?? '';
  return text === '' ? null : (parsePosition(text) ?? 'unreadable');
}

/** The group that nginx meant the request for; null where no proxy of ours was in between. */
const groupOf = ({ headers }: FastifyRequest): string | null => {
  const group = headers['x-ringside-group'];
  return typeof group === 'string' && group !== '' ? group : null;
};

const streamSchema = {
  operationId: 'watchRoom',
  summary: 'Watch a room: Server-Sent Events',
  description:
    'Begins with `retry:`, `resume` and `state`; then what was missed, in order; then live. Overload and shutdown are told as 200 with an `end` event, because an EventSource gives up on any other status.',
  security: readSecurity,
  params: roomParams,
  querystring: streamQuery,
  response: {
    200: {
      description: 'An event stream, gzip where the client accepts it. The events are listed in docs/protocol.md.',
      content: { 'text/event-stream': { schema: Type.String() } },
    },
    204: { description: 'The room has ended, or the user is banned: do not come back.', type: 'null' },
    ...problems,
  },
};

export function getStream({ hub, floor, door }: GetStreamOptions) {
  /** @throws {Refusal} `overloaded` for a proxy, which then asks another gateway; a browser would take it for good. */
  const isLeaving = (request: FastifyRequest): boolean => {
    const group = groupOf(request);
    floor.note(group);
    if (!floor.isDraining) return false;
    hub.meter.turnedAway.leaving += 1;
    if (group !== null) throw new Refusal('overloaded', 'This gateway hands its viewers over and takes no more.');
    return true;
  };
  /** Whatever fails at this door is answered softly: a status of its own would end an EventSource for good. */
  const admit = async (asked: StreamRequest, request: FastifyRequest): Promise<Admission | 'failed'> => {
    try {
      return await hub.admit(asked);
    } catch (error) {
      if (!(error instanceof Refusal))
        request.log.error({ err: error }, 'a stream was not opened by a mistake of ours');
      return 'failed';
    }
  };

  return async (app: FastifyInstance): Promise<void> => {
    app.route<{ Querystring: StreamQuery }>({
      method: 'GET',
      url: '/rooms/:room/stream',
      // A HEAD has no body to stream.
      exposeHeadRoute: false,
      schema: streamSchema,
      validatorCompiler: checkShape,
      handler: async (request, reply) => {
        if (isLeaving(request)) return comeBackLater(reply, 'closing', hub.retryMs());
        const turnAwayMs = hub.turnAwayMs();
        if (turnAwayMs !== null) return comeBackLater(reply, 'overloaded', turnAwayMs);
        const room = roomOf(request);
        const identity = await door.identify(request, room);
        const history = readWhole('history', request.query.history, { absent: 0, max: historyMax });
        const admission = await admit({ room, identity, from: readFrom(request), history }, request);
        if (admission === 'failed') return comeBackLater(reply, 'failed', hub.retryMs());
        if (admission.outcome === 'overloaded') return comeBackLater(reply, 'overloaded', hub.retryMs());
        if (admission.outcome !== 'admitted') return reply.code(204).header('cache-control', 'no-store').send();
        const encoding = encodingFor(request.headers['accept-encoding']);
        const framing = framingFor(request.raw);
        const headers = streamHeaders(reply, encoding, framing);
        reply.hijack();
        const socket = takeOver(reply.raw);
        if (socket === null) admission.release();
        else admission.seat(socket, encoding, headBytes(headers), framing);
        return reply;
      },
    });
  };
}
