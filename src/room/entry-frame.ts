/**
 * An entry as bytes, in one form on every path: as the frame that tapes and replay carry, and as the JSON of pull and
 * pages.
 */

import { type AudienceClass, isFor, isOnTapeOf, mayHoldOwn, type Receiver } from '../fanout/audience.ts';
import type { Frame } from '../fanout/span.ts';
import type { Position } from '../log/position.ts';
import type { Entry, UserId } from '../model.ts';
import { entryData, eventFrame } from '../stream/frame.ts';
import { changeData } from './room-state.ts';

/** Events as the text of a JSON array. */
export interface EventsJson {
  readonly count: number;
  readonly json: Buffer;
}

/**
 * What a receiver gets of some entries, as the answer of pull and pages. It includes the room's end as an event: an
 * answer has no ending of its own to declare it.
 */
export function eventsJson(entries: readonly Entry[], receiver: Receiver, stateInlineBytes: number): EventsJson {
  const texts = entries
    .filter((entry) => isFor(entry, receiver))
    .flatMap((entry) => {
      const data = dataOf(entry, stateInlineBytes);
      return data === null ? [] : `{"id":"${idOf(entry)}","event":"${entry.kind}","data":${data}}`;
    });
  return { count: texts.length, json: Buffer.from(`[${texts.join(',')}]`) };
}

/**
 * An entry as a frame; null for the room's end, which each viewer gets as the ending of its stream. A tombstone is a
 * frame of 0 bytes: it keeps its place, and counts. `position`: the room's position at this entry. If the entry was
 * read again, this is of a later epoch than the entry's own id.
 */
export function frameOf(
  entry: Entry,
  position: Position,
  stateInlineBytes: number,
  targets: ReadonlySet<UserId> | null,
): Frame | null {
  const bytes = bytesOf(entry, stateInlineBytes);
  if (bytes === null) return null;
  return {
    epoch: entry.epoch,
    position,
    lane: entry.lane,
    isState: entry.kind === 'state',
    targets,
    weight: weightOf(entry),
    bytes,
  };
}

/**
 * The frame of an entry for one user beyond its class: the user that it acts on, or its author if the others may not
 * see it.
 */
export const ownFrame = (frame: Frame, user: UserId): Frame => ({ ...frame, targets: new Set([user]) });

/**
 * The frame of an entry that a class carries: the one for all of the class or for the users that the entry names, or
 * the one for its `own` user; null if it carries neither.
 */
export function frameFor(
  { receiver }: AudienceClass,
  entry: Entry,
  frame: Frame | null,
  own: Frame | null,
): Frame | null {
  if (frame !== null && (frame.targets !== null || isOnTapeOf(entry, receiver))) return frame;
  return own !== null && mayHoldOwn(entry.audience, receiver) ? own : null;
}

function bytesOf(entry: Entry, stateInlineBytes: number): Buffer | null {
  if (entry.status === 'tombstone') return Buffer.alloc(0);
  const data = entry.kind === 'end' ? null : dataOf(entry, stateInlineBytes);
  return data === null ? null : Buffer.from(eventFrame({ id: idOf(entry), event: entry.kind, data }));
}

const idOf = ({ epoch, offset }: Entry): string => `${epoch}.${offset}`;

/** Null for a change of state that cannot be parsed. */
function dataOf(entry: Entry, stateInlineBytes: number): string | null {
  if (entry.kind === 'state') return changeData(entry, stateInlineBytes);
  // The log appends a gap after the run that it declares, so its own id is the end of that run.
  if (entry.kind === 'gap') return `{"to":"${idOf(entry)}",${entry.body.slice(1)}`;
  return entryData(entry);
}

/** A gap weighs as much as the entries that it declares. */
const weightOf = ({ kind, body }: Entry): number =>
  kind === 'gap' ? ((JSON.parse(body) as { missed?: number }).missed ?? 0) : 1;
