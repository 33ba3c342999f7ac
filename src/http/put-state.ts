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
import { append, type Kept, once, readKey, scaleRate } from './write.ts';

export interface PutStateOptions {
  readonly settings: Pick<Settings, 'rateScale'>;
  readonly log: Pick<RoomLog, 'append'>;
  readonly authenticator: Authenticator;
}

/** Levels that a value may nest. */
const valueDepthMax = 32;
/** The log judges the condition in its one step, after it has looked for an earlier answer to the same key. */
const writerFor =
  ({ settings, log }: PutStateOptions) =>
  async (request: FastifyRequest, makeChange: (part: string, ifVersion: IfVersion) => Change): Promise<Kept> => {
    const { room, identity } = request.caller;
    const { id: by, role } = speakerOf(identity);
    const part = partOf(request);
    const key = readKey(request);
    const ifVersion = readCondition(request);
    const { method, body } = request as { method: string; body: JsonBody | undefined };
    const same = once(key, () => {
      const value = method === 'PUT' && body !== undefined ? canonicalJson(body.text) : '';
      return [method, part, String(ifVersion), value];
    });
    const change = makeChange(part, ifVersion);
    const rate = scaleRate(stateRate, settings.rateScale);
    return append(log, { room, by, role, once: same, rate, mutable: false, change });
  };

export function putState(options: PutStateOptions) {
  const write = writerFor(options);
  const guard = [findCaller(options.authenticator), checkTarget];
  return async (app: FastifyInstance): Promise<void> => {
    acceptJson(app, valueDepthMax);
    const schema = {
      params: partParams,
      headers: putStateHeaders,
      response: { 200: changedAnswer, ...problems },
    };
    app.route<{ Body: JsonBody | undefined }>({
      method: 'PUT',
      url: '/rooms/:room/state/:part',
      bodyLimit: bodyBytesMax,
      schema: {
        operationId: 'setStatePart',
        summary: 'Set a state part',
        description: `For hosts. Any JSON value of at most 16 KiB that nests at most ${valueDepthMax} levels. The answer's \`ETag\` is the new version.`,
        ...schema,
        body: Type.Unknown({ description: 'Any JSON value.' }),
      },
      onRequest: guard,
      handler: async (request, reply) => {
        const { body } = request;
        if (body === undefined) throw new Refusal('malformed', 'The body must be one JSON value.');
        const kept = await write(request, (part, ifVersion) => ({ type: 'put', part, value: body.text, ifVersion }));
        reply.header('etag', `"${kept.position.offset}"`);
        return answer(reply, kept);
      },
    });
    app.route({
      method: 'DELETE',
      url: '/rooms/:room/state/:part',
      bodyLimit: bodyBytesMax,
      schema: {
        operationId: 'removeStatePart',
        summary: 'Remove a state part',
        description:
          'For hosts. The answer tells the version of the removal. Removing what is not there is `not-found`.',
        ...schema,
      },
      onRequest: guard,
      handler: async (request, reply) => {
        return answer(reply, await write(request, (part, ifVersion) => ({ type: 'remove', part, ifVersion })));
      },
    });
  };
}

function answer(reply: FastifyReply, { position, at }: Kept): string {
  reply.header('cache-control', 'no-store').type('application/json');
  return JSON.stringify({ id: formatPosition(position), at, version: position.offset });
}

const partOf = ({ params }: FastifyRequest): string => (params as { part: string }).part;

/** @throws {Refusal} where the caller may not write state, or the part's name is none that a host may choose. */
async function checkTarget(request: FastifyRequest): Promise<void> {
  const { role } = speakerOf(request.caller.identity);
  if (!isAtLeast(role, 'host')) throw new Refusal('not-this-role', 'Writing state takes the role host.');
  const part = partOf(request);
  if (!isPlainName(part)) throw new Refusal('malformed', 'A part is named by 1 to 32 of a-z 0-9 . -, first a letter.');
  if (reservedNames.has(part)) throw new Refusal('reserved-name', `${part} has a meaning of its own in the protocol.`);
}

/** @throws {Refusal} `malformed` */
function readCondition({ headers, method }: FastifyRequest): IfVersion {
  const match = headers['if-match']?.trim();
  const noneMatch = headers['if-none-match']?.trim();
  if (noneMatch !== undefined) {
    if (noneMatch === '*' && match === undefined && method === 'PUT') return 0;
    throw new Refusal('malformed', 'If-None-Match can only be `*` here, on PUT and without If-Match.');
  }
  if (match === undefined) return null;
  if (match === '*') return 'any';
  const version = /^"(0|[1-9][0-9]{0,14})"$/.exec(match)?.[1];
  if (version === undefined)
    throw new Refusal('malformed', 'If-Match must be `*` or one version in quotes, as "1042".');
  return Number(version);
}
