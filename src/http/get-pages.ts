/**
 * `GET /rooms/:room/pages/:page`: a room's events a hundred offsets at a time, for shared caches. Requires
 * ANONYMOUS_VIEWERS=on, because a cache serves everybody. Caches may keep a full page whose address names its version for
 * long, and anything else, including `not-found`, for a moment.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import { Refusal } from '../errors.ts';
import type { SharedPages } from '../hub/shared-pages.ts';
import { noParts, type RoomLog } from '../log/room-log.ts';
import type { Settings } from '../settings.ts';
import { findCaller } from './caller.ts';
import { isCurrent, setCaching } from './get-state.ts';
import { describeProblem } from './problem.ts';
import {
  conditionalHeaders,
  notModified,
  pageAnswer,
  pageParams,
  pageQuery,
  problems,
  readSecurity,
} from './schemas.ts';

export interface GetPagesOptions {
  readonly settings: Pick<Settings, 'anonymousViewers'>;
  readonly pages: Pick<SharedPages, 'find'>;
  readonly log: Pick<RoomLog, 'readState'>;
  readonly authenticator: Authenticator;
}

/** How long a cache may keep a full page under its version, in seconds; so an old address outlives a retraction. */
export const fullPageS = 600;
/** How long a cache may keep whatever can change, in seconds. */
export const momentS = 2;

const kept = `public, max-age=${fullPageS}, immutable`;
const brief = `public, max-age=${momentS}`;

export function getPages({ settings, pages, log, authenticator }: GetPagesOptions) {
  const checkOpen = async (): Promise<void> => {
    if (!settings.anonymousViewers) throw new Refusal('not-found', 'Pages require ANONYMOUS_VIEWERS=on.');
  };
  return async (app: FastifyInstance): Promise<void> => {
    app.route<{ Params: { page: string }; Querystring: { v?: string } }>({
      method: 'GET',
      url: '/rooms/:room/pages/:page',
      schema: {
        operationId: 'readPage',
        summary: 'Read a page of events from a shared cache',
        description:
          'The public events of a hundred offsets. Requires ANONYMOUS_VIEWERS=on. A full page is immutable if `v` is the current version.',
        security: [{}, ...readSecurity],
        params: pageParams,
        querystring: pageQuery,
        headers: conditionalHeaders,
        response: { 200: pageAnswer, 304: notModified, ...problems },
      },
      preHandler: [checkOpen, findCaller(authenticator)],
      handler: async (request, reply) => {
        const { room, identity } = request.caller;
        if (identity.id !== null && (await log.readState(room, identity, noParts)).banned) {
          throw new Refusal('banned', 'The user is banned from this room.');
        }
        const { page } = request.params;
        const { v = null } = request.query;
        const found = await pages.find(room, page === 'latest' ? page : Number(page), v);
        if (found === 'missing') return sendMissing(request, reply, identity.id === null);
        const { version, from, to, isFull, body } = found;
        const etag = `"${version}.${from}-${to}"`;
        setCaching(reply, identity, etag, isFull && v === version && page !== 'latest' ? kept : brief);
        if (isCurrent(request, etag)) return reply.code(304).send();
        return reply.type('application/json').send(body);
      },
    });
  };
}

/** Caches may also answer a crowd that waits for a page. */
function sendMissing(request: FastifyRequest, reply: FastifyReply, isShared: boolean): FastifyReply {
  const refusal = new Refusal('not-found', 'The page does not exist yet or was trimmed.');
  const { status, headers, body } = describeProblem(refusal, request.id);
  return reply
    .code(status)
    .headers({ ...headers, ...(isShared ? { 'cache-control': brief } : {}) })
    .send(body);
}
