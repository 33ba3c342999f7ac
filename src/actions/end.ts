/** The host ends the room: streams close for good, and only moderation is allowed afterwards. */

import { Type } from 'typebox';
import { defineAction, eventBody } from './action.ts';
import { reason } from './fields.ts';

export const end = defineAction({
  kind: 'end',
  least: 'host',
  body: Type.Object({ reason: Type.Optional(reason) }, { additionalProperties: false }),
  needsKey: false,
  decide: ({ speaker, body }) => ({
    change: { type: 'end', body: eventBody(speaker, { cause: 'ended', comeBack: 'no', reason: body.reason ?? null }) },
    // It succeeds once.
    rate: null,
    mutable: false,
  }),
});
