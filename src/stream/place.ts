/** A point between two frames of a tape. Immutable; all viewers at that point share the object. */

import type { Position } from '../log/position.ts';

export interface Place {
  /** Frames before it since the tape began. */
  readonly seq: number;
  /** Published entries before it that every viewer of the tape's class was to get, or to be told of. */
  readonly shown: number;
  /** Bytes of the frames before it. */
  readonly bytes: number;
  /** The last entry before it. */
  readonly position: Position;
}
