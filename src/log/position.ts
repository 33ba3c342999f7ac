/**
 * Where somebody stands in a room's log, and what that is worth now. Pure: both logs, the hub and the routes judge by
 * this one function, so a resume means the same everywhere.
 *
 * Offsets alone are unsafe: a replica that was behind, or a restored copy, hands the same numbers out again. So an id
 * names the epoch too, and the log remembers its lineage: which epochs came before, and how far each of them got in
 * the history that is left. An id of an older epoch is as good as a new one up to there, and no further.
 */

import type { Epoch } from '../model.ts';

export interface Position {
  readonly epoch: Epoch;
  readonly offset: number;
}

/** An epoch that came before, and the last offset that it left behind in the present history. */
export interface Ancestor {
  readonly epoch: Epoch;
  readonly last: number;
}

/** The state of a room's log at one moment. */
export interface Tail {
  readonly epoch: Epoch;
  /** The last offset handed out; 0 in a new room. */
  readonly offset: number;
  /** The oldest offset that can still be read; `offset + 1` where nothing is kept. */
  readonly first: number;
  /** The newest ancestor last; at most `lineageMax`. */
  readonly lineage: readonly Ancestor[];
}

/** How many former epochs a room remembers. An id older than that is `reset`. */
export const lineageMax = 16;

export type GapCause = 'slow' | 'sampled' | 'trimmed' | 'failover';

/**
 * What a resume can promise. `exact`: everything after the id follows. `gap`: what could be found follows. `reset`: the
 * id means nothing here. `fresh`: there was no id. `missed` counts the events that are gone; null where nobody can
 * know (a failover, a reset). The rest continues after `to`.
 */
export type Judgement =
  | { readonly verdict: 'reset'; readonly to: Position; readonly missed: null; readonly cause: null }
  | { readonly verdict: 'fresh' | 'exact'; readonly to: Position; readonly missed: 0; readonly cause: null }
  | { readonly verdict: 'gap'; readonly to: Position; readonly missed: number | null; readonly cause: GapCause };

/** At most 12 characters of epoch and 15 digits: an id stays under 32 and needs no CORS preflight on a reconnect. */
export const epochPattern = '[a-z0-9]{1,12}';
export const offsetPattern = '(0|[1-9][0-9]{0,14})';
export const idPattern = `^${epochPattern}\\.${offsetPattern}$`;
const id = new RegExp(idPattern);

export const formatPosition = (position: Position): string => `${position.epoch}.${position.offset}`;

/** Null for anything that this service cannot have written. */
export function parsePosition(text: string): Position | null {
  const offset = id.exec(text)?.[1];
  return offset === undefined ? null : { epoch: text.slice(0, -offset.length - 1) as Epoch, offset: Number(offset) };
}

/**
 * Judges the id of somebody who returns. `null` is a first visit, `'unreadable'` an id that is none of ours. `tail` must
 * have been read from the log after the id was given out, or a good id could look as if it came from the future.
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

/** A place in a room's log, and the epochs that led to it: what somebody knows who has followed the room. */
export interface Followed extends Position {
  readonly lineage: readonly Ancestor[];
}

/**
 * Judges a stream that is open: as `judge` does, but whoever followed the room knows more than one epoch, so an unknown
 * one is no `reset`. What both histories have in common was received; everything after it is lost or follows. `to` is
 * where they part, at most `replayMax` entries before the tail.
 */
export function judgeFollowed(from: Followed, tail: Tail, replayMax: number): Exclude<Judgement, { verdict: 'reset' }> {
  const judged = judge(from, tail);
  if (judged.verdict !== 'reset') return judged;
  const common = lastInCommon(from, tail);
  // A full lineage may have forgotten the epoch that they have in common.
  const isUnknown = common === null && Math.max(from.lineage.length, tail.lineage.length) >= lineageMax;
  const parted = isUnknown ? tail.offset : (common ?? 0);
  const offset = Math.max(parted, tail.first - 1, tail.offset - replayMax);
  return { verdict: 'gap', to: { epoch: tail.epoch, offset }, missed: null, cause: 'failover' };
}

/** The last offset that two histories share; null where no epoch is in both. */
function lastInCommon(one: Followed, other: Followed): number | null {
  const lasts = new Map(other.lineage.map(({ epoch, last }) => [epoch, last]));
  lasts.set(other.epoch, other.offset);
  for (const { epoch, last } of [...one.lineage, { epoch: one.epoch, last: one.offset }].toReversed()) {
    const known = lasts.get(epoch);
    if (known !== undefined) return Math.min(last, known);
  }
  return null;
}
