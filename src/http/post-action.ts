/** `POST /rooms/:room/actions/:kind`: an action in a room. Answers once the entry is logged. */

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Action } from '../actions/action.ts';
import { type Authenticator, speakerOf } from '../auth/authenticator.ts';
import { Refusal } from '../errors.ts';
import type { PendingFlush } from '../log/pending-flush.ts';
import { formatPosition } from '../log/position.ts';
import { type RoomLog, sampledChat } from '../log/room-log.ts';
import { isAtLeast } from '../model.ts';
import type { Settings } from '../settings.ts';
import { findCaller } from './caller.ts';
import { canonicalBody } from './canonical-json.ts';
import { acceptJson, bodyBytesMax, type JsonBody, memberText } from './json-body.ts';
import { faultsOf, ShapeRefusal } from './problem.ts';
import { acceptedAnswer, actionParams, idempotencyHeaders, problems } from './schemas.ts';
import { append, once, readKey, scaleRate } from './write.ts';

export interface PostActionOptions {
  readonly settings: Pick<Settings, 'rateScale'>;
  readonly actions: ReadonlyMap<string, Action>;
  readonly log: Pick<RoomLog, 'append'>;
  readonly authenticator: Authenticator;
  readonly pendingFlush: Pick<PendingFlush, 'settleLater'>;
}

/** Above the depth of any action; each action limits its own fields. */
const depthMax = 128;

const kindOf = (request: FastifyRequest): string => String((request.params as Record<string, unknown>)['kind']);

/** @throws {Refusal} `malformed` if the action requires a key and there is none. */
function keyFor(action: Action, request: FastifyRequest): string | null {
  const key = readKey(request);
  if (key !== null || !action.needsKey) return key;
  throw new Refusal('malformed', `${action.kind} requires an Idempotency-Key.`);
}

export function postAction({ settings, actions, log, authenticator, pendingFlush }: PostActionOptions) {
  const shapes = new Map([...actions].map(([kind, { body }]) => [kind, Compile(body)]));
  const find = (request: FastifyRequest): Action => {
    const action = actions.get(kindOf(request));
    if (action !== undefined) return action;
    throw new Refusal('unknown-kind', `The actions are ${[...actions.keys()].join(', ')}.`);
  };
  return async (app: FastifyInstance): Promise<void> => {
    acceptJson(app, depthMax);
    app.route<{ Body: JsonBody | undefined }>({
      method: 'POST',
      url: '/rooms/:room/actions/:kind',
      bodyLimit: bodyBytesMax,
      schema: {
        operationId: 'takeAction',
        summary: 'Take an action in a room',
        description:
          'Answers once the entry is in the log of the room. With an `Idempotency-Key` a repeat within 10 minutes gets the first answer and makes no second event.',
        params: actionParams,
        headers: idempotencyHeaders,
        body: Type.Union([...actions.values()].map(({ kind, body }) => ({ ...body, title: kind }))),
        response: { 202: acceptedAnswer, ...problems },
      },
      // Before the body is read, so that no body of an unknown caller is parsed.
      onRequest: [
        findCaller(authenticator),
        async (request) => {
          const { role } = speakerOf(request.caller.identity);
          const { kind, least } = find(request);
          if (!isAtLeast(role, least)) throw new Refusal('not-this-role', `${kind} requires the role ${least}.`);
        },
      ],
      handler: async (request, reply) => {
        const { room, identity } = request.caller;
        const speaker = speakerOf(identity);
        const action = find(request);
        const key = keyFor(action, request);
        const { value, text } = request.body ?? { value: {}, text: '{}' };
        const faults = shapes.get(action.kind)?.Errors(value) ?? [];
        if (faults.length > 0) throw new ShapeRefusal(`The body is not that of ${action.kind}.`, faultsOf(faults));
        const decision = action.decide({ speaker, body: value, textOf: (field) => memberText(text, field) });
        if (decision instanceof Refusal) throw decision;
        const { change, mutable } = decision;
        const rate = decision.rate && scaleRate(decision.rate, settings.rateScale);
        const kept = await append(log, {
          room,
          by: speaker.id,
          role: speaker.role,
          once: once(key, () => [action.kind, canonicalBody(text, action.defaults)]),
          rate,
          mutable,
          change,
        });
        if (kept.pending) pendingFlush.settleLater(room, 'counter' in change ? change.counter : sampledChat);
        reply.code(202).header('cache-control', 'no-store').type('application/json');
        return JSON.stringify({ id: formatPosition(kept.position), at: kept.at, ...action.answer?.(kept) });
      },
    });
  };
}
