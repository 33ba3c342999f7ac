/**
 * The embedded log's rules on users of one room: which roles may set and lift them, and which users they bind. A plain
 * value, like everything that `log/memory/record` keeps. The rules and the room's end outlive the room.
 */

import { isAtLeast, type Role, rankOf, type UserId } from '../../model.ts';
import type { Change, Reader, Rule } from '../room-log.ts';

export interface RuleRecord {
  readonly ban: Map<UserId, KeptRule>;
  readonly mute: Map<UserId, KeptRule>;
  /** The rules are kept until then, even if the room is forgotten (Unix milliseconds). */
  keptUntilMs: number;
}

type KeptRule = Pick<Rule, 'sinceMs' | 'role' | 'body'> & {
  /** Unix milliseconds; `Infinity`: permanent. */
  readonly untilMs: number;
};
type RuleChange = Extract<Change, { type: 'rule' }>;

export const newRules = (): RuleRecord => ({ ban: new Map(), mute: new Map(), keptUntilMs: 0 });

/** Whether a rule on a user is in force and binds the reader's role. */
export function isBound(rules: RuleRecord, rule: 'ban' | 'mute', { id, role }: Reader, now: number): boolean {
  const known = id === null ? undefined : rules[rule].get(id);
  return known !== undefined && known.untilMs > now && !isAtLeast(role, known.role);
}

/** Why a role cannot set or lift a rule; null if it can. Deletes expired rules if it needs room for one more. */
export function whyNotRule(
  rules: RuleRecord,
  { rule, user, seconds }: RuleChange,
  role: Role,
  max: number,
  now: number,
): 'not-this-role' | 'rules-full' | null {
  const known = rules[rule].get(user);
  if (known !== undefined && known.untilMs > now && rankOf(known.role) > rankOf(role)) return 'not-this-role';
  if (seconds === null || known !== undefined || rules.ban.size + rules.mute.size < max) return null;
  for (const users of [rules.ban, rules.mute]) {
    for (const [other, { untilMs }] of users) if (untilMs <= now) users.delete(other);
  }
  return rules.ban.size + rules.mute.size < max ? null : 'rules-full';
}

export function setRule(rules: RuleRecord, { rule, user, seconds, body }: RuleChange, role: Role, now: number): void {
  const users = rules[rule];
  users.delete(user);
  if (seconds === null) return;
  const untilMs = seconds === 0 ? Infinity : now + seconds * 1000;
  users.set(user, { untilMs, sinceMs: now, role, body });
  if (seconds > 0) keepRules(rules, untilMs);
}

/** Prolongs how long the rules are kept; never shortens it. */
export function keepRules(rules: RuleRecord, untilMs: number): void {
  rules.keptUntilMs = Math.max(rules.keptUntilMs, untilMs);
}

/** The rules in force. */
export function listRules(rules: RuleRecord, now: number): Rule[] {
  return (['ban', 'mute'] as const).flatMap((rule) =>
    [...rules[rule]].flatMap(([user, { untilMs, ...kept }]) =>
      untilMs > now ? { rule, user, untilMs: untilMs === Infinity ? null : untilMs, ...kept } : [],
    ),
  );
}
