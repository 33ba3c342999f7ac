/**
 * The tape: what a room said lately, to one class of viewers, as bytes that are ready to be sent.
 *
 * Frames are gathered in a draft. A flush seals the draft into a span: one Buffer that every viewer at the head is
 * handed as it is. A viewer's whole state here is its place, an object that all viewers at one point of the tape share.
 * The tape keeps as many bytes as it may; who falls behind its beginning is told so by whoever moves viewers, not here.
 *
 *     trimmed ◂─┼─ span ─┼─ span ─┼─ span ─┼─ draft ─┤◂─ end
 *              start    place    place    place    place
 *
 * The tape covers every offset from its start to its end, also those of entries that its class may not see: they leave
 * no frame, but they move the end. A frame for named users lies among the others and is left out of the shared bytes:
 * only its targets get a span that was composed for them.
 *
 * Places are counted in frames, not in offsets: after a failover the log may hand lower offsets out again, and a viewer
 * that still has older spans to get must get them first. Newcomers, who come with an offset, are served from the
 * frames after the last such restart only.
 *
 * One class, no timers, no sockets, no decisions about who is slow.
 */

import type { Position } from '../log/position.ts';
import type { Lane, UserId } from '../signal.ts';
import { Piece } from '../stream/piece.ts';
import type { Place } from '../stream/place.ts';

/** One event, framed. */
export interface Frame {
  /** Null for words of the hub itself: fleeting sums and declared gaps, which no newcomer needs. */
  readonly offset: number | null;
  readonly lane: Lane;
  /** A change of state: left out for a newcomer whose snapshot is as new. */
  readonly isState: boolean;
  /** Null: for the whole class. */
  readonly targets: ReadonlySet<UserId> | null;
  readonly bytes: Buffer;
}

/** Somebody who joins: what it has by offset, and up to where it knows the state. */
export interface Newcomer {
  readonly user: UserId | null;
  readonly after: number;
  readonly stateAsOf: number;
}

/** What one flush added: the frames between two places. */
export class Span {
  readonly start: Place;
  readonly end: Place;
  /** Bytes of all frames. */
  readonly size: number;
  readonly frames: readonly Frame[];
  readonly #shared: Piece | null;
  readonly #targets: ReadonlySet<UserId> | null;

  constructor(start: Place, end: Place, frames: readonly Frame[]) {
    this.start = start;
    this.end = end;
    this.frames = frames;
    const shared = frames.filter((frame) => frame.targets === null);
    const named = frames.flatMap((frame) => (frame.targets === null ? [] : [...frame.targets]));
    this.size = sizeOf(frames);
    this.#shared = shared.length === 0 ? null : Piece.shared(joined(shared));
    this.#targets = named.length === 0 ? null : new Set(named);
  }

  /** What a viewer at `place` lacks of this span: for nearly all of them the very same piece. Null: nothing. */
  pieceFor(place: Place, user: UserId | null): Piece | null {
    const isTarget = this.#targets !== null && user !== null && this.#targets.has(user);
    if (place.seq <= this.start.seq && !isTarget) return this.#shared;
    return composed(this.frames.slice(Math.max(0, place.seq - this.start.seq)), user);
  }
}

export class Tape {
  readonly #bytesMax: number;
  readonly #spanBytesMax: number;
  #spans: Span[] = [];
  #bytes = 0;
  #draft: Frame[] = [];
  #draftStart: Place;
  #end: Place;
  /** Where the present history begins on this tape. */
  #restart: Place;
  /** Frames before the newest declared loss; -1 where there was none. */
  #lossSeq = -1;

  /**
   * Begins empty at a position. `trim` brings the sealed spans under `bytesMax`, the newest kept whatever its size;
   * `spanBytesMax` the size at which a draft is sealed into more than one.
   */
  constructor(position: Position, bytesMax: number, spanBytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#spanBytesMax = spanBytesMax;
    this.#end = { seq: 0, shown: 0, position };
    this.#draftStart = this.#end;
    this.#restart = this.#end;
  }

  /** The oldest place that can still be served. */
  get start(): Place {
    return this.#spans[0]?.start ?? this.#draftStart;
  }

  /** After the newest frame, the draft included. */
  get end(): Place {
    return this.#end;
  }

  /** Bytes in sealed spans. */
  get bytes(): number {
    return this.#bytes;
  }

  /** An entry for the class or for named users; its offset is the highest so far. */
  add(frame: Frame, position: Position): void {
    this.#draft.push(frame);
    const shown = this.#end.shown + (frame.targets === null && frame.offset !== null ? 1 : 0);
    this.#end = { seq: this.#end.seq + 1, shown, position };
  }

