/**
 * Turns signals into event-stream bytes (WHATWG HTML, "Server-sent events"). The only place that writes the format, so
 * the only place where a forged line could get in: data is split at every line end that a parser knows, and a name or
 * an id with anything unexpected in it is a bug that stops here. Knows no rooms and no viewers.
 */

import assert from 'node:assert';
import type { Entry } from '../model.ts';

const lineEnd = /\r\n|\r|\n/;
/**
 * U+2028, U+2029 and U+0085 are legal in event data, yet clients that split lines by Unicode's rules break on them.
 * Our data is JSON, where the escaped form means the same.
 */
const looseLineEnds = /[\u2028\u2029\u0085]/g;
const safeName = /^[a-z][a-z0-9.-]*$/;
const safeId = /^[a-z0-9.]+$/;

export interface EventFields {
  readonly event: string;
  /** Absent: the event is fleeting, and the client keeps the id it had. */
  readonly id?: string;
  /** JSON text. */
  readonly data: string;
}

/** One event as text, its blank line included. */
export function eventFrame({ event, id, data }: EventFields): string {
  assert(safeName.test(event), 'an event name is a plain name');
  let frame = '';
  if (id !== undefined) {
    assert(safeId.test(id), 'an event id is epoch and offset');
    frame = `id: ${id}\n`;
  }
  frame += `event: ${event}\n`;
  const safe = data.replace(looseLineEnds, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`);
  if (!lineEnd.test(safe)) return `${frame}data: ${safe}\n\n`;
  for (const line of safe.split(lineEnd)) frame += `data: ${line}\n`;
  return `${frame}\n`;
}

/** The data of an event with an id: the entry's body, and its log time. */
export const entryData = (entry: Entry): string =>
  entry.body === '{}' ? `{"at":${entry.at}}` : `{"at":${entry.at},${entry.body.slice(1)}`;

/** Tells the client how long to wait before it reconnects. */
export const retryFrame = (ms: number): string => `retry: ${Math.round(ms)}\n\n`;

/** A comment: it keeps a quiet connection alive and means nothing. */
export const heartbeatFrame = ':\n\n';
