/**
 * The rules that moderators set on users and lift again. The staff and the user are told, with the reason; the room is
 * not. A second rule of the same sort replaces the first, so a ban is prolonged or shortened by another one. Whom a rule
 * binds, and who may replace or lift it, goes by roles: `log/room-log` says how. Nobody acts on an equal, so a rule on
 * oneself is refused here; it would bind nobody.
 */

import { Type } from 'typebox';
import { Refusal } from '../errors.ts';
import type { Speaker, UserId } from '../model.ts';
import { type Action, type Decision, defineAction, eventBody } from './action.ts';
import { reason, user } from './fields.ts';

/** A year. Longer is for good: leave `seconds` out. */
const secondsMax = 31_536_000;
/** Rules set and lifted together: 20 at once, then 5 a second. */
const rate = { name: 'moderate', burst: 20, perSecond: 5, cost: 1 } as const;

type Rule = 'ban' | 'mute';

/** `seconds` as the log takes it (0: for good; null: lifted); `fields` is what is told beside who did it. */
const decide = (
  { kind, rule }: { kind: string; rule: Rule },
  speaker: Speaker,
  target: UserId,
  seconds: number | null,
  fields: Readonly<Record<string, unknown>>,
): Decision => ({
  change: { type: 'rule', kind, rule, user: target, seconds, body: eventBody(speaker, { user: target, ...fields }) },
  rate,
  mutable: false,
});

const set = (kind: string, rule: Rule): Action =>
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
    decide: ({ speaker, body }) => {
      if (body.user === speaker.id) return new Refusal('not-this-role', 'A user cannot moderate itself.');
      return decide({ kind, rule }, speaker, body.user, body.seconds ?? 0, {
        seconds: body.seconds ?? null,
        reason: body.reason ?? null,
      });
    },
  });

const lift = (kind: string, rule: Rule): Action =>
  defineAction({
    kind,
    least: 'moderator',
    body: Type.Object({ user, reason: Type.Optional(reason) }, { additionalProperties: false }),
    needsKey: false,
    decide: ({ speaker, body }) => decide({ kind, rule }, speaker, body.user, null, { reason: body.reason ?? null }),
  });

export const ban = set('ban', 'ban');
export const unban = lift('unban', 'ban');
export const mute = set('mute', 'mute');
export const unmute = lift('unmute', 'mute');
