/** A viewer's taps since its last request. Only their sum matters, so they add to a counter and make no entry. */

import { Type } from 'typebox';
import { defineAction } from './action.ts';

/** Likes in one request. */
const countMax = 50;
/** Likes, not requests: 200 at once, then 20 a second. */
const rate = { name: 'like', burst: 200, perSecond: 20 } as const;

export const like = defineAction({
  kind: 'like',
  least: 'viewer',
  body: Type.Object({ count: Type.Integer({ minimum: 1, maximum: countMax }) }, { additionalProperties: false }),
  needsKey: false,
  decide: ({ body }) => ({
    change: { type: 'count', counter: 'likes', by: body.count },
    rate: { ...rate, cost: body.count },
    mutable: true,
  }),
  answer: ({ total }) => ({ total }),
});
