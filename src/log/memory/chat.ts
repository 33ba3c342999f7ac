/**
 * How the embedded log samples chat above `CHAT_PER_SECOND`: which entries are sampled out, and when they are declared.
 * Only the rules, on plain values that a snapshot includes; `log/memory/room` numbers and keeps the entries.
 */

import { fullAgainAt, waitForTokens } from '../../token-bucket.ts';
import { formatPosition, type Position } from '../position.ts';
import { declareMs } from '../room-log.ts';

export interface ChatRecord {
  /** When the room's token bucket is full again, in Unix microseconds: whole numbers add up exactly. */
  fullAtUs: number;
  /** The earliest time of the next declaration, Unix milliseconds. */
  dueAtMs: number;
  /** Sampled-out entries that no `gap` has declared yet. */
  undeclared: number;
  /** The position before the first of them, as text. */
  from: string;
}

export const newChat = (): ChatRecord => ({ fullAtUs: 0, dueAtMs: 0, undeclared: 0, from: '' });

/** Whether one more is within the rate; if so, takes a token. Allows a burst of one second's worth. 0: no limit. */
export function conforms(chat: ChatRecord, perSecond: number, now: number): boolean {
  if (perSecond === 0) return true;
  const intervalUs = Math.floor(1_000_000 / perSecond);
  // If the clock was set back, the wait still has its usual bound.
  chat.fullAtUs = Math.min(chat.fullAtUs, (now + 1000) * 1000);
  if (waitForTokens(chat.fullAtUs, now * 1000, intervalUs, intervalUs * perSecond) > 0) return false;
  chat.fullAtUs = fullAgainAt(chat.fullAtUs, now * 1000, intervalUs);
  return true;
}

/** Counts a sampled-out entry that comes right after `last`. */
export function noteSampledOut(chat: ChatRecord, last: Position, now: number): void {
  if (chat.undeclared === 0) {
    chat.from = formatPosition(last);
    if (leftMs(chat, now) === 0) chat.dueAtMs = now + declareMs;
  }
  chat.undeclared += 1;
}

/** Milliseconds until undeclared entries may be declared; 0: now; null: there are none. */
export const declaredInMs = (chat: ChatRecord, now: number): number | null =>
  chat.undeclared === 0 ? null : leftMs(chat, now);

/** Returns the body of the `gap` that declares the undeclared entries, and resets their count. */
export function declare(chat: ChatRecord, now: number): string {
  const body = JSON.stringify({ from: chat.from, missed: chat.undeclared, lane: 'chat', cause: 'sampled' });
  chat.undeclared = 0;
  chat.dueAtMs = now + declareMs;
  return body;
}

/** Nothing is due later than `declareMs` from now; if it seems so, the clock was set back. */
function leftMs({ dueAtMs }: ChatRecord, now: number): number {
  return dueAtMs > now + declareMs ? 0 : Math.max(0, dueAtMs - now);
}
