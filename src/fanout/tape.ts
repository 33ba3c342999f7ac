/**
 * The tape: what a room said lately, to one class of viewers, as bytes that are ready to be sent.
 *
 * Frames are gathered in a draft. Sealing makes the draft a span. A viewer's whole state here is its place, an object
 * that all viewers at one point of the tape share, and viewers that go on from one place are handed one and the same
 * piece: joined once, compressed once. The tape keeps as many bytes as it may; who falls behind its beginning is told
 * so by whoever moves viewers, not here.
 *
 *     trimmed ◂─┼─ span ─┼─ span ─┼─ span ─┼─ draft ─┤◂─ end
 *              start    place    place    sealed end
 *
 * The tape covers every offset from its start to its end, also those of entries that its class may not see: they leave
 * no frame, but they move the end. A frame for named users lies among the others and is left out of the shared bytes:
 * only its targets get pieces that are composed for them.
 *
 * Places are counted in frames, not in offsets: after a failover the log may hand lower offsets out again, and a viewer
 * that still has older spans to get must get them first. Newcomers, who come with an offset, are served from the
 * frames after the last such restart only.
 *
 * One class, no timers, no sockets, no decisions about who is slow.
 */

import type { Position } from '../log/position.ts';
import type { UserId } from '../model.ts';
import { Piece } from '../stream/piece.ts';
import type { Place } from '../stream/place.ts';
import { after, type Frame, inFull, lean, Span, withoutWords } from './span.ts';

/** Who is handed something. */
export interface Reader {
  readonly user: UserId | null;
  /** Far behind: chat is left out for it, and declared. */
  readonly isLean: boolean;
}

/** What somebody at a place gets next, and the place that it then stands at. `piece` null: nothing of it is for it. */
export interface Handed {
  readonly piece: Piece | null;
  readonly end: Place;
  /** In how many gaps chat was left out. */
  readonly gaps: number;
}

/** Somebody who joins: what it has by offset, and up to where it knows the state. */
export interface Newcomer {
  readonly user: UserId | null;
  readonly after: number;
  readonly stateAsOf: number;
}

/** What a newcomer lacks, in part, and the offset that it has reached with that. */
export interface Replayed {
  readonly piece: Piece;
  readonly upTo: number;
}

