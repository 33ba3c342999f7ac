/** An entry as the frame that goes on tapes, and as the event that replay and pull give: one form on every way. */

import type { Entry, UserId } from '../signal.ts';
import { entryData, eventFrame } from '../stream/frame.ts';
import { changeData } from './room-state.ts';
import type { Frame } from './tape.ts';

/** What a client is told of an entry; null for an entry that makes no event. `data` is JSON text. */
export interface EntryEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** As it is pulled: there is no stream whose ending could tell of the room's end, so that is an event too. */
export function eventOf(entry: Entry, stateInlineBytes: number): EntryEvent | null {
  const data = entry.kind === 'state' ? changeData(entry, stateInlineBytes) : entryData(entry);
  return data === null ? null : { id: `${entry.epoch}.${entry.offset}`, event: entry.kind, data };
}

/** As it is streamed. The room's end is told to each viewer by the ending of its stream, after all that came before. */
export function streamEventOf(entry: Entry, stateInlineBytes: number): EntryEvent | null {
  return entry.kind === 'end' ? null : eventOf(entry, stateInlineBytes);
}

export function frameOf(entry: Entry, stateInlineBytes: number, targets: ReadonlySet<UserId> | null): Frame | null {
  const event = streamEventOf(entry, stateInlineBytes);
  if (event === null) return null;
  const { offset, lane } = entry;
  return { offset, lane, isState: entry.kind === 'state', targets, bytes: Buffer.from(eventFrame(event)) };
}
