/**
 * The one way a request body is read: JSON in UTF-8, of at most 16 KiB, nested no deeper than the route allows. Each
 * check is cheaper than the next and guards it: size, encoding, depth, then the parser, which refuses the property
 * names that poison prototypes.
 */

import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import { Refusal } from '../errors.ts';

export const bodyBytesMax = 16_384;

/** The type of `request.body` on a route with `acceptJson`; undefined without a body. */
export interface JsonBody {
  readonly value: unknown;
  /** The value as sent, without white space between its parts: numbers keep every digit. */
  readonly text: string;
}

/** Makes JSON the only body that the routes of this (encapsulated) instance take. */
export function acceptJson(app: FastifyInstance, depthMax: number): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  // The text/plain parser would let a page of any origin send JSON without a preflight.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer', bodyLimit: bodyBytesMax },
    (request, bytes, done) => {
      // Clients send a media type by habit, for example on a DELETE; the route decides whether a body is required.
      if (bytes.length === 0) return done(null, undefined);
      if (!isUtf8(bytes)) return done(new Refusal('malformed', 'The body must be UTF-8.'));
      // RFC 8259, section 8.1: a byte order mark may be ignored; kept, it would end up inside the stored value.
      const sent = bytes.toString('utf8').replace(/^\uFEFF/, '');
      const text = compactJson(sent, depthMax);
      if (text === null) return done(new Refusal('malformed', `The body must nest at most ${depthMax} levels.`));
      return parse(request, sent, (error, value) => {
        if (error) done(error);
        else done(null, { value, text } satisfies JsonBody);
      });
    },
  );
}

/** Strips white space between the parts of a JSON text; null if it nests deeper than `depthMax`. */
export function compactJson(text: string, depthMax: number): string | null {
  let compact = '';
  let start = 0;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at];
    if (inString) {
      if (char === '\\') at += 1;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === '[' || char === '{') {
      depth += 1;
      if (depth > depthMax) return null;
    } else if (char === ']' || char === '}') depth -= 1;
    else if (char === ' ' || char === '\n' || char === '\r' || char === '\t') {
      compact += text.slice(start, at);
      start = at + 1;
    }
  }
  return compact + text.slice(start);
}

/**
 * A member of an object as sent: numbers keep every digit, and strings their escapes. `object` is the output of
 * `compactJson` for a text that a parser has accepted. Null if there is no such member; of two, the last one wins, as in
 * the parser.
 */
export function memberText(object: string, name: string): string | null {
  let found: string | null = null;
  // Behind the brace, and then behind each comma.
  for (let at = 1; object[at] === '"'; ) {
    const colon = endOfString(object, at);
    const end = endOfValue(object, colon + 1);
    if (JSON.parse(object.slice(at, colon)) === name) found = object.slice(colon + 1, end);
    at = end + 1;
  }
  return found;
}

/** Behind the quote that closes the string which opens at `at`. */
function endOfString(text: string, at: number): number {
  let end = at + 1;
  while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end + 1;
}

/** Where the comma or the brace stands that follows the value. */
function endOfValue(text: string, from: number): number {
  let depth = 0;
  for (let at = from; ; at += 1) {
    const char = text[at];
    if (char === '"') at = endOfString(text, at) - 1;
    else if (depth === 0 && (char === ',' || char === '}')) return at;
    else if (char === '[' || char === '{') depth += 1;
    else if (char === ']' || char === '}') depth -= 1;
  }
}
