/** The host pins a text over the room, or unpins it: the state part `pin`. */

import { Type } from 'typebox';
import { Refusal } from '../errors.ts';
import { defineAction, eventBody, stateRate } from './action.ts';
import { data, eventId, isTooDeep, partDepthMax, text } from './fields.ts';

export const pin = defineAction({
  kind: 'pin',
  least: 'host',
  body: Type.Object(
    { text: Type.Optional(text(1, 500)), id: Type.Optional(eventId), data: Type.Optional(data) },
    { additionalProperties: false },
  ),
  defaults: { data: {} },
  needsKey: false,
  decide({ speaker, body, textOf }) {
    const rest = { rate: stateRate, mutable: false };
    if (Object.keys(body).length === 0) return { change: { type: 'remove', part: 'pin', ifVersion: null }, ...rest };
    if (body.text === undefined) return new Refusal('malformed', 'text is missing. Send an empty body to unpin.');
    if (isTooDeep(body.data, partDepthMax)) {
      return new Refusal('malformed', `data must nest at most ${partDepthMax} levels.`);
    }
    const value = eventBody(speaker, { text: body.text, id: body.id ?? null }, textOf('data') ?? '{}');
    return { change: { type: 'put', part: 'pin', value, ifVersion: null }, ...rest };
  },
  answer: ({ position }) => ({ version: position.offset }),
});
