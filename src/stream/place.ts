/** A point between two frames of a tape. Immutable; all viewers that stand there share the object. */

import type { Position } from '../log/position.ts';

export interface Place {
  /** Frames before it since the tape began. */
  readonly seq: number;
  /** Those of them that every viewer of the tape's class was to get. */
  readonly shown: number;
  /** The last entry before it. */
  readonly position: Position;
}
