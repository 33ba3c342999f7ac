/**
 * A span: what was added to a tape between two places. In full it holds every frame. Who is far behind gets it lean: the
 * chat is left out, and said in its place, run by run, how much that was; so wherever a stream is cut, what came before
 * the cut is whole, and an id resumes exactly.
 */

import type { Position } from '../log/position.ts';
import type { Epoch, Lane, UserId } from '../model.ts';
import type { Place } from '../stream/place.ts';
import { gapFrame } from './gap.ts';

/** One event, framed. */
export interface Frame {
  /** The epoch of the entry's own id; null for what is no entry. */
  readonly epoch: Epoch | null;
  /** Where the room's log is with it. */
  readonly position: Position;
  readonly lane: Lane;
  /** A change of state: left out for a newcomer whose snapshot is as new. */
  readonly isState: boolean;
  /** Null: for the whole class. */
  readonly targets: ReadonlySet<UserId> | null;
  /**
   * Published entries that it stands for: 1, or as many as it declares where it is a gap of the log. 0 for words of the
   * hub itself, fleeting sums and gaps of its own, which no newcomer needs.
   */
  readonly weight: number;
  /** Empty for what was retracted: it keeps its place and its weight. */
  readonly bytes: Buffer;
}

const isNamed = ({ epoch, position }: Frame, entry: Position): boolean =>
  epoch === entry.epoch && position.offset === entry.offset;

/** The frames without a word of the entry that was retracted; null where it is not among them. */
export function withoutWords(frames: readonly Frame[], entry: Position): Frame[] | null {
  if (!frames.some((frame) => isNamed(frame, entry))) return null;
  return frames.map((frame) => (isNamed(frame, entry) ? { ...frame, bytes: Buffer.alloc(0) } : frame));
}

/** What a viewer far behind may do without. What names it, such as words of its own, it gets in any case. */
const canBeLeftOut = ({ lane, targets }: Frame): boolean =>
  targets === null && (lane === 'chat' || lane === 'spare' || lane === 'blank');

export class Span {
  readonly start: Place;
  readonly end: Place;
  readonly frames: readonly Frame[];
  readonly #targets: ReadonlySet<UserId> | null;
  #shared: Composed | null = null;
  #leanSize: number | null = null;

  constructor(start: Place, end: Place, frames: readonly Frame[]) {
    this.start = start;
    this.end = end;
    this.frames = frames;
    const named = frames.flatMap(({ targets }) => (targets === null ? [] : [...targets]));
    this.#targets = named.length === 0 ? null : new Set(named);
  }

  /** Bytes of all frames. */
  get size(): number {
    return this.end.bytes - this.start.bytes;
  }

  /** Bytes of the frames that nobody does without. */
  get leanSize(): number {
    this.#leanSize ??= this.frames.reduce((sum, frame) => sum + (canBeLeftOut(frame) ? 0 : frame.bytes.length), 0);
    return this.#leanSize;
  }

  get namesNobody(): boolean {
    return this.#targets === null;
  }

  /** Whether something in it is for this user alone. */
  names(user: UserId | null): boolean {
    return user !== null && (this.#targets?.has(user) ?? false);
  }

  /** What the class gets of it, joined when it is first needed; may be empty. */
  get shared(): Composed {
    this.#shared ??= compose(framesFor(this.frames, null));
    return this.#shared;
  }
}

/** The place behind frames that follow a place. */
export function after(place: Place, frames: readonly Frame[]): Place {
  let { seq, shown, bytes, position } = place;
  for (const frame of frames) {
    position = frame.position;
    seq += 1;
    bytes += frame.bytes.length;
    if (frame.targets === null) shown += frame.weight;
  }
  return { seq, shown, bytes, position };
}

/** What follows a place, as bytes; and how many entries that is, and in how many gaps chat was left out. */
export interface Composed {
  readonly bytes: Buffer;
  readonly entries: number;
  readonly gaps: number;
}

/** In full, for a class (null) or for a user that is named in it. */
export function inFull(spans: readonly Span[], user: UserId | null): Composed {
  const composed = spans.map((span) => (span.names(user) ? compose(framesFor(span.frames, user)) : span.shared));
  const entries = composed.reduce((sum, one) => sum + one.entries, 0);
  return { bytes: joined(composed.map(({ bytes }) => bytes)), entries, gaps: 0 };
}

/** Without the chat, and with a gap in the place of each run of it. */
export function lean(spans: readonly Span[], user: UserId | null): Composed {
  const before = spans[0]?.start.position;
  const frames = spans.flatMap((span) => framesFor(span.frames, user));
  return before === undefined ? compose([]) : withoutChat(frames, before);
}

/** Words of the hub itself are no entries, nor is what was retracted. */
const isEntry = ({ weight, bytes }: Frame): boolean => weight > 0 && bytes.length > 0;

const compose = (frames: readonly Frame[]): Composed => ({
  bytes: joined(frames.map(({ bytes }) => bytes)),
  entries: frames.filter(isEntry).length,
  gaps: 0,
});

/** Joins nothing where there is but one. */
const joined = (bytes: readonly Buffer[]): Buffer => (bytes.length === 1 && bytes[0]) || Buffer.concat(bytes);

const framesFor = (frames: readonly Frame[], user: UserId | null): readonly Frame[] =>
  frames.filter(({ targets }) => targets === null || (user !== null && targets.has(user)));

/** With one gap in the place of each run of chat. `before`: the position that the first frame follows. */
function withoutChat(frames: readonly Frame[], before: Position): Composed {
  const kept: Buffer[] = [];
  let entries = 0;
  let gaps = 0;
  let from = before;
  let to = before;
  let missed = 0;
  const declare = (): void => {
    if (missed > 0) {
      kept.push(Buffer.from(gapFrame({ from, to, missed, lane: 'chat', cause: 'slow' })));
      gaps += 1;
    }
    from = to;
    missed = 0;
  };
  for (const frame of frames) {
    const isLeftOut = canBeLeftOut(frame);
    if (!isLeftOut) declare();
    to = frame.position;
    if (isLeftOut) missed += frame.weight;
    else {
      from = to;
      kept.push(frame.bytes);
      if (isEntry(frame)) entries += 1;
    }
  }
  declare();
  return { bytes: joined(kept), entries, gaps };
}
