/** The platform's own event: the host chooses its type and data, and the room gets it under that name. */

import { Type } from 'typebox';
import { Refusal } from '../errors.ts';
import { reservedNames } from '../model.ts';
import { defineAction, eventBody } from './action.ts';
import { audience, data, dataDepthMax, isTooDeep, name } from './fields.ts';

/** Signals: 200 at once, then 100 a second. */
const rate = { name: 'signal', burst: 200, perSecond: 100, cost: 1 } as const;

export const signal = defineAction({
  kind: 'signal',
  least: 'host',
  body: Type.Object({ type: name, data, audience: Type.Optional(audience) }, { additionalProperties: false }),
  defaults: { audience: 'all' },
  needsKey: false,
  decide({ speaker, body, textOf }) {
    if (reservedNames.has(body.type)) {
      return new Refusal('reserved-name', `type must not be ${body.type}: the protocol reserves that name.`);
    }
    if (isTooDeep(body.data)) return new Refusal('malformed', `data must nest at most ${dataDepthMax} levels.`);
    return {
      change: {
        type: 'event',
        kind: body.type,
        lane: 'must',
        audience: body.audience ?? 'all',
        body: eventBody(speaker, {}, textOf('data') ?? '{}'),
      },
      rate,
      mutable: false,
    };
  },
});
