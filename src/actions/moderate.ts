/**
 * The rules that moderators set on users and lift again. The staff and the user get the event, with the reason; the room
 * does not. A second rule of the same sort replaces the first, so a second ban prolongs or shortens the first. Roles
 * decide whom a rule binds and who may replace or lift it: see `log/room-log`. A rule on oneself is refused here, because
 * it would bind nobody.
 */

import { Type } from 'typebox';
import { Refusal } from '../errors.ts';
import type { Speaker, UserId } from '../model.ts';
import { type Action, type Decision, defineAction, eventBody } from './action.ts';
import { reason, user } from './fields.ts';

/** A year. For a permanent rule, omit `seconds`. */
const secondsMax = 31_536_000;
/** Rules set and lifted together: 20 at once, then 5 a second. */
const rate = { name: 'moderate', burst: 20, perSecond: 5, cost: 1 } as const;

type Rule = 'ban' | 'mute';

/** `seconds` as in the log (0: permanent; null: lifted); `fields` go into the event besides its author. */
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
