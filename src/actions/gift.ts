/**
 * A viewer gives something. Everyone sees it, it adds to the room's sum of gifts, and only the giver gets a receipt. All
 * of it is one step that happens once, because a gift may have been paid for.
 */

import { Type } from 'typebox';
import { defineAction, eventBody } from './action.ts';
import { name, text } from './fields.ts';

/** Gifts of one sort in one request. */
const countMax = 1000;
/** Requests, however many gifts each gives: 10 at once, then 2 a second. */
const rate = { name: 'gift', burst: 10, perSecond: 2, cost: 1 } as const;

export const gift = defineAction({
  kind: 'gift',
  least: 'viewer',
  body: Type.Object(
    { gift: name, count: Type.Integer({ minimum: 1, maximum: countMax }), message: Type.Optional(text(1, 200)) },
    { additionalProperties: false },
  ),
  needsKey: true,
  decide({ speaker, body }) {
    const given = { gift: body.gift, count: body.count, message: body.message ?? null };
    return {
      change: {
        type: 'tally',
        kind: 'gift',
        body: eventBody(speaker, given),
        counter: 'gifts',
        by: body.count,
        receipt: { to: speaker.id, body: eventBody(speaker, { type: 'gift', data: given }) },
      },
      rate,
      // A muted user may give, without a message.
      mutable: body.message !== undefined,
    };
  },
  answer: ({ total }) => ({ total }),
});
