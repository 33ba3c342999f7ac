/**
 * Measures event loop delay, during which this node serves nobody. It uses its own timer, because Node's monitor loses the
 * delay in progress when it is read.
 */

import { Histogram } from 'prom-client';
import type { Clock, Timer } from '../clock.ts';

/** How often the timer is due. A delay that begins between two turns seems shorter by up to this. */
const watchMs = 20;

export class LoopDelay {
  /** The longest delay between each two reads. */
  readonly seconds = new Histogram({
    name: 'ringside_loop_delay_seconds',
    help: 'Longest event loop delay of each second.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [],
  });
  readonly #clock: Clock;
  #timer: Timer;
  #longestMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#timer = this.#watch();
  }

  /** The longest delay since the last read, in milliseconds. */
  look(): number {
    const longestMs = this.#longestMs;
    this.#longestMs = 0;
    this.seconds.observe(longestMs / 1000);
    return longestMs;
  }

  close(): void {
    this.#timer.cancel();
  }

  #watch(): Timer {
    const dueMs = performance.now() + watchMs;
    return this.#clock.after(watchMs, () => {
      this.#longestMs = Math.max(this.#longestMs, performance.now() - dueMs);
      this.#timer = this.#watch();
    });
  }
}