/** Pieces that are kept for others who go on from the same place, until more is sealed. */
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
  /** Where the present history begins on this tape. */
  #restart: Place;
  /** Frames before the newest declared loss; -1 where there was none. */
  #lossSeq = -1;
  /** What those who were asked for last get; nearly always, the next viewer stands where the one before it stood. */
  #last: { readonly place: Place; readonly isLean: boolean; readonly handed: Handed } | null = null;
  readonly #shared = new Map<string, Handed>();
  readonly #replayed = new Map<string, readonly Replayed[]>();

  /**
   * Begins empty at a position. `trim` brings the sealed spans under `bytesMax`, the newest kept whatever its size;
   * `spanBytesMax` is the size at which a draft is sealed into more than one, and that pieces are joined up to. `counts`
   * is where spans are counted.
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

  /** Where a viewer stands that has everything sealed. */
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

  /** An entry for the class or for named users; its offset is the highest so far. */
  add(frame: Frame): void {
    this.#draft.push(frame);
    this.#end = after(this.#end, [frame]);
    this.#replayed.clear();
  }

  /** An entry that nobody of this class may see. */
  pass(position: Position): void {
    this.#end = { ...this.#end, position };
    if (this.#draft.length === 0) this.#moveSealed(this.#end);
  }

  /** Words of the hub itself. */
  say(bytes: Buffer): void {
    const { position } = this.#end;
    this.add({ epoch: null, position, lane: 'must', isState: false, targets: null, weight: 0, bytes });
  }

  /**
   * An entry was retracted: whoever has not been handed it yet gets nothing of it. Places stay where they are, and
   * whatever counts what was missed counts it.
   */
  takeBack(entry: Position): void {
    this.#draft = withoutWords(this.#draft, entry) ?? this.#draft;
    this.#spans = this.#spans.map((span) => {
      const frames = withoutWords(span.frames, entry);
      return frames === null ? span : new Span(span.start, span.end, frames);
    });
    this.#forget();
  }

  /** The history goes on from another position, be it lower or higher. Who has frames to get still gets them. */
  restart(position: Position): void {
    this.pass(position);
    this.#restart = this.#end;
    this.#lossSeq = this.#end.seq;
  }

  /** Makes the draft ready to be handed out. All spans are kept until `trim`. */
  seal(): void {
    while (this.#draft.length > 0) this.#sealOne();
  }

  /**
   * Drops the oldest spans until the rest is within its bound, but none that lies behind `upTo`: where those stand who
   * keep up. A burst longer than the tape must not count as lost for viewers who are not slow at all.
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

  /** What somebody at a place gets next: joined up to about a span's size. Null where it has everything sealed. */
  next(place: Place, { user, isLean }: Reader): Handed | null {
    if (place.seq >= this.#sealedEnd.seq) return null;
    const last = this.#last;
    if (last !== null && last.place === place && last.isLean === isLean) return last.handed;
    const spans = this.#spansAfter(place, isLean);
    if (user !== null && spans.some((span) => span.names(user))) return handedOf(spans, isLean, user);
    const key = `${place.seq} ${isLean}`;
    const handed = this.#shared.get(key) ?? handedOf(spans, isLean, null);
    if (this.#shared.size < sharedMax) this.#shared.set(key, handed);
    // Where somebody is named, the next one has to be looked at again.
    if (spans.every((span) => span.namesNobody)) this.#last = { place, isLean, handed };
    return handed;
  }

  /** Whether somebody at a place lacks more than half of what the tape may keep. */
  isFarBehind(place: Place): boolean {
    return (this.#end.bytes - place.bytes) * 2 > this.#bytesMax;
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
   * What a newcomer lacks, up to `end`, in pieces of about a span. Newcomers who lack the same are given the same
   * pieces. Call only where the tape covers `after`, and not across a pause in which the tape may move on.
   */
  replay(newcomer: Newcomer): readonly Replayed[] {
    const { user, after, stateAsOf } = newcomer;
    this.seal();
    const spans = this.#spans.filter(({ end }) => end.seq > this.#restart.seq && end.position.offset > after);
    if (user !== null && spans.some((span) => span.names(user))) return this.#replay(spans, newcomer, Piece.private);
    const key = `${after} ${stateAsOf}`;
    const replayed = this.#replayed.get(key) ?? this.#replay(spans, { ...newcomer, user: null }, Piece.shared);
    if (this.#replayed.size < sharedMax) this.#replayed.set(key, replayed);
    return replayed;
  }

  #replay(
    spans: readonly Span[],
    newcomer: Newcomer,
    pack: (plain: Buffer, entries: number) => Piece,
  ): readonly Replayed[] {
    const { user, after: from, stateAsOf } = newcomer;
    const replayed: Replayed[] = [];
    for (const { start, frames } of spans) {
      const lacked = frames.slice(Math.max(0, this.#restart.seq - start.seq)).filter((frame) => {
        const { offset } = frame.position;
        if (frame.weight === 0 || frame.bytes.length === 0 || offset <= from || (frame.isState && offset <= stateAsOf))
          return false;
        return frame.targets === null || (user !== null && frame.targets.has(user));
      });
      const upTo = lacked.at(-1)?.position.offset;
      if (upTo !== undefined)
        replayed.push({ piece: pack(Buffer.concat(lacked.map(({ bytes }) => bytes)), lacked.length), upTo });
    }
    return replayed;
  }

  /** The spans behind a place, about as many as are handed out at a time; a place lies between two spans. */
  #spansAfter(place: Place, isLean: boolean): readonly Span[] {
    let low = 0;
    let high = this.#spans.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#spans[middle]?.start.seq ?? 0) >= place.seq) high = middle;
      else low = middle + 1;
    }
    let end = low;
    for (let bytes = 0; end < this.#spans.length && bytes < this.#spanBytesMax; end += 1) {
      const size = (isLean ? this.#spans[end]?.leanSize : this.#spans[end]?.size) ?? 0;
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

/** For everybody, or composed for a user that is named in it. */
function handedOf(spans: readonly Span[], isLean: boolean, user: UserId | null): Handed {
  const { bytes, entries, gaps } = isLean ? lean(spans, user) : inFull(spans, user);
  const pack = user === null ? Piece.shared : Piece.private;
  return { piece: bytes.length === 0 ? null : pack(bytes, entries), end: endOf(spans), gaps };
}
