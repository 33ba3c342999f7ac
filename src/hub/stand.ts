/**
 * A stand: the viewers of one class in one room, and the tape that they read. It moves viewers along the tape and
 * settles what happens to one that does not keep up: while bytes wait for it, it is skipped and keeps its place; when
 * they have gone, it gets the spans that it lacks; when its place has left the tape, it is told what it missed, gets
 * the state, and goes on at the end.
 */

import type { Clock } from '../clock.ts';
import { formatPosition } from '../log/position.ts';
import { eventFrame } from '../stream/frame.ts';
import { Piece } from '../stream/piece.ts';
import type { Place } from '../stream/place.ts';
import type { Viewer } from '../stream/viewer.ts';
import type { AudienceClass } from './audience.ts';
import type { Loss } from './intake.ts';
import type { Span, Tape } from './tape.ts';

/** Viewers that are handed a span before the event loop gets its turn: some 5 ms of work. */
const sliceViewers = 500;

/** The data of a `gap` event, and the event: its id is where the rest continues. */
export function gapFrame(loss: Loss): string {
  const [from, to] = [formatPosition(loss.from), formatPosition(loss.to)];
  const data = JSON.stringify({ from, to, missed: loss.missed, lane: 'all', cause: loss.cause });
  return eventFrame({ event: 'gap', id: to, data });
}

export class Stand {
  readonly audience: AudienceClass;
  readonly tape: Tape;
  readonly #clock: Clock;
  readonly #wholeState: () => string;
  readonly #viewers = new Set<Viewer>();
  /** On their way to a seat: the tape gathers for them, and they are given nothing from it yet. */
  readonly #expected = new Set<Viewer>();

  /** `wholeState` gives the data of a `state` event that holds everything, as of the tape's end. */
  constructor(audience: AudienceClass, tape: Tape, clock: Clock, wholeState: () => string) {
    this.audience = audience;
    this.tape = tape;
    this.#clock = clock;
    this.#wholeState = wholeState;
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
    viewer.place = this.tape.end;
    this.#expected.delete(viewer);
    this.#viewers.add(viewer);
  }

  unseat(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    this.#expected.delete(viewer);
  }

  /** Seals the draft and hands it to everybody, in slices. */
  async flush(): Promise<void> {
    const spans = this.tape.seal();
    const [span] = spans;
    if (span === undefined) return;
    const only = spans.length === 1 ? span : null;
    let handed = 0;
    for (const viewer of this.#viewers) {
      if (viewer.isWaiting) continue;
      if (only !== null && viewer.place === only.start) this.#hand(viewer, only.start, only);
      else this.feed(viewer);
      handed += 1;
      if (handed % sliceViewers === 0) await new Promise<void>((resolve) => this.#clock.soon(resolve));
    }
    // Not before: a burst longer than the tape would count as lost for viewers who are not slow at all.
    this.tape.trim();
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
      const span = this.tape.next(place);
      if (span === null) return;
      this.#hand(viewer, place, span);
    }
  }

  #hand(viewer: Viewer, place: Place, span: Span): void {
    const piece = span.pieceFor(place, viewer.identity.id);
    viewer.place = span.end;
    if (piece !== null) viewer.send(piece);
  }

  /** The viewer's place has left the tape: it is told, gets the state, and goes on at the end. */
  #skip(viewer: Viewer, place: Place): void {
    const { end } = this.tape;
    const missed = this.tape.shownSince(place);
    const gap = gapFrame({ from: place.position, to: end.position, missed, cause: 'slow' });
    viewer.place = end;
    viewer.send(Piece.private(gap + eventFrame({ event: 'state', data: this.#wholeState() })));
  }
}
