/** The `gap` event: what somebody was to get and will not, said in its place, so that nothing is lost without a word. */

import { formatPosition, type GapCause, type Position } from '../log/position.ts';
import { eventFrame } from '../stream/frame.ts';

/** Entries that nobody can have any more. The rest continues after `to`. */
export interface Loss {
  readonly from: Position;
  readonly to: Position;
  /** How many; null where nobody can know. */
  readonly missed: number | null;
  readonly cause: GapCause;
}

/** What a gap speaks of: everything, or chat alone. */
export interface Gap extends Loss {
  readonly lane: 'all' | 'chat';
}

/** Its id is where the rest continues. */
export function gapFrame({ from, to, missed, lane, cause }: Gap): string {
  const id = formatPosition(to);
  const data = JSON.stringify({ from: formatPosition(from), to: id, missed, lane, cause });
  return eventFrame({ event: 'gap', id, data });
}
