/** Decodes the rules of a room from Redis; `scripts/rules.lua` defines their form. */

import { roles, type UserId } from '../../model.ts';
import type { Rule } from '../room-log.ts';

/** The rules in force. `onBroken` gets the field of each rule that no gateway wrote. */
export function readRules([now, ...pairs]: readonly string[], onBroken: (field: string) => void): Rule[] {
  const rules: Rule[] = [];
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const [field = '', value = ''] = [pairs[i], pairs[i + 1]];
    if (field === 'end') continue;
    const rule = readRule(field, value);
    if (rule === null) onBroken(field);
    else if (rule.untilMs === null || rule.untilMs > Number(now)) rules.push(rule);
  }
  return rules;
}

function readRule(field: string, value: string): Rule | null {
  const [, rule, user] = /^(ban|mute):(.+)$/s.exec(field) ?? [];
  const [, until, rank, since, body] = /^([0-9]{1,15}) ([0-9]) ([0-9]{1,15}) (.*)$/s.exec(value) ?? [];
  const role = roles[Number(rank)];
  if (user === undefined || body === undefined || role === undefined) return null;
  const untilMs = until === '0' ? null : Number(until);
  return { rule: rule as Rule['rule'], user: user as UserId, sinceMs: Number(since), untilMs, role, body };
}
