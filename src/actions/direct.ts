/** A signal to named users. A user without an open stream gets it on return, while the log keeps it. */

import { Type } from 'typebox';
import { Refusal } from '../errors.ts';
import { defineAction, eventBody } from './action.ts';
import { data, dataDepthMax, isTooDeep, name, user } from './fields.ts';

/** Users in one request. */
const targetsMax = 100;
/** Peer signals, however many users each names: 100 at once, then 50 a second. */
const rate = { name: 'direct', burst: 100, perSecond: 50, cost: 1 } as const;

export const direct = defineAction({
  kind: 'direct',
  least: 'moderator',
  body: Type.Object(
    { to: Type.Array(user, { minItems: 1, maxItems: targetsMax, uniqueItems: true }), type: name, data },
    { additionalProperties: false },
  ),
  needsKey: false,
  decide({ speaker, body, textOf }) {
    if (isTooDeep(body.data)) return new Refusal('malformed', `data must nest at most ${dataDepthMax} levels.`);
    return {
      change: {
        type: 'event',
        kind: 'direct',
        lane: 'must',
        audience: body.to,
        body: eventBody(speaker, { type: body.type }, textOf('data') ?? '{}'),
      },
      rate,
      mutable: false,
    };
  },
  answer: ({ connected }) => ({ connected }),
});
