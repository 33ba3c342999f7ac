/**
 * The shapes that several actions share. Lengths count Unicode code points. A string may hold any character, line
 * breaks, NUL and the line separators among them, as JSON escapes what needs it; only lone surrogates are refused,
 * because no encoding can carry them unchanged.
 */

import { Type } from 'typebox';
import { idPattern } from '../log/position.ts';
import { type Audience, namePattern, tagPattern, type UserId, userPattern } from '../model.ts';

/** Text without lone surrogates, from `min` to `max` code points. */
export const text = (min: number, max: number) =>
  Type.String({ minLength: min, maxLength: max, pattern: '^\\P{Surrogate}*$' });

export const user = Type.Unsafe<UserId>(Type.String({ pattern: userPattern }));

/** A plain name; whether it is reserved is for the action to judge. */
export const name = Type.String({ pattern: namePattern });

/** The id of an event, `<epoch>.<offset>`. */
export const eventId = Type.String({ pattern: idPattern });

/** An address that a page can offer as a link: no other scheme, since `javascript:` is one too. */
export const link = Type.String({ pattern: '^https?://[^\\s\\p{C}\\p{Z}]+$', maxLength: 2048 });

/** Why somebody acted, for those who are told of it. */
export const reason = text(0, 200);

/** `all`, `staff` or `tag:<tag>`. */
export const audience = Type.Unsafe<Extract<Audience, string>>(
  Type.String({ pattern: `^(?:all|staff|tag:${tagPattern.slice(1, -1)})$` }),
);

/** A JSON object of the sender's own making. How deep it may go is for `isTooDeep` to say. */
export const data = Type.Record(Type.String(), Type.Unknown());

/** Levels that `data` may nest. Deeper ones fit into a body and would exhaust the stack of whoever parses them. */
export const dataDepthMax = 64;

/** Levels that an object in a state part may nest, itself among them. A part as a whole may nest 32. */
export const partDepthMax = 31;

/** Whether a JSON value nests more than `levels` objects and arrays. Looks no deeper than that itself. */
export function isTooDeep(value: unknown, levels: number = dataDepthMax): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isTooDeep(inner, levels - 1));
}
