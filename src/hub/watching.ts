/**
 * How many watch the room over all nodes, as everyone is told: the newest number in place of all before it. What the log
 * answers to a report may be older or newer than what it has published, and the next one puts it right.
 */

import type { Headcount } from '../log/room-log.ts';
import { eventFrame } from '../stream/frame.ts';

export class Watching {
  #headcount: Headcount | null = null;
  #frame = '';
  #isNews = false;

  /** True where it is another number than before. */
  note({ viewers, users }: Headcount): boolean {
    const known = this.#headcount;
    if (known !== null && known.viewers === viewers && known.users === users) return false;
    this.#headcount = { viewers, users };
    this.#frame = eventFrame({ event: 'audience', data: JSON.stringify(this.#headcount) });
    this.#isNews = true;
    return true;
  }

  /** What a newcomer is told; empty where nothing is known. */
  get frame(): string {
    return this.#frame;
  }

  /** The frame where it has not been shown yet; it counts as shown from now on. */
  *news(): Generator<Buffer> {
    if (!this.#isNews) return;
    this.#isNews = false;
    yield Buffer.from(this.#frame);
  }
}
