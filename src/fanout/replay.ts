/**
 * Replay: what a newcomer lacks of some frames, joined into pieces. The frames of a tape and those of a page of the
 * log become bytes here, and live spans by the same `compose`, so every path carries the same bytes.
 */

import type { UserId } from '../model.ts';
import { Piece } from '../stream/piece.ts';
import { compose, type Frame, isEntry } from './span.ts';

/** A viewer that joins: what it has by offset, and up to which offset it knows the state. */
export interface Newcomer {
  readonly user: UserId | null;
  readonly after: number;
  readonly stateAsOf: number;
}

/** A part of what a newcomer lacks, and the offset that it has reached with that. */
export interface Replayed {
  readonly piece: Piece;
  readonly upTo: number;
}

/**
 * Pieces of at least `bytesMax` each but for the last. They are shared, deflated once for all, unless `isPrivate`: then
 * something in them is for the newcomer's user alone.
 */
export function replay(
  frames: readonly Frame[],
  { user, after, stateAsOf }: Newcomer,
  { bytesMax, isPrivate }: { readonly bytesMax: number; readonly isPrivate: boolean },
): readonly Replayed[] {
  const lacked = frames.filter((frame) => {
    const { offset } = frame.position;
    if (!isEntry(frame) || offset <= after || (frame.isState && offset <= stateAsOf)) return false;
    return frame.targets === null || (user !== null && frame.targets.has(user));
  });
  const replayed: Replayed[] = [];
  let begin = 0;
  let size = 0;
  for (const [index, { bytes, position }] of lacked.entries()) {
    size += bytes.length;
    if (size < bytesMax && index < lacked.length - 1) continue;
    const part = compose(lacked.slice(begin, index + 1));
    const pack = isPrivate ? Piece.private : Piece.shared;
    replayed.push({ piece: pack(part.bytes, part.entries), upTo: position.offset });
    begin = index + 1;
    size = 0;
  }
  return replayed;
}
