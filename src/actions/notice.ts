/** The host announces something to the room, such as a product on sale. */

import { Type } from 'typebox';
import { Refusal } from '../errors.ts';
import { defineAction, eventBody } from './action.ts';
import { audience, data, dataDepthMax, isTooDeep, link, text } from './fields.ts';

/** Notices: 20 at once, then 5 a second. */
const rate = { name: 'notice', burst: 20, perSecond: 5, cost: 1 } as const;

export const notice = defineAction({
  kind: 'notice',
  least: 'host',
  body: Type.Object(
    {
      title: text(1, 200),
      text: Type.Optional(text(1, 2000)),
      link: Type.Optional(link),
      data: Type.Optional(data),
      audience: Type.Optional(audience),
    },
    { additionalProperties: false },
  ),
  defaults: { data: {}, audience: 'all' },
  needsKey: false,
  decide({ speaker, body, textOf }) {
    if (isTooDeep(body.data)) return new Refusal('malformed', `data must nest at most ${dataDepthMax} levels.`);
    const { title, text = null, link = null } = body;
    return {
      change: {
        type: 'event',
        kind: 'notice',
        lane: 'must',
        audience: body.audience ?? 'all',
        body: eventBody(speaker, { title, text, link }, textOf('data') ?? '{}'),
      },
      rate,
      mutable: false,
    };
  },
});
