/**
 * The tape: the latest frames of a room for one class of viewers, as bytes that are ready to be sent.
 *
 * Frames collect in a draft. Sealing turns the draft into a span. All that the tape knows of a viewer is its place. All
 * viewers at one point of the tape share one place object, and viewers that go on from one place get one and the same
 * piece: joined once, deflated once. The tape keeps a bounded number of bytes. A viewer whose place has been trimmed is
 * the viewer set's to serve.
 *
 *     trimmed ◂─┼─ span ─┼─ span ─┼─ span ─┼─ draft ─┤◂─ end
 *              start    place    place    sealed end
 *
 * The tape covers every offset from its start to its end. An entry that its class may not see leaves no frame, but moves
 * the end. A frame for named users lies among the others and stays out of the shared bytes: its targets alone get pieces
 * that are composed for them.
 *
 * Places count frames, not offsets. After a failover the log may assign lower offsets again, and a viewer that still
 * lacks older spans gets them first. Newcomers come with an offset, so they are served from the frames after the last
 * such restart only.
 *
 * One class, no timers, no sockets, no decision about which viewer is slow.
 */

import type { Position } from '../log/position.ts';
import type { UserId } from '../model.ts';
import { Piece } from '../stream/piece.ts';
import type { Place } from '../stream/place.ts';
import { type Newcomer, type Replayed, replay } from './replay.ts';
import { after, withoutChat as composeWithoutChat, type Frame, inFull, Span, withTombstone } from './span.ts';

/** A viewer that asks for what follows its place. */
export interface Reader {
  readonly user: UserId | null;
  /** The viewer is far behind: gaps take the place of chat. */
  readonly withoutChat: boolean;
}

/** What a viewer gets next, and its place after that. `piece` null: nothing of it is for this viewer. */
export interface Delivery {
  readonly piece: Piece | null;
  readonly end: Place;
  /** How many gaps take the place of chat. */
  readonly gaps: number;
}

/** Deliveries and replays that are kept for other viewers at the same place, until more is sealed. */
const sharedMax = 64;

export class Tape {
  readonly #bytesMax: number;
  readonly #spanBytesMax: number;
  readonly #counts: { spans: number };
  #spans: Span[] = [];
  #draft: Frame[] = [];
  /** After the newest sealed frame. */
  #sealedEnd: Place;
  #end: Place;
  /** Where the present epoch begins on this tape. */
  #restart: Place;
  /** `seq` of the newest declared loss; -1 if there was none. */
  #lossSeq = -1;
  /** The newest delivery: nearly always the next viewer's place is that of the one before it. */
  #last: { readonly place: Place; readonly withoutChat: boolean; readonly delivery: Delivery } | null = null;
  readonly #shared = new Map<string, Delivery>();
  readonly #replayed = new Map<string, readonly Replayed[]>();

  /**
   * Begins empty at a position. `trim` brings the sealed spans under `bytesMax`, but keeps the newest whatever its size.
   * A draft above `spanBytesMax` is sealed into several spans, and pieces are joined up to about that size. `counts`
   * counts spans.
   */
  constructor(position: Position, bytesMax: number, spanBytesMax: number, counts = { spans: 0 }) {
    this.#bytesMax = bytesMax;
    this.#spanBytesMax = spanBytesMax;
    this.#counts = counts;
    this.#end = { seq: 0, shown: 0, bytes: 0, position };
    this.#sealedEnd = this.#end;
    this.#restart = this.#end;
  }

  /** The oldest place that can still be served. */
  get start(): Place {
    return this.#spans[0]?.start ?? this.#sealedEnd;
  }

  /** The place of a viewer that has everything sealed. */
  get sealedEnd(): Place {
    return this.#sealedEnd;
  }

  /** After the newest frame, the draft included. */
  get end(): Place {
    return this.#end;
  }

  /** Bytes in sealed spans. */
  get bytes(): number {
    return this.#sealedEnd.bytes - this.start.bytes;
  }

  /** Adds an entry for the class or for named users. Its offset is the highest of the present epoch. */
  add(frame: Frame): void {
    this.#draft.push(frame);
    this.#end = after(this.#end, [frame]);
    this.#replayed.clear();
  }

