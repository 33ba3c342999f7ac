/**
 * `GET /rooms/:room/stream`: watches a room, from now on or from an id. This file settles everything that HTTP can say;
 * then the socket goes to the hub, and the request is over.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Authenticator } from '../auth/authenticator.ts';
import type { CookieSettings } from '../auth/cookies.ts';
import { Refusal } from '../errors.ts';
import type { Drain } from '../hub/drain.ts';
import type { Hub } from '../hub/hub.ts';
import type { From, Join } from '../hub/join.ts';
import { parsePosition } from '../log/position.ts';
import { headBytes, isInTurn, takeOver } from '../stream/take-over.ts';
import { ambientUser } from './ambient-user.ts';
import { findCaller } from './caller.ts';
import { describeProblem, sendProblem } from './problem.ts';
import { historyMax, problems, readSecurity, readWhole, roomParams, streamQuery } from './schemas.ts';
import { comeBackLater, encodingFor, framingFor, streamHeaders } from './stream-answer.ts';

export interface GetStreamOptions {
  readonly hub: Hub;
  readonly drain: Pick<Drain, 'isDraining' | 'note'>;
  readonly authenticator: Authenticator;
  readonly settings: CookieSettings;
}

interface StreamQuery {
  readonly lastEventId?: string;
  readonly history?: string;
}

/** The client's id; an empty one is none. The header wins, because it holds an EventSource's newest id. */
function readFrom(request: FastifyRequest): From {
  const { lastEventId } = request.query as StreamQuery;
  const header = request.headers['last-event-id'];
  const text = (typeof header === 'string' && header !== '' ? header : lastEventId) ?? '';
  return text === '' ? null : (parsePosition(text) ?? 'unreadable');
}

/** The group that nginx chose for the request; null if no nginx of ours was in between. */
const groupOf = ({ headers }: FastifyRequest): string | null => {
  const group = headers['x-ringside-group'];
  return typeof group === 'string' && group !== '' ? group : null;
};

const streamSchema = {
  operationId: 'watchRoom',
  summary: 'Watch a room: Server-Sent Events',
  description:
    'Begins with `retry:`, `resume` and `state`; then what was missed, in order; then live events. Overload and shutdown answer 200 with an `end` event, because an EventSource gives up on any other status.',
  security: readSecurity,
  params: roomParams,
  querystring: streamQuery,
  response: {
    200: {
      description: 'An event stream, gzip if the client accepts it. docs/protocol.md lists the events.',
      content: { 'text/event-stream': { schema: Type.String() } },
    },
    204: { description: 'The room has ended, or the user is banned: do not return.', type: 'null' },
    ...problems,
  },
};

/** Statuses that refuse a stream for good; every other one would be an internal or temporary fault. */
const hardStatuses: ReadonlySet<number> = new Set([400, 401, 403]);

/** For a proxy only: another gateway has the room now. */
class SentElsewhere extends Refusal {
  constructor() {
    super('overloaded', 'This gateway hands its viewers over and takes no more.');
  }
}

export function getStream({ hub, drain, authenticator, settings }: GetStreamOptions) {
  /** @throws {SentElsewhere} for a proxy, which then asks another gateway; a browser would give up for good. */
  const isLeaving = (request: FastifyRequest): boolean => {
    const group = groupOf(request);
    drain.note(group);
    if (!drain.isDraining) return false;
    hub.hubCounters.turnedAway.leaving += 1;
    if (group !== null) throw new SentElsewhere();
    return true;
  };
  /** What needs no caller to be told. */
  const turnAway = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    if (!(await isInTurn(request.raw, reply.raw))) return reply.hijack();
    return isLeaving(request) ? comeBackLater(reply, 'closing', hub.retryMs()) : undefined;
  };
  /**
   * Faults of a hook, the key set, the log or the program get a soft refusal, because an error status would end an
   * EventSource for good. Faults of the request get their status.
   */
  const onError = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const { status, isBug } = describeProblem(error, request.id);
    if (hardStatuses.has(status) || error instanceof SentElsewhere) return sendProblem(error, request, reply);
    if (isBug) request.log.error({ err: error }, 'stream not opened: internal error');
    return comeBackLater(reply, 'failed', hub.retryMs());
  };
  return async (app: FastifyInstance): Promise<void> => {
    app.route<{ Querystring: StreamQuery }>({
      method: 'GET',
      url: '/rooms/:room/stream',
      // A HEAD has no body to stream.
      exposeHeadRoute: false,
      schema: streamSchema,
      errorHandler: onError,
      preHandler: [turnAway, findCaller(authenticator)],
      handler: async (request, reply) => {
        const { room, identity } = request.caller;
        const history = readWhole('history', request.query.history, { absent: 0, max: historyMax });
        const from = readFrom(request);
        const user = ambientUser(request, { room, identity, from }, settings);
        const asked = { room, identity, from, history, isOtherUser: user.isOther };
        const admission = await hub.admit(identity.id === null ? { ...asked, address: request.ip } : asked);
        if (admission.outcome === 'overloaded') return comeBackLater(reply, 'overloaded', admission.retryMs);
        if (admission.outcome !== 'admitted') return reply.code(204).header('cache-control', 'no-store').send();
        try {
          user.note(reply, admission.tail.offset);
          open(hub, admission, request, reply);
        } catch (error) {
          admission.release();
          if (!reply.sent) throw error;
          request.log.error({ err: error }, 'stream not opened: internal error');
          request.raw.socket.destroy();
        }
        return reply;
      },
    });
  };
}

/** Gives the connection to the hub, from Node's server. */
function open(hub: Hub, join: Join, request: FastifyRequest, reply: FastifyReply): void {
  const encoding = encodingFor(request.headers['accept-encoding']);
  const framing = framingFor(request.raw);
  const head = headBytes(streamHeaders(reply, encoding, framing));
  reply.hijack();
  const socket = takeOver(reply.raw);
  if (socket === null) join.release();
  else hub.open(join, socket, encoding, head, framing);
}
