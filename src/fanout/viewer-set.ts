/**
 * The viewers of one class in one room, and the tape that they read. It moves viewers along the tape and settles what
 * happens to one that does not keep up. In this order: while bytes wait for it, it is skipped and keeps its place; when
 * they have gone, it gets what it lacks; where that is more than half of the tape, chat is left out for it and
 * declared, until it has caught up; where its place has left the tape, it is told what it missed, gets the state, and
 * goes on at the end. Who reads nothing at all is ended by the stream timers.
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
  readonly #viewers = new Set<Viewer>();
  /** On their way to a seat: the tape gathers for them, and they are given nothing from it yet. */
  readonly #expected = new Set<Viewer>();
  /** Far behind: they get no chat until they have caught up. */
  readonly #lean = new Set<Viewer>();
  /** Where the sweep that runs or ran last began, and the one before it. */
  #begun: Place;
  #begunBefore: Place;

  /** `stateFrame` gives the `state` event that holds everything, as of the tape's end. */
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

  /** Viewers, those who are expected among them. */
  get size(): number {
    return this.#viewers.size + this.#expected.size;
  }

  *viewers(): Generator<Viewer> {
    yield* this.#viewers;
    yield* this.#expected;
  }

  expect(viewer: Viewer): void {
    this.#expected.add(viewer);
  }

  /** Seats a viewer that has everything up to the tape's end. */
  seat(viewer: Viewer): void {
    this.tape.seal();
    viewer.place = this.tape.sealedEnd;
    this.#expected.delete(viewer);
    this.#viewers.add(viewer);
  }

  unseat(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    this.#expected.delete(viewer);
    this.#lean.delete(viewer);
  }

  /** A gap was laid on the tape, for everybody here. */
  toldOf(cause: GapCause): void {
    this.#hubCounters.gaps[cause] += this.size;
  }

  /**
   * Hands everybody what is new, one viewer a step, so that whoever runs it can pause between any two. Whoever comes
   * later in a sweep gets what was said meanwhile with it.
   */
  *sweep(): Generator<void> {
    this.tape.seal();
    this.#begunBefore = this.#begun;
    this.#begun = this.tape.sealedEnd;
    for (const viewer of this.#viewers) {
      this.tape.seal();
      if (viewer.isWaiting || viewer.place === this.tape.sealedEnd) continue;
      this.feed(viewer);
      yield;
    }
    this.tape.trim(this.#begun);
  }

  /** Gives a viewer what it lacks, until bytes wait for it or it has everything sealed. */
  feed(viewer: Viewer): void {
    for (;;) {
      const { place } = viewer;
      if (place === null || viewer.isWaiting || viewer.isGone) return;
      if (place.seq < this.tape.start.seq) {
        this.#skip(viewer, place);
        return;
      }
      const handed = this.tape.next(place, { user: viewer.identity.id, withoutChat: this.#isLean(viewer, place) });
      if (handed === null) {
        viewer.place = this.tape.sealedEnd;
        if (this.#lean.size > 0) this.#lean.delete(viewer);
        return;
      }
      viewer.place = handed.end;
      if (handed.piece !== null) viewer.send(handed.piece);
      if (handed.gaps > 0) this.#hubCounters.gaps.slow += handed.gaps;
    }
  }

  #isLean(viewer: Viewer, place: Place): boolean {
    // Who has got what was there when the last sweep began keeps up, however much was said since.
    const isBehind = place.seq < this.#begunBefore.seq;
    if (isBehind && this.tape.isFarBehind(place)) this.#lean.add(viewer);
    return this.#lean.size > 0 && this.#lean.has(viewer);
  }

  /** The viewer's place has left the tape: it is told, gets the state, and goes on at the end. */
  #skip(viewer: Viewer, place: Place): void {
    this.tape.seal();
    const end = this.tape.sealedEnd;
    const missed = this.tape.shownSince(place);
    const gap = gapFrame({ from: place.position, to: end.position, missed, lane: 'all', cause: 'slow' });
    viewer.place = end;
    this.#lean.delete(viewer);
    this.#hubCounters.gaps.slow += 1;
    viewer.send(Piece.private(gap + this.#stateFrame()));
  }
}