  /** Moves the end past an entry that nobody of this class may see. */
  pass(position: Position): void {
    this.#end = { ...this.#end, position };
    if (this.#draft.length === 0) this.#moveSealed(this.#end);
  }

  /** Adds a control frame: an event of the room itself that is no entry of the log. */
  addControl(bytes: Buffer): void {
    const { position } = this.#end;
    this.add({ epoch: null, position, lane: 'must', isState: false, targets: null, weight: 0, bytes });
  }

  /**
   * Leaves a tombstone in the place of a retracted entry: viewers behind it get nothing of it. Places stay where they
   * are, and counts of what was missed include it.
   */
  retract(entry: Position): void {
    this.#draft = withTombstone(this.#draft, entry) ?? this.#draft;
    this.#spans = this.#spans.map((span) => {
      const frames = withTombstone(span.frames, entry);
      return frames === null ? span : new Span(span.start, span.end, frames);
    });
    this.#forget();
  }

  /** Goes on in another epoch, from a lower or higher position. Viewers behind it still get the frames before it. */
  restart(position: Position): void {
    this.pass(position);
    this.#restart = this.#end;
    this.#lossSeq = this.#end.seq;
  }

  /** Turns the draft into spans. All spans are kept until `trim`. */
  seal(): void {
    while (this.#draft.length > 0) this.#sealOne();
  }

  /**
   * Drops the oldest spans until the rest is within its bound, but none after `upTo`, the place of viewers that keep up:
   * a burst larger than the tape is no loss for viewers that are not slow.
   */
  trim(upTo: Place): void {
    let drop = 0;
    let bytes = this.bytes;
    for (const span of this.#spans) {
      if (bytes <= this.#bytesMax || span.end.seq > upTo.seq || drop === this.#spans.length - 1) break;
      bytes -= span.size;
      drop += 1;
    }
    if (drop > 0) this.#spans.splice(0, drop);
  }

  /** What a viewer at a place gets next, joined up to about a span's size. Null if it has everything sealed. */
  next(place: Place, { user, withoutChat }: Reader): Delivery | null {
    if (place.seq >= this.#sealedEnd.seq) return null;
    const last = this.#last;
    if (last !== null && last.place === place && last.withoutChat === withoutChat) return last.delivery;
    const spans = this.#spansAfter(place, withoutChat);
    if (user !== null && spans.some((span) => span.names(user))) return deliveryOf(spans, withoutChat, user);
    const key = `${place.seq} ${withoutChat}`;
    const delivery = this.#shared.get(key) ?? deliveryOf(spans, withoutChat, null);
    if (this.#shared.size < sharedMax) this.#shared.set(key, delivery);
    // If a span names users, the next viewer may be one of them.
    if (spans.every((span) => span.namesNobody)) this.#last = { place, withoutChat, delivery };
    return delivery;
  }

  /** Whether a place is more than half of the tape's bound behind its end. */
  isFarBehind(place: Place): boolean {
    return (this.#end.bytes - place.bytes) * 2 > this.#bytesMax;
  }

  /** How many entries the whole class was to get since a place; null if a loss of unknown size lies between. */
  shownSince(place: Place): number | null {
    return place.seq <= this.#lossSeq ? null : this.#end.shown - place.shown;
  }

  /** Whether everything after an offset of the present epoch is on the tape. */
  covers(offset: number): boolean {
    const start = this.start.seq > this.#restart.seq ? this.start : this.#restart;
    return offset >= start.position.offset && offset <= this.#end.position.offset;
  }

  /**
   * What a newcomer lacks, up to `end`. Newcomers that lack the same share the pieces. Call only if the tape covers
   * `after`, and take the pieces in one turn: the tape may move on in the next.
   */
  replay(newcomer: Newcomer): readonly Replayed[] {
    const { user, after, stateAsOf } = newcomer;
    this.seal();
    const spans = this.#spans.filter(({ end }) => end.seq > this.#restart.seq && end.position.offset > after);
    const isPrivate = user !== null && spans.some((span) => span.names(user));
    const key = `${after} ${stateAsOf}`;
    const known = isPrivate ? undefined : this.#replayed.get(key);
    if (known !== undefined) return known;
    const frames = spans.flatMap(({ start, frames }) => frames.slice(Math.max(0, this.#restart.seq - start.seq)));
    const replayed = replay(frames, newcomer, { bytesMax: this.#spanBytesMax, isPrivate });
    if (!isPrivate && this.#replayed.size < sharedMax) this.#replayed.set(key, replayed);
    return replayed;
  }

  /** The spans after a place, about a span's size of them. A place lies between two spans. */
  #spansAfter(place: Place, withoutChat: boolean): readonly Span[] {
    let low = 0;
    let high = this.#spans.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#spans[middle]?.start.seq ?? 0) >= place.seq) high = middle;
      else low = middle + 1;
    }
    let end = low;
    for (let bytes = 0; end < this.#spans.length && bytes < this.#spanBytesMax; end += 1) {
      const size = (withoutChat ? this.#spans[end]?.sizeWithoutChat : this.#spans[end]?.size) ?? 0;
      if (end > low && bytes + size > this.#spanBytesMax) break;
      bytes += size;
    }
    return this.#spans.slice(low, end);
  }

  #sealOne(): void {
    let count = 0;
    let size = 0;
    while (count < this.#draft.length && size < this.#spanBytesMax) size += this.#draft[count++]?.bytes.length ?? 0;
    const frames = this.#draft.splice(0, count);
    const start = this.#sealedEnd;
    const end = this.#draft.length === 0 ? this.#end : after(start, frames);
    this.#spans.push(new Span(start, end, frames));
    this.#counts.spans += 1;
    this.#moveSealed(end);
  }

  #moveSealed(end: Place): void {
    this.#sealedEnd = end;
    this.#forget();
  }

  #forget(): void {
    this.#last = null;
    this.#shared.clear();
    this.#replayed.clear();
  }
}

const endOf = (spans: readonly Span[]): Place => {
  const last = spans.at(-1);
  if (last === undefined) throw new Error('a place lies between two spans of the tape');
  return last.end;
};

/** For the whole class (null), or composed for a user that it names. */
function deliveryOf(spans: readonly Span[], withoutChat: boolean, user: UserId | null): Delivery {
  const { bytes, entries, gaps } = withoutChat ? composeWithoutChat(spans, user) : inFull(spans, user);
  const pack = user === null ? Piece.shared : Piece.private;
  return { piece: bytes.length === 0 ? null : pack(bytes, entries), end: endOf(spans), gaps };
}
