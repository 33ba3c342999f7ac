/**
 * The viewers of one class in one room, and the tape that they read. It moves viewers along the tape and decides what a
 * viewer gets that does not keep up:
 * - While it is under backpressure, it is skipped and keeps its place.
 * - When its bytes have drained, it gets what it lacks.
 * - If that is more than half of the tape, chat is left out and declared until the viewer has caught up.
 * - If its place has been trimmed, it gets a gap and the state, and continues at the end of the tape.
 *
 * The stream timers end a viewer that reads nothing at all.
 */

import type { GapCause } from '../log/position.ts';
import { Piece } from '../stream/piece.ts';
import type { Place } from '../stream/place.ts';
import type { Viewer } from '../stream/viewer.ts';
import type { AudienceClass } from './audience.ts';
import { gapFrame } from './gap.ts';
import { HubCounters } from './hub-counters.ts';
import type { Tape } from './tape.ts';

export class ViewerSet {
  readonly audience: AudienceClass;
  readonly tape: Tape;
  readonly #stateFrame: () => string;
  readonly #hubCounters: HubCounters;
  readonly #attached = new Set<Viewer>();
  /** Joining viewers: the tape grows for them, but they get nothing from it yet. */
  readonly #joining = new Set<Viewer>();
  /** Viewers far behind: they get no chat until they have caught up. */
  readonly #withoutChat = new Set<Viewer>();
  /** The sealed end of the tape when the newest sweep began, and when the one before it began. */
  #begun: Place;
  #begunBefore: Place;

  /** `stateFrame` returns the `state` event with the full state as of the tape's end. */
  constructor(
    audience: AudienceClass,
    tape: Tape,
    stateFrame: () => string,
    hubCounters: HubCounters = new HubCounters(),
  ) {
    this.audience = audience;
    this.tape = tape;
    this.#stateFrame = stateFrame;
    this.#hubCounters = hubCounters;
    this.#begun = tape.sealedEnd;
    this.#begunBefore = this.#begun;
  }

  /** Viewers, including joining ones. */
  get size(): number {
    return this.#attached.size + this.#joining.size;
  }

  *viewers(): Generator<Viewer> {
    yield* this.#attached;
    yield* this.#joining;
  }

  add(viewer: Viewer): void {
    this.#joining.add(viewer);
  }

  /** Attaches a viewer that has everything up to the tape's end. */
  attach(viewer: Viewer): void {
    this.tape.seal();
    viewer.place = this.tape.sealedEnd;
    this.#joining.delete(viewer);
    this.#attached.add(viewer);
  }

  remove(viewer: Viewer): void {
    this.#attached.delete(viewer);
    this.#joining.delete(viewer);
    this.#withoutChat.delete(viewer);
  }

  /** Counts a gap that was added to the tape, once per viewer. */
  countGaps(cause: GapCause): void {
    this.#hubCounters.gaps[cause] += this.size;
  }

  /**
   * Delivers what is new to all viewers, one viewer a step, so the caller can pause between any two. Viewers later in
   * the sweep also get what was added during the sweep.
   */
  *sweep(): Generator<void> {
    this.tape.seal();
    this.#begunBefore = this.#begun;
    this.#begun = this.tape.sealedEnd;
    for (const viewer of this.#attached) {
      this.tape.seal();
      if (viewer.isWaiting || viewer.place === this.tape.sealedEnd) continue;
      this.feed(viewer);
      yield;
    }
    this.tape.trim(this.#begun);
  }

  /** Delivers what a viewer lacks, until it is under backpressure or has everything sealed. */
  feed(viewer: Viewer): void {
    for (;;) {
      const { place } = viewer;
      if (place === null || viewer.isWaiting || viewer.isGone) return;
      if (place.seq < this.tape.start.seq) {
        this.#skip(viewer, place);
        return;
      }
      const reader = { user: viewer.identity.id, withoutChat: this.#isWithoutChat(viewer, place) };
      const next = this.tape.next(place, reader);
      if (next === null) {
        viewer.place = this.tape.sealedEnd;
        if (this.#withoutChat.size > 0) this.#withoutChat.delete(viewer);
        return;
      }
      viewer.place = next.end;
      if (next.piece !== null) viewer.send(next.piece);
      if (next.gaps > 0) this.#hubCounters.gaps.slow += next.gaps;
    }
  }

  #isWithoutChat(viewer: Viewer, place: Place): boolean {
    // A viewer keeps up if it has what was sealed when the previous sweep began, however much was added since.
    const isBehind = place.seq < this.#begunBefore.seq;
    if (isBehind && this.tape.isFarBehind(place)) this.#withoutChat.add(viewer);
    return this.#withoutChat.size > 0 && this.#withoutChat.has(viewer);
  }

  /** The viewer's place has been trimmed: it gets a gap and the state, and continues at the end. */
  #skip(viewer: Viewer, place: Place): void {
    this.tape.seal();
    const end = this.tape.sealedEnd;
    const missed = this.tape.shownSince(place);
    const gap = gapFrame({ from: place.position, to: end.position, missed, lane: 'all', cause: 'slow' });
    viewer.place = end;
    this.#withoutChat.delete(viewer);
    this.#hubCounters.gaps.slow += 1;
    viewer.send(Piece.private(gap + this.#stateFrame()));
  }
}
