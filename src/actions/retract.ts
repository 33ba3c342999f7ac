/** A moderator retracts one event: nobody gets it any more, and its audience gets a `retract`. */

import { Type } from 'typebox';
import { Refusal } from '../errors.ts';
import { parsePosition } from '../log/position.ts';
import { defineAction, eventBody } from './action.ts';
import { eventId } from './fields.ts';

/** Retractions: 50 at once, because they answer floods, then 10 a second. */
const rate = { name: 'retract', burst: 50, perSecond: 10, cost: 1 } as const;

export const retract = defineAction({
  kind: 'retract',
  least: 'moderator',
  body: Type.Object({ id: eventId }, { additionalProperties: false }),
  needsKey: false,
  decide({ speaker, body }) {
    const target = parsePosition(body.id);
    if (target === null) return new Refusal('malformed', 'id must be the id of an event.');
    return {
      change: { type: 'retract', target, body: eventBody(speaker, { id: body.id }) },
      rate,
      mutable: false,
    };
  },
});
