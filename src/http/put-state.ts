/**
 * `PUT` and `DELETE /rooms/:room/state/:part`: a host sets or removes one part of a room's state. `If-Match` makes it
 * safe for several hosts to write the same part.
 */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { stateRate } from '../actions/action.ts';
import { type Authenticator, speakerOf } from '../auth/authenticator.ts';
import { Refusal } from '../errors.ts';
import { formatPosition } from '../log/position.ts';
import type { Change, IfVersion, RoomLog } from '../log/room-log.ts';
import { isAtLeast, isPlainName, reservedNames } from '../model.ts';
import type { Settings } from '../settings.ts';
import { findCaller } from './caller.ts';
import { canonicalJson } from './canonical-json.ts';
import { acceptJson, bodyBytesMax, type JsonBody } from './json-body.ts';
import { changedAnswer, partParams, problems, putStateHeaders } from './schemas.ts';
import { append, once, readKey, scaleRate } from './write.ts';

export interface PutStateOptions {
  readonly settings: Pick<Settings, 'rateScale'>;
  readonly log: Pick<RoomLog, 'append'>;
  readonly authenticator: Authenticator;
}

/** Levels that a value may nest. */
const valueDepthMax = 32;

export function putState({ settings, log, authenticator }: PutStateOptions) {
  /** The log judges the condition in its one step, after it has looked for an earlier answer to the same key. */
  const write = async (request: FastifyRequest, reply: FastifyReply): Promise<string> => {
    const { room, identity } = request.caller;
    const { id: by, role } = speakerOf(identity);
    const part = partOf(request);
    const value = valueIn(request);
    const key = readKey(request);
    const ifVersion = readCondition(request);
    const change: Change =
      value === null ? { type: 'remove', part, ifVersion } : { type: 'put', part, value, ifVersion };
    const rate = scaleRate(stateRate, settings.rateScale);
    const same = once(key, () => [request.method, part, String(ifVersion), value === null ? '' : canonicalJson(value)]);
    const { position, at } = await append(log, { room, by, role, once: same, rate, mutable: false, change });
    if (value !== null) reply.header('etag', `"${position.offset}"`);
    reply.header('cache-control', 'no-store').type('application/json');
    return JSON.stringify({ id: formatPosition(position), at, version: position.offset });
  };
  return async (app: FastifyInstance): Promise<void> => {
    acceptJson(app, valueDepthMax);
    const common = {
      url: '/rooms/:room/state/:part',
      bodyLimit: bodyBytesMax,
      onRequest: [findCaller(authenticator), checkTarget],
      handler: write,
    };
    const schema = {
      params: partParams,
      headers: putStateHeaders,
      response: { 200: changedAnswer, ...problems },
    };
    app.route({
      ...common,
      method: 'PUT',
      schema: {
        operationId: 'setStatePart',
        summary: 'Set a state part',
        description: `For hosts. Any JSON value of at most 16 KiB that nests at most ${valueDepthMax} levels. The answer's \`ETag\` is the new version.`,
        ...schema,
        body: Type.Unknown({ description: 'Any JSON value.' }),
      },
    });
    app.route({
      ...common,
      method: 'DELETE',
      schema: {
        operationId: 'removeStatePart',
        summary: 'Remove a state part',
        description: 'For hosts. The answer has the version of the removal. Removing an absent part is `not-found`.',
        ...schema,
      },
    });
  };
}

/** The value to set, as JSON text; null on a DELETE. @throws {Refusal} `malformed` without one. */
function valueIn({ method, body }: FastifyRequest): string | null {
  if (method === 'DELETE') return null;
  if (body === undefined) throw new Refusal('malformed', 'The body must be one JSON value.');
  return (body as JsonBody).text;
}

const partOf = ({ params }: FastifyRequest): string => (params as { part: string }).part;

/** @throws {Refusal} if the caller may not write state or the host may not use the part's name. */
async function checkTarget(request: FastifyRequest): Promise<void> {
  const { role } = speakerOf(request.caller.identity);
  if (!isAtLeast(role, 'host')) throw new Refusal('not-this-role', 'Writing state requires the role host.');
  const part = partOf(request);
  if (!isPlainName(part))
    throw new Refusal('malformed', 'A state part name has 1 to 32 of a-z 0-9 . -, the first a letter.');
  if (reservedNames.has(part)) throw new Refusal('reserved-name', `The protocol reserves the name ${part}.`);
}

/** @throws {Refusal} `malformed` */
function readCondition({ headers, method }: FastifyRequest): IfVersion {
  const match = headers['if-match']?.trim();
  const noneMatch = headers['if-none-match']?.trim();
  if (noneMatch !== undefined) {
    if (noneMatch === '*' && match === undefined && method === 'PUT') return 0;
    throw new Refusal('malformed', 'If-None-Match must be `*`, on PUT and without If-Match.');
  }
  if (match === undefined) return null;
  if (match === '*') return 'any';
  const version = /^"(0|[1-9][0-9]{0,14})"$/.exec(match)?.[1];
  if (version === undefined)
    throw new Refusal('malformed', 'If-Match must be `*` or one quoted version, such as "1042".');
  return Number(version);
}
