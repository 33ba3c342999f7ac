/** The `gap` event declares entries that a viewer will not get, in their place, so nothing is lost silently. */

import { formatPosition, type GapCause, type Position } from '../log/position.ts';
import { eventFrame } from '../stream/frame.ts';

/** Entries that are lost. The stream continues after `to`. */
export interface Loss {
  readonly from: Position;
  readonly to: Position;
  /** How many; null if unknown. */
  readonly missed: number | null;
  readonly cause: GapCause;
}

/** The scope of a gap: everything, or chat alone. */
export interface Gap extends Loss {
  readonly lane: 'all' | 'chat';
}

/** The event's id is `to`, so a client resumes after the gap. */
export function gapFrame({ from, to, missed, lane, cause }: Gap): string {
  const id = formatPosition(to);
  const data = JSON.stringify({ from: formatPosition(from), to: id, missed, lane, cause });
  return eventFrame({ event: 'gap', id, data });
}
