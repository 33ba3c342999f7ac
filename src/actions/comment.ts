/** A viewer says something to the room. */

import { Type } from 'typebox';
import { Refusal } from '../errors.ts';
import { defineAction, eventBody } from './action.ts';
import { text } from './fields.ts';

/** Comments: 5 at once, then 1 a second. */
const rate = { name: 'comment', burst: 5, perSecond: 1, cost: 1 } as const;

export const comment = defineAction({
  kind: 'comment',
  least: 'viewer',
  body: Type.Object({ text: text(1, 500) }, { additionalProperties: false }),
  needsKey: false,
  decide({ speaker, body }) {
    if (body.text.trim() === '') return new Refusal('malformed', 'text must not be blank.');
    return {
      change: {
        type: 'event',
        kind: 'comment',
        lane: 'chat',
        audience: 'all',
        body: eventBody(speaker, { text: body.text }),
      },
      rate,
      mutable: true,
    };
  },
});
