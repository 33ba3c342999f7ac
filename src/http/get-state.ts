/**
 * `GET /rooms/:room/state` and `/state/:part`: a room's current state, whole or since a version. Made to be polled and
 * cached: an unchanged total costs no body, and without tokens one answer serves all clients.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import { Refusal } from '../errors.ts';
import type { SharedState } from '../hub/shared-state.ts';
import { judge, type Position, parsePosition, type Tail } from '../log/position.ts';
import type { RoomState } from '../log/room-log.ts';
import type { Epoch, Identity, StatePart } from '../model.ts';
import { findCaller } from './caller.ts';
import {
  conditionalHeaders,
  notModified,
  partAnswer,
  partParams,
  problems,
  readSecurity,
  roomParams,
  stateAnswer,
  stateQuery,
} from './schemas.ts';

export interface GetStateOptions {
  readonly states: Pick<SharedState, 'read'>;
  readonly authenticator: Authenticator;
}

export function getState({ states, authenticator }: GetStateOptions) {
  const bodies = new Bodies();
  return async (app: FastifyInstance): Promise<void> => {
    app.route<{ Querystring: { since?: string } }>({
      method: 'GET',
      url: '/rooms/:room/state',
      schema: {
        operationId: 'readState',
        summary: 'Read the state of a room',
        description:
          'Whole, or the changes since a version. The `ETag` is epoch and total version: `If-None-Match` answers 304 if nothing has changed.',
        security: readSecurity,
        params: roomParams,
        querystring: stateQuery,
        headers: conditionalHeaders,
        response: { 200: stateAnswer, 304: notModified, ...problems },
      },
      preHandler: findCaller(authenticator),
      handler: async (request, reply) => {
        const { room, identity } = request.caller;
        const state = await states.read(room, identity, versionIn(request));
        if (state.banned) throw isBanned();
        const etag = `"${state.tail.epoch}.${state.total}"`;
        setCaching(reply, identity, etag);
        if (isCurrent(request, etag)) return reply.code(304).send();
        reply.type('application/json');
        return bodies.of(state, readSince(request.query.since, state.tail));
      },
    });
    app.route<{ Params: { part: string } }>({
      method: 'GET',
      url: '/rooms/:room/state/:part',
      schema: {
        operationId: 'readStatePart',
        summary: 'Read one state part',
        description: 'The `ETag` is the version of the part. A part that was removed or never set is not found.',
        security: readSecurity,
        params: partParams,
        headers: conditionalHeaders,
        response: { 200: partAnswer, 304: notModified, ...problems },
      },
      preHandler: findCaller(authenticator),
      handler: async (request, reply) => {
        const { room, identity } = request.caller;
        const { tail, parts, banned } = await states.read(room, identity);
        if (banned) throw isBanned();
        const { part: name } = request.params;
        const part = parts.get(name);
        if (part === undefined || part.value === null) throw new Refusal('not-found', 'The state part does not exist.');
        const etag = `"${part.version}"`;
        setCaching(reply, identity, etag);
        if (isCurrent(request, etag)) return reply.code(304).send();
        reply.type('application/json');
        return `{"epoch":"${tail.epoch}","part":"${name}","version":${part.version},"value":${part.value}}`;
      },
    });
  };
}

const forAMoment = 'public, max-age=1, stale-while-revalidate=5';

const isBanned = (): Refusal => new Refusal('banned', 'The user is banned from this room.');

/**
 * The offset that an answer may build on; null if it must be whole: without `since`, with one of another history, or with
 * one so old that a removed part could have been forgotten.
 */
export function readSince(since: string | undefined, tail: Tail): number | null {
  if (since === undefined) return null;
  const [offset = '', epoch = tail.epoch] = since.split('.').reverse();
  const from = { epoch: epoch as Epoch, offset: Number(offset) };
  return judge(from, tail).verdict === 'exact' ? from.offset : null;
}

/** Answers. Whole ones are bytes, made once for all clients that get the same, and dropped with the parts. */
class Bodies {
  readonly #bodies = new WeakMap<ReadonlyMap<string, StatePart>, Buffer>();

  of(state: RoomState, since: number | null): Buffer | string {
    if (since !== null) return writeState(state, since);
    const body = this.#bodies.get(state.parts) ?? Buffer.from(writeState(state, null));
    this.#bodies.set(state.parts, body);
    return body;
  }
}

/** The answer as JSON text. Values are JSON text already and are never parsed. */
export function writeState({ tail, total, parts }: RoomState, since: number | null): string {
  const changed: string[] = [];
  const removed: string[] = [];
  for (const [name, { version, value }] of parts) {
    if (since !== null && version <= since) continue;
    if (value !== null) changed.push(`${JSON.stringify(name)}:{"version":${version},"value":${value}}`);
    else if (since !== null) removed.push(name);
  }
  const head = `"epoch":"${tail.epoch}","total":${total},"since":${since}`;
  return `{${head},"parts":{${changed.join(',')}},"removed":${JSON.stringify(removed)}}`;
}

/** RFC 9110, section 13.1.2: `If-None-Match` compares weakly, because a compressing proxy weakens the tags. */
export function isCurrent({ headers }: FastifyRequest, etag: string): boolean {
  const sent = headers['if-none-match'];
  if (sent === undefined) return false;
  return sent.trim() === '*' || (sent.match(/"[^"]*"/g)?.includes(etag) ?? false);
}

/** The version that a client has of the whole state, if it names just one. */
function versionIn({ headers }: FastifyRequest): Position | null {
  const tag = /^\s*(?:W\/)?"([^"]*)"\s*$/.exec(headers['if-none-match'] ?? '');
  return parsePosition(tag?.[1] ?? '');
}

/** Shared caches may keep answers without a token as long as `shared` says. */
export function setCaching(reply: FastifyReply, { id }: Identity, etag: string, shared = forAMoment): void {
  const vary = reply.getHeader('vary');
  reply.headers({
    etag,
    'cache-control': id === null ? shared : 'no-store',
    vary: vary === undefined ? 'Authorization, Cookie' : `${String(vary)}, Authorization, Cookie`,
    'x-content-type-options': 'nosniff',
  });
}
