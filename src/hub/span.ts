/**
 * A span: what was added to a tape between two places. In full it holds every frame. Who is far behind gets it lean: the
 * chat is left out, and said in its place, run by run, how much that was; so wherever a stream is cut, what came before
 * the cut is whole, and an id resumes exactly.
 */

import type { Position } from '../log/position.ts';
import type { Epoch, Lane, UserId } from '../signal.ts';
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
  #shared: Buffer | null = null;
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
  get shared(): Buffer {
    this.#shared ??= joined(framesFor(this.frames, null).map(({ bytes }) => bytes));
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

/** How many entries follow a place for a class (null) or for a user, and in how many gaps the lean form leaves chat out. */
export function countsOf(
  spans: readonly Span[],
  user: UserId | null,
  isLean: boolean,
): { entries: number; gaps: number } {
  let entries = 0;
  let gaps = 0;
  let isInGap = false;
  for (const span of spans) {
    for (const frame of framesFor(span.frames, user)) {
      const isLeftOut = isLean && canBeLeftOut(frame);
      if (isLeftOut && !isInGap) gaps += 1;
      isInGap = isLeftOut;
      // Words of the hub itself are no entries.
      if (!isLeftOut && frame.weight > 0 && frame.bytes.length > 0) entries += 1;
    }
  }
  return { entries, gaps };
}

/** What follows a place in full, for a class (null) or for a user that is named in it. */
export const fullBytes = (spans: readonly Span[], user: UserId | null): Buffer =>
  joined(
    spans.flatMap((span) =>
      span.names(user) ? framesFor(span.frames, user).map(({ bytes }) => bytes) : [span.shared],
    ),
  );

/** The same without the chat, and with a gap in the place of each run of it. */
export function leanBytes(spans: readonly Span[], user: UserId | null): Buffer {
  const frames = spans.flatMap((span) => framesFor(span.frames, user));
  const [first] = spans;
  return first === undefined ? joined([]) : joined(withoutChat(frames, first.start.position));
}

/** Joins nothing where there is but one. */
const joined = (bytes: readonly Buffer[]): Buffer => (bytes.length === 1 && bytes[0]) || Buffer.concat(bytes);

const framesFor = (frames: readonly Frame[], user: UserId | null): readonly Frame[] =>
  frames.filter(({ targets }) => targets === null || (user !== null && targets.has(user)));

/** The frames' bytes, with one gap in the place of each run of chat. `before`: the position that the first one follows. */
function withoutChat(frames: readonly Frame[], before: Position): Buffer[] {
  const bytes: Buffer[] = [];
  let from = before;
  let to = before;
  let missed = 0;
  const declare = (): void => {
    if (missed > 0) bytes.push(Buffer.from(gapFrame({ from, to, missed, lane: 'chat', cause: 'slow' })));
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
      bytes.push(frame.bytes);
    }
  }
  declare();
  return bytes;
}
