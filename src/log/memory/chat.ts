/**
 * What the embedded log does with chat above `CHAT_PER_SECOND`: which entries are sampled out, and when they are declared.
 * The rules alone, on plain values that a copy takes along; `log/memory/room` numbers and keeps the entries.
 */

import { fullAgainAt, waitForTokens } from '../../token-bucket.ts';
import { formatPosition, type Position } from '../position.ts';
import { declareMs } from '../room-log.ts';

export interface ChatRecord {
  /** When the bucket of the room is full again, in microseconds: whole numbers add up exactly. */
  fullAtUs: number;
  /** Before this moment no declaration is made, Unix ms. */
  dueAtMs: number;
  /** Sampled-out entries that no `gap` has declared yet, and the position before the first of them, as text. */
  undeclared: number;
  from: string;
}

export const newChat = (): ChatRecord => ({ fullAtUs: 0, dueAtMs: 0, undeclared: 0, from: '' });

/** Whether one more is within the rate; if so, it counts. A second's worth may come at once. 0: whatever comes is. */
export function conforms(chat: ChatRecord, perSecond: number, now: number): boolean {
  if (perSecond === 0) return true;
  const intervalUs = Math.floor(1_000_000 / perSecond);
  // The clock may have been set back: then the rate does not wait for longer than it ever does.
  chat.fullAtUs = Math.min(chat.fullAtUs, (now + 1000) * 1000);
  if (waitForTokens(chat.fullAtUs, now * 1000, intervalUs, intervalUs * perSecond) > 0) return false;
  chat.fullAtUs = fullAgainAt(chat.fullAtUs, now * 1000, intervalUs);
  return true;
}

/** Notes an entry that is sampled out and comes right after `last`. */
export function noteSampledOut(chat: ChatRecord, last: Position, now: number): void {
  if (chat.undeclared === 0) {
    chat.from = formatPosition(last);
    if (leftMs(chat, now) === 0) chat.dueAtMs = now + declareMs;
  }
  chat.undeclared += 1;
}

/** How long until what is undeclared may be declared; 0 where it may be now, null where there is nothing. */
export const declaredInMs = (chat: ChatRecord, now: number): number | null =>
  chat.undeclared === 0 ? null : leftMs(chat, now);

/** The body of the entry that declares what is undeclared; from here on nothing is. */
export function declare(chat: ChatRecord, now: number): string {
  const body = JSON.stringify({ from: chat.from, missed: chat.undeclared, lane: 'chat', cause: 'sampled' });
  chat.undeclared = 0;
  chat.dueAtMs = now + declareMs;
  return body;
}

/** Nothing is ever due later than this; where it seems so, the clock was set back. */
function leftMs({ dueAtMs }: ChatRecord, now: number): number {
  return dueAtMs > now + declareMs ? 0 : Math.max(0, dueAtMs - now);
}
