/**
 * The shapes that several actions share. Lengths count Unicode code points. A string may hold any character, including
 * line breaks, NUL and line separators, because JSON escapes them. Only lone surrogates are refused, because no encoding
 * carries them unchanged.
 */

import { Type } from 'typebox';
import { idPattern } from '../log/position.ts';
import { type Audience, namePattern, tagPattern, type UserId, userPattern } from '../model.ts';

/** Text without lone surrogates, from `min` to `max` code points. */
export const text = (min: number, max: number) =>
  Type.String({ minLength: min, maxLength: max, pattern: '^\\P{Surrogate}*$' });

export const user = Type.Unsafe<UserId>(Type.String({ pattern: userPattern }));

/** A plain name. The action checks whether it is reserved. */
export const name = Type.String({ pattern: namePattern });

/** The id of an event, `<epoch>.<offset>`. */
export const eventId = Type.String({ pattern: idPattern });

/** An address that a page can offer as a link: only http and https, because `javascript:` is a scheme too. */
export const link = Type.String({ pattern: '^https?://[^\\s\\p{C}\\p{Z}]+$', maxLength: 2048 });

/** The reason of a moderator, for the recipients of the event. */
export const reason = text(0, 200);

/** `all`, `staff` or `tag:<tag>`. */
export const audience = Type.Unsafe<Extract<Audience, string>>(
  Type.String({ pattern: `^(?:all|staff|tag:${tagPattern.slice(1, -1)})$` }),
);

/** Any JSON object of the sender. `isTooDeep` bounds its depth. */
export const data = Type.Record(Type.String(), Type.Unknown());

/** Levels that `data` may nest. A body has room for more, which would exhaust a parser's stack. */
export const dataDepthMax = 64;

/** Levels that an object in a state part may nest, including itself. A whole part may nest 32. */
export const partDepthMax = 31;

/** Whether a JSON value nests more than `levels` objects and arrays. Looks no deeper than that. */
export function isTooDeep(value: unknown, levels: number = dataDepthMax): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((inner) => isTooDeep(inner, levels - 1));
}
