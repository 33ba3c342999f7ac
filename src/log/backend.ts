/** A back end implements both contracts on one store. Closing the log closes both. */

import type { Presence } from './presence.ts';
import type { RoomLog } from './room-log.ts';

export interface Backend {
  readonly log: RoomLog;
  readonly presence: Presence;
}
