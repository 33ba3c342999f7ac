/** `GET /rooms/:room/rules`: the bans and mutes of a room, for moderators: since when, until when, by whom, why. */

import type { FastifyInstance } from 'fastify';
import { type Authenticator, speakerOf } from '../auth/authenticator.ts';
import { Refusal } from '../errors.ts';
import type { RoomLog, Rule } from '../log/room-log.ts';
import { isAtLeast } from '../model.ts';
import { binds } from '../room/bans.ts';
import { findCaller } from './caller.ts';
import { problems, readSecurity, roomParams, rulesAnswer, tokenQuery } from './schemas.ts';

export interface GetRulesOptions {
  readonly log: Pick<RoomLog, 'readRules'>;
  readonly authenticator: Authenticator;
}

export function getRules({ log, authenticator }: GetRulesOptions) {
  return async (app: FastifyInstance): Promise<void> => {
    app.route({
      method: 'GET',
      url: '/rooms/:room/rules',
      exposeHeadRoute: false,
      schema: {
        operationId: 'listRules',
        summary: 'List the bans and mutes of a room',
        description: 'For moderators: the rules in force, the oldest first.',
        security: readSecurity,
        params: roomParams,
        querystring: tokenQuery,
        response: { 200: rulesAnswer, ...problems },
      },
      preHandler: findCaller(authenticator),
      handler: async (request, reply) => {
        const { room, identity } = request.caller;
        const speaker = speakerOf(identity);
        if (!isAtLeast(speaker.role, 'moderator')) {
          throw new Refusal('not-this-role', 'Listing rules requires the role moderator.');
        }
        const rules = await log.readRules(room);
        if (rules.some(({ rule, user, role }) => rule === 'ban' && binds({ user, by: role }, speaker))) {
          throw new Refusal('banned', 'The user is banned from this room.');
        }
        reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }).type('application/json');
        return JSON.stringify({ rules: rules.toSorted(byAge).map(describe) });
      },
    });
  };
}

/** Author and reason, from the entry that set the rule. */
function describe({ rule, user, sinceMs, untilMs, role, body }: Rule): Record<string, unknown> {
  const { from, reason = null } = JSON.parse(body) as { from?: object; reason?: string | null };
  return { rule, user, since: sinceMs, until: untilMs, by: { ...from, role }, reason };
}

const byAge = (one: Rule, other: Rule): number =>
  one.sinceMs - other.sinceMs || (`${one.user} ${one.rule}` < `${other.user} ${other.rule}` ? -1 : 1);
