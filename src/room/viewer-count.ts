/**
 * How many watch the room over all nodes, as everyone is told: the newest number in place of all before it. What the log
 * answers to a report may be older or newer than what it has published, and the next one puts it right.
 */

import type { ViewerCount } from '../log/room-log.ts';
import { eventFrame } from '../stream/frame.ts';

export class ShownViewerCount {
  #viewerCount: ViewerCount | null = null;
  #frame = '';
  #isNews = false;

  /** True where it is another number than before. */
  note({ viewers, users }: ViewerCount): boolean {
    const known = this.#viewerCount;
    if (known !== null && known.viewers === viewers && known.users === users) return false;
    this.#viewerCount = { viewers, users };
    this.#frame = eventFrame({ event: 'audience', data: JSON.stringify(this.#viewerCount) });
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
