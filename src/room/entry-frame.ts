/** An entry as the frame that goes on tapes, and as the event that replay and pull give: one form on every way. */

import type { Frame } from '../fanout/span.ts';
import type { Position } from '../log/position.ts';
import type { Entry, UserId } from '../model.ts';
import { entryData, eventFrame } from '../stream/frame.ts';
import { changeData } from './room-state.ts';

/** What a client is told of an entry; null for an entry that makes no event. `data` is JSON text. */
export interface EntryEvent {
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

/** An event as JSON text, for answers that hold several: its data is JSON text already. */
export const eventText = ({ id, event, data }: EntryEvent): string =>
  `{"id":"${id}","event":"${event}","data":${data}}`;

/** As it is pulled: there is no stream whose ending could tell of the room's end, so that is an event too. */
export function eventOf(entry: Entry, stateInlineBytes: number): EntryEvent | null {
  const id = `${entry.epoch}.${entry.offset}`;
  const data = dataOf(entry, id, stateInlineBytes);
  return data === null ? null : { id, event: entry.kind, data };
}

/** As it is streamed. The room's end is told to each viewer by the ending of its stream, after all that came before. */
export function streamEventOf(entry: Entry, stateInlineBytes: number): EntryEvent | null {
  return entry.kind === 'end' ? null : eventOf(entry, stateInlineBytes);
}

/** Of what was retracted, a frame of no bytes: it has its place, and counts. `position`: where the room is with it; of a later epoch than the entry's own id where it was read again. */
export function frameOf(
  entry: Entry,
  position: Position,
  stateInlineBytes: number,
  targets: ReadonlySet<UserId> | null,
): Frame | null {
  const isBlank = entry.lane === 'blank';
  const event = streamEventOf(entry, stateInlineBytes);
  if (event === null && !isBlank) return null;
  const isState = entry.kind === 'state';
  return {
    epoch: entry.epoch,
    position,
    lane: entry.lane,
    isState,
    targets,
    weight: weightOf(entry),
    bytes: event === null ? Buffer.alloc(0) : Buffer.from(eventFrame(event)),
  };
}

function dataOf(entry: Entry, id: string, stateInlineBytes: number): string | null {
  if (entry.lane === 'blank') return null;
  if (entry.kind === 'state') return changeData(entry, stateInlineBytes);
  // The log wrote what was left out before this entry; up to where, it says by the entry's own place.
  if (entry.kind === 'gap') return `{"to":"${id}",${entry.body.slice(1)}`;
  return entryData(entry);
}

/** A gap stands for what it declares. */
const weightOf = ({ kind, body }: Entry): number =>
  kind === 'gap' ? ((JSON.parse(body) as { missed?: number }).missed ?? 0) : 1;
