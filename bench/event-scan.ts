/**
 * Reads event-stream bytes as cheaply as a load client must. All viewers of a room are sent the same bytes, so a read
 * that equals one of the last few is not scanned again: comparing memory is some hundred times cheaper, and still looks
 * at every byte of every viewer. What does not begin and end at an event boundary takes the slow way.
 *
 * A counted event is one whose data holds a stamp, `~` and tenths of milliseconds since 1970 and `~`, which the writer
 * put into its text.
 */

import { performance } from 'node:perf_hooks';

/** What complete events say. */
export interface Glance {
  /** Stamps of the counted events, in tenths of milliseconds. */
  readonly stamps: readonly number[];
  /** Order numbers of the first and the last counted event; 0 where there is none. */
  readonly first: number;
  readonly last: number;
  /** Order numbers that were left out between counted events, and those that came twice or out of order. */
  readonly jumped: number;
  readonly repeated: number;
  /** What gaps declared as missed, the verdict of a resume included. */
  readonly declared: number;
  /** The last id of any event; null for none. */
  readonly lastId: string | null;
  readonly retryMs: number | null;
  readonly hasResume: boolean;
}

/** Tenths of milliseconds since 1970, on a clock that all processes of this machine share. */
export const nowTenths = (): number => Math.round((performance.timeOrigin + performance.now()) * 10);

/** The order number in an id: `epoch.offset`, or Nchan's `seconds:tag`, which has holes. */
function orderOf(id: string): number {
  const dot = id.lastIndexOf('.');
  if (dot >= 0) return Number(id.slice(dot + 1));
  const [seconds = '0', tag = '0'] = id.split(':');
  return Number(seconds) * 100_000 + Number(tag);
}

/** Digits of a stamp; it stands between two tildes. */
const stampLength = 14;

/** Scans complete events. A replay is another one for every viewer, so this must be cheap too: it looks for stamps. */
export function scanEvents(bytes: Buffer): Glance {
  const text = bytes.toString('latin1');
  const stamps: number[] = [];
  let [first, last, jumped, repeated] = [0, 0, 0, 0];
  for (let at = text.indexOf('~'); at !== -1; at = text.indexOf('~', at + 1)) {
    if (text.charCodeAt(at + stampLength + 1) !== tilde) continue;
    stamps.push(Number(text.slice(at + 1, at + stampLength + 1)));
    const order = orderOf(idBefore(text, at) ?? '');
    if (first === 0) first = order;
    else if (order <= last) repeated += 1;
    else jumped += order - last - 1;
    last = order;
    at += stampLength + 1;
  }
  return { stamps, first, last, jumped, repeated, ...scanWords(text) };
}

const tilde = 0x7e;

/** The id of the event that a place of the text lies in, or the last before it: every server here sends it first. */
function idBefore(text: string, at: number): string | null {
  const line = text.lastIndexOf('\nid:', at);
  if (line === -1 && !text.startsWith('id:')) return null;
  // The line begins behind a line end, or the text with it.
  return text.slice(line + 4, text.indexOf('\n', line + 1)).trim();
}

/** What a server says of itself: seldom, so looked for only where it can be. */
function scanWords(text: string): Pick<Glance, 'declared' | 'lastId' | 'retryMs' | 'hasResume'> {
  const lastId = idBefore(text, text.length);
  const retry = text.includes('retry:') ? /^retry: ?(\d+)/m.exec(text)?.[1] : undefined;
  const hasResume = text.includes('\nevent: resume\n');
  let declared = 0;
  if (hasResume || text.includes('\nevent: gap\n')) {
    for (const [, missed] of text.matchAll(/^event: (?:gap|resume)\ndata: .*?"missed":(\d+)/gm))
      declared += Number(missed);
  }
  return { declared, lastId, retryMs: retry === undefined ? null : Number(retry), hasResume };
}

/** Takes chunk headers (RFC 9112, section 7.1) out of a body, wherever its reads were cut. */
export class Dechunker {
  #left = 0;
  #sizeText = '';
  #mode: 'size' | 'body' | 'end' = 'size';
  /** The last chunk, which is empty, has come. */
  isOver = false;

  /** Whether the next byte begins a chunk. */
  get isBetween(): boolean {
    return this.#mode === 'size' && this.#sizeText === '';
  }

  feed(bytes: Buffer): Buffer {
    const parts: Buffer[] = [];
    let at = 0;
    while (at < bytes.length) {
      if (this.#mode === 'body') {
        const part = bytes.subarray(at, at + this.#left);
        parts.push(part);
        at += part.length;
        this.#left -= part.length;
        if (this.#left === 0) this.#mode = 'end';
        continue;
      }
      const lineEnd = bytes.indexOf(10, at);
      const upTo = lineEnd === -1 ? bytes.length : lineEnd + 1;
      if (this.#mode === 'size') this.#sizeText += bytes.toString('latin1', at, upTo);
      at = upTo;
      if (lineEnd === -1) break;
      if (this.#mode === 'end') this.#mode = 'size';
      else this.#begin();
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  }

  #begin(): void {
    this.#left = Number.parseInt(this.#sizeText, 16) || 0;
    this.#sizeText = '';
    this.isOver = this.#left === 0;
    this.#mode = this.isOver ? 'end' : 'body';
  }
}

/** Whether bytes end where an event ends. */
export const endsEvent = (bytes: Buffer): boolean =>
  bytes.length >= 2 && bytes[bytes.length - 1] === 10 && bytes[bytes.length - 2] === 10;

interface Remembered {
  readonly bytes: Buffer;
  readonly glance: Glance;
}

/** Reads that are remembered: the spans of the last flushes, and what they look like in several classes. */
const rememberedMax = 8;

/** Scans reads that begin and end at an event boundary, each distinct one once. */
export class ScanMemory {
  readonly #isChunked: boolean;
  #remembered: Remembered[] = [];

  constructor(isChunked: boolean) {
    this.#isChunked = isChunked;
  }

  /** Null where the read does not end at a boundary, and must be taken the slow way. */
  look(bytes: Buffer): Glance | null {
    for (const known of this.#remembered) {
      if (known.bytes.length === bytes.length && known.bytes.equals(bytes)) return known.glance;
    }
    const body = this.#isChunked ? dechunkedWhole(bytes) : bytes;
    if (body === null || !endsEvent(body)) return null;
    const glance = scanEvents(body);
    this.#remembered = [{ bytes: Buffer.from(bytes), glance }, ...this.#remembered.slice(0, rememberedMax - 1)];
    return glance;
  }
}

function dechunkedWhole(bytes: Buffer): Buffer | null {
  const dechunker = new Dechunker();
  const body = dechunker.feed(bytes);
  return dechunker.isBetween ? body : null;
}
