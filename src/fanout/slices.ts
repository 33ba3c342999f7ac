/** Long work in slices, so that a crowd never keeps anybody else waiting for more than a few milliseconds. */

import type { Clock } from '../clock.ts';
import { sliceViewers } from './flush.ts';

/** Takes all steps, the first slice of them at once, and gives the event loop its turn after each slice. */
export function inSlices(steps: Iterator<unknown>, clock: Clock, done: () => void): void {
  for (let taken = 0; taken < sliceViewers; taken += 1) {
    if (steps.next().done) {
      done();
      return;
    }
  }
  clock.soon(() => inSlices(steps, clock, done));
}
