/** The host sets how the room is shown: the state part `settings`, whose fields belong to the platform. */

import { Type } from 'typebox';
import { Refusal } from '../errors.ts';
import { defineAction, stateRate } from './action.ts';
import { data, isTooDeep, partDepthMax } from './fields.ts';

export const settings = defineAction({
  kind: 'settings',
  least: 'host',
  body: Type.Object({ data }, { additionalProperties: false }),
  needsKey: false,
  decide({ body, textOf }) {
    if (isTooDeep(body.data, partDepthMax)) {
      return new Refusal('malformed', `data must nest at most ${partDepthMax} levels.`);
    }
    return {
      change: { type: 'put', part: 'settings', value: textOf('data') ?? '{}', ifVersion: null },
      rate: stateRate,
      mutable: false,
    };
  },
  answer: ({ position }) => ({ version: position.offset }),
});
