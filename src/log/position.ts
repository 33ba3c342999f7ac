/**
 * Positions in a room's log, and what a resume from one can promise. Pure: both logs, the hub and the routes use
 * `judge`, so a resume means the same everywhere.
 *
 * Offsets alone are unsafe: a replica that was behind, or a restored copy, assigns the same offsets again. So an id
 * also names the epoch. The log keeps its lineage: the former epochs, and the last offset of each that is part of the
 * present history. An id of a former epoch is valid up to that offset, and no further.
 */

import type { Epoch } from '../model.ts';

export interface Position {
  readonly epoch: Epoch;
  readonly offset: number;
}

/** A former epoch, and its last offset that is part of the present history. */
export interface Ancestor {
  readonly epoch: Epoch;
  readonly last: number;
}

/** The state of a room's log at one moment. */
export interface Tail {
  readonly epoch: Epoch;
  /** The last offset assigned; 0 in a new room. */
  readonly offset: number;
  /** The oldest offset that can still be read; `offset + 1` if nothing is kept. */
  readonly first: number;
  /** The newest ancestor last; at most `lineageMax`. */
  readonly lineage: readonly Ancestor[];
}

/** How many former epochs a room remembers. An older id gets `reset`. */
export const lineageMax = 16;

export type GapCause = 'slow' | 'sampled' | 'trimmed' | 'failover';

/**
 * What a resume can promise. `exact`: everything after the id follows. `gap`: what is left follows. `reset`: the id is
 * unknown here. `fresh`: there was no id. `missed` counts the lost events; null if that is unknown (a failover, a
 * reset). The stream continues after `to`.
 */
export type Judgement =
  | { readonly verdict: 'reset'; readonly to: Position; readonly missed: null; readonly cause: null }
  | { readonly verdict: 'fresh' | 'exact'; readonly to: Position; readonly missed: 0; readonly cause: null }
  | { readonly verdict: 'gap'; readonly to: Position; readonly missed: number | null; readonly cause: GapCause };

/** At most 12 characters of epoch and 15 digits: an id stays under 32, so a reconnect needs no CORS preflight. */
export const epochPattern = '[a-z0-9]{1,12}';
export const offsetPattern = '(0|[1-9][0-9]{0,14})';
export const idPattern = `^${epochPattern}\\.${offsetPattern}$`;
const id = new RegExp(idPattern);

export const formatPosition = (position: Position): string => `${position.epoch}.${position.offset}`;

/** Null for anything that this gateway cannot have written. */
export function parsePosition(text: string): Position | null {
  const offset = id.exec(text)?.[1];
  return offset === undefined ? null : { epoch: text.slice(0, -offset.length - 1) as Epoch, offset: Number(offset) };
}

/**
 * Judges the id of a viewer that returns. `null` is a first visit, `'unreadable'` an id that this gateway cannot have
 * written. Read `tail` from the log after the id was issued; otherwise a valid id can seem to be from the future.
 */
export function judge(from: Position | null | 'unreadable', tail: Tail): Judgement {
  const at = (offset: number): Position => ({ epoch: tail.epoch, offset });
  if (from === null) return { verdict: 'fresh', to: at(tail.offset), missed: 0, cause: null };
  if (from === 'unreadable') return { verdict: 'reset', to: at(tail.offset), missed: null, cause: null };

  const left = from.epoch === tail.epoch ? tail.offset : tail.lineage.find((old) => old.epoch === from.epoch)?.last;
  const isFuture = from.epoch === tail.epoch && from.offset > tail.offset;
  if (left === undefined || isFuture) return { verdict: 'reset', to: at(tail.offset), missed: null, cause: null };

  const oldest = tail.first - 1;
  if (from.offset > left) {
    return { verdict: 'gap', to: at(Math.max(left, oldest)), missed: null, cause: 'failover' };
  }
  if (from.offset < oldest) {
    return { verdict: 'gap', to: at(oldest), missed: oldest - from.offset, cause: 'trimmed' };
  }
  return { verdict: 'exact', to: at(from.offset), missed: 0, cause: null };
}

/** A position in a room's log, and the epochs that led to it, as a follower of the room knows them. */
export interface Followed extends Position {
  readonly lineage: readonly Ancestor[];
}

/**
 * Judges an open stream as `judge` does, but never as `reset`: a follower knows more than one epoch. It has received
 * what both histories have in common. Everything after that is lost or follows. `to` is the last common offset, at
 * most `replayMax` entries before the tail.
 */
export function judgeFollowed(from: Followed, tail: Tail, replayMax: number): Exclude<Judgement, { verdict: 'reset' }> {
  const judged = judge(from, tail);
  if (judged.verdict !== 'reset') return judged;
  const common = lastInCommon(from, tail);
  // A full lineage may have dropped the epoch that they have in common.
  const isUnknown = common === null && Math.max(from.lineage.length, tail.lineage.length) >= lineageMax;
  const parted = isUnknown ? tail.offset : (common ?? 0);
  const offset = Math.max(parted, tail.first - 1, tail.offset - replayMax);
  return { verdict: 'gap', to: { epoch: tail.epoch, offset }, missed: null, cause: 'failover' };
}

/** The last offset that two histories share; null if they share no epoch. */
function lastInCommon(one: Followed, other: Followed): number | null {
  const lasts = new Map(other.lineage.map(({ epoch, last }) => [epoch, last]));
  lasts.set(other.epoch, other.offset);
  for (const { epoch, last } of [...one.lineage, { epoch: one.epoch, last: one.offset }].toReversed()) {
    const known = lasts.get(epoch);
    if (known !== undefined) return Math.min(last, known);
  }
  return null;
}
