/**
 * The rules that moderators set on users and lift again. Everyone is told, the user included. A second rule of the same
 * sort replaces the first, so a ban is prolonged or shortened by another one.
 */

import { Type } from 'typebox';
import { type Action, defineAction, eventBody } from './action.ts';
import { reason, user } from './fields.ts';

/** A year. Longer is for good: leave `seconds` out. */
const secondsMax = 31_536_000;
/** Rules set and lifted together: 20 at once, then 5 a second. */
const rate = { name: 'moderate', burst: 20, perSecond: 5, cost: 1 } as const;

const set = (kind: string, rule: 'ban' | 'mute'): Action =>
  defineAction({
    kind,
    least: 'moderator',
    body: Type.Object(
      {
        user,
        seconds: Type.Optional(Type.Integer({ minimum: 1, maximum: secondsMax })),
        reason: Type.Optional(reason),
      },
      { additionalProperties: false },
    ),
    needsKey: false,
    decide: ({ speaker, body }) => ({
      change: {
        type: 'rule',
        kind,
        rule,
        user: body.user,
        seconds: body.seconds ?? 0,
        body: eventBody(speaker, { user: body.user, seconds: body.seconds ?? null, reason: body.reason ?? null }),
      },
      rate,
      mutable: false,
    }),
  });

const lift = (kind: string, rule: 'ban' | 'mute'): Action =>
  defineAction({
    kind,
    least: 'moderator',
    body: Type.Object({ user, reason: Type.Optional(reason) }, { additionalProperties: false }),
    needsKey: false,
    decide: ({ speaker, body }) => ({
      change: {
        type: 'rule',
        kind,
        rule,
        user: body.user,
        seconds: null,
        body: eventBody(speaker, { user: body.user, reason: body.reason ?? null }),
      },
      rate,
      mutable: false,
    }),
  });

export const ban = set('ban', 'ban');
export const unban = lift('unban', 'ban');
export const mute = set('mute', 'mute');
export const unmute = lift('unmute', 'mute');
