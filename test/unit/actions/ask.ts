/** Asks an action as its route does: the body's shape first, then the decision. */

import { Compile } from 'typebox/compile';
import type { Decision } from '../../../src/actions/action.ts';
import { actions } from '../../../src/actions/index.ts';
import { Refusal } from '../../../src/errors.ts';
import type { Change } from '../../../src/log/room-log.ts';
import type { Role, Speaker, UserId } from '../../../src/model.ts';

export const speaker = (role: Role = 'viewer'): Speaker => ({ id: 'ann' as UserId, name: 'Ann', role });

export const actionOf = (kind: string) => {
  const action = actions.get(kind);
  if (action === undefined) throw new Error(`there is no action ${kind}`);
  return action;
};

/** Whether a body has the shape that the action asks for. */
export const fits = (kind: string, body: unknown): boolean => Compile(actionOf(kind).body).Check(body);

const textIn = (body: unknown) => (field: string) =>
  JSON.stringify((body as Readonly<Record<string, unknown>>)[field]) ?? null;

/** The decision on a body that must fit and must be allowed. */
export function decide(kind: string, body: unknown, by: Speaker = speaker()): Decision {
  if (!fits(kind, body)) throw new Error(`the body does not fit ${kind}`);
  const decision = actionOf(kind).decide({ speaker: by, body, textOf: textIn(body) });
  if (decision instanceof Refusal) throw decision;
  return decision;
}

/** The code that a body which fits is refused with; null where it is allowed. */
export function refusalOf(kind: string, body: unknown): string | null {
  if (!fits(kind, body)) throw new Error(`the body does not fit ${kind}`);
  const decision = actionOf(kind).decide({ speaker: speaker('service'), body, textOf: textIn(body) });
  return decision instanceof Refusal ? decision.code : null;
}

/** The event's data that a change carries, parsed; it must be one line. */
export function dataOf(change: Change): Record<string, unknown> {
  if (!('body' in change)) throw new Error(`a ${change.type} carries no body`);
  if (/[\r\n]/.test(change.body)) throw new Error('the body is not one line');
  return JSON.parse(change.body);
}

export const nested = (levels: number): unknown => (levels === 1 ? {} : { in: nested(levels - 1) });
