/**
 * Entries as text, in the stream and on the channels alike:
 *
 *     <offset> <previous> <epoch> <at> <kind> <lane> <audience>
 *     <user> <user> …                 (this line only where the audience is `users`)
 *     <body>
 *
 * The script puts the first four words before the rest, the content, which is made here; so it need neither parse nor
 * print JSON. A counter's news is `+<counter> <total>`, a newer token's `=<until, Unix ms> <user>`.
 */

import assert from 'node:assert/strict';
import type { Audience, Entry, Epoch, Lane, UserId } from '../signal.ts';
import type { Tail } from './position.ts';
import type { Heard } from './room-log.ts';

/** Text that makes no sense was not written by this program: the room's log is broken, and nothing can be served. */
export class LogTextError extends Error {
  constructor(text: string) {
    super(`The log holds what no gateway wrote: ${JSON.stringify(text.slice(0, 80))}`);
    this.name = 'LogTextError';
  }
}

/** The part of an entry's text that does not depend on the room. */
export function encodeContent(kind: string, lane: Lane, audience: Audience, body: string): string {
  if (typeof audience === 'string') return `${kind} ${lane} ${audience}\n${body}`;
  assert(audience.length > 0, 'a peer entry has a target');
  return `${kind} ${lane} users\n${audience.join(' ')}\n${body}`;
}

export function decodeEntry(text: string): { readonly entry: Entry; readonly previous: number } {
  const headEnd = text.indexOf('\n');
  const [offset, previous, epoch, at, kind, lane, audience] = text.slice(0, headEnd).split(' ');
  if (headEnd < 0 || !epoch || !kind || !lane || !audience) throw new LogTextError(text);
  const isPeer = audience === 'users';
  const targetsEnd = isPeer ? text.indexOf('\n', headEnd + 1) : headEnd;
  if (targetsEnd < 0) throw new LogTextError(text);
  return {
    entry: {
      epoch: epoch as Epoch,
      offset: readNumber(offset, text),
      at: readNumber(at, text),
      kind,
      lane: lane as Lane,
      audience: isPeer ? (text.slice(headEnd + 1, targetsEnd).split(' ') as UserId[]) : (audience as Audience),
      body: text.slice(targetsEnd + 1),
    },
    previous: readNumber(previous, text),
  };
}

export function decodeHeard(text: string): Heard {
  const sign = text[0];
  if (sign !== '+' && sign !== '=') return { type: 'entry', ...decodeEntry(text) };
  const [first, second] = text.slice(1).split(' ');
  if (!first || !second) throw new LogTextError(text);
  if (sign === '+') return { type: 'count', counter: first, total: readNumber(second, text) };
  return { type: 'prolong', user: second as UserId, expiresAtMs: readNumber(first, text) };
}

/** `<epoch> <offset> <first>`, then the lineage as `<epoch>:<last>`, the newest last. */
export function decodeTail(text: string): Tail {
  const [epoch, offset, first, ...ancestors] = text.split(' ');
  if (!epoch) throw new LogTextError(text);
  const lineage = ancestors.map((ancestor) => {
    const [old, last] = ancestor.split(':');
    return { epoch: old as Epoch, last: readNumber(last, text) };
  });
  return { epoch: epoch as Epoch, offset: readNumber(offset, text), first: readNumber(first, text), lineage };
}

export function readNumber(digits: string | undefined, text: string): number {
  const value = Number(digits || Number.NaN);
  if (!Number.isSafeInteger(value)) throw new LogTextError(text);
  return value;
}
