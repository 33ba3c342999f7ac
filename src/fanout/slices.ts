/** Splits long work into slices, so a crowd delays others by a few milliseconds at most. */

import type { Clock } from '../clock.ts';
import { sliceViewers } from './flush.ts';

/** Runs all steps, the first slice at once, and yields to the event loop after each slice. */
export function inSlices(steps: Iterator<unknown>, clock: Clock, done: () => void): void {
  for (let taken = 0; taken < sliceViewers; taken += 1) {
    if (steps.next().done) {
      done();
      return;
    }
  }
  clock.soon(() => inSlices(steps, clock, done));
}