  /** An entry that nobody of this class may see. */
  pass(position: Position): void {
    this.#end = { ...this.#end, position };
  }

  /** Words of the hub itself. */
  say(bytes: Buffer): void {
    this.add({ offset: null, lane: 'must', isState: false, targets: null, bytes }, this.#end.position);
  }

  /** The history goes on from another position, be it lower or higher. Who has frames to get still gets them. */
  restart(position: Position): void {
    this.pass(position);
    this.#restart = this.#end;
    this.#lossSeq = this.#end.seq;
  }

  /** Seals the draft into spans; the new ones, oldest first. They are all kept until `trim`. */
  seal(): Span[] {
    const sealed: Span[] = [];
    while (this.#draft.length > 0) sealed.push(this.#sealOne());
    return sealed;
  }

  /** Drops the oldest spans until the rest is within its bound. Call when they have been handed to who keeps up. */
  trim(): void {
    let drop = 0;
    while (this.#bytes > this.#bytesMax && drop < this.#spans.length - 1) {
      this.#bytes -= this.#spans[drop]?.size ?? 0;
      drop += 1;
    }
    if (drop > 0) this.#spans.splice(0, drop);
  }

  /** The sealed span that a viewer at `place` needs next; null for none. */
  next(place: Place): Span | null {
    let low = 0;
    let high = this.#spans.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#spans[middle]?.end.seq ?? 0) > place.seq) high = middle;
      else low = middle + 1;
    }
    return this.#spans[low] ?? null;
  }

  /** How much everybody of the class was to get since a place; null where more was lost than ever was on the tape. */
  shownSince(place: Place): number | null {
    return place.seq <= this.#lossSeq ? null : this.#end.shown - place.shown;
  }

  /** Whether everything after an offset of the present history is on the tape. */
  covers(offset: number): boolean {
    const start = this.start.seq > this.#restart.seq ? this.start : this.#restart;
    return offset >= start.position.offset && offset <= this.#end.position.offset;
  }

  /**
   * What a newcomer lacks, up to `end`, in pieces of about a span, each with the offset that it reaches to. Call only
   * where the tape covers `after`, and not across a pause in which the tape may move on.
   */
  *replay(newcomer: Newcomer): Generator<{ piece: Piece; upTo: number }> {
    const lacks = (frame: Frame): boolean =>
      frame.offset !== null && frame.offset > newcomer.after && !(frame.isState && frame.offset <= newcomer.stateAsOf);
    for (const { start, frames } of [...this.#spans, { start: this.#draftStart, frames: this.#draft }]) {
      const lacked = frames.slice(Math.max(0, this.#restart.seq - start.seq)).filter(lacks);
      const piece = composed(lacked, newcomer.user);
      if (piece) yield { piece, upTo: lacked.at(-1)?.offset ?? newcomer.after };
    }
  }

  #sealOne(): Span {
    let count = 0;
    let size = 0;
    while (count < this.#draft.length && size < this.#spanBytesMax) size += this.#draft[count++]?.bytes.length ?? 0;
    const frames = this.#draft.splice(0, count);
    const span = new Span(this.#draftStart, this.#draft.length === 0 ? this.#end : this.#between(frames), frames);
    this.#draftStart = span.end;
    this.#spans.push(span);
    this.#bytes += span.size;
    return span;
  }

  /** The place after frames that were sealed while others of the same draft were left over. */
  #between(frames: readonly Frame[]): Place {
    const start = this.#draftStart;
    const kept = frames.filter((frame) => frame.offset !== null);
    const offset = kept.at(-1)?.offset ?? start.position.offset;
    return {
      seq: start.seq + frames.length,
      shown: start.shown + kept.filter((frame) => frame.targets === null).length,
      position: { epoch: this.#end.position.epoch, offset },
    };
  }
}

const joined = (frames: readonly Frame[]): Buffer => Buffer.concat(frames.map((frame) => frame.bytes));

function sizeOf(frames: readonly Frame[]): number {
  let size = 0;
  for (const frame of frames) size += frame.bytes.length;
  return size;
}

/** Frames for one viewer, as a private piece; null where none is for it. */
function composed(frames: readonly Frame[], user: UserId | null): Piece | null {
  const its = frames.filter((frame) => frame.targets === null || (user !== null && frame.targets.has(user)));
  return its.length === 0 ? null : Piece.private(joined(its));
}
