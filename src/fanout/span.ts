/**
 * A span: what was added to a tape between two places. A viewer gets all of its frames. A viewer that is far behind
 * gets them without chat: a gap in the place of each run of chat declares how much was left out. So wherever a stream
 * is cut, what came before the cut is whole, and its id resumes exactly.
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
   * Published entries that it stands for: 1, or as many as it declares if it is a gap of the log. 0 for what is
   * no entry, such as fleeting sums and gaps that the room declares itself: no newcomer needs them.
   */
  readonly weight: number;
  /** Empty for what was retracted: it keeps its place and its weight. */
  readonly bytes: Buffer;
}

const isNamed = ({ epoch, position }: Frame, entry: Position): boolean =>
  epoch === entry.epoch && position.offset === entry.offset;

/** The frames with a tombstone for a retracted entry; null if it is not among them. */
export function withTombstone(frames: readonly Frame[], entry: Position): Frame[] | null {
  if (!frames.some((frame) => isNamed(frame, entry))) return null;
  return frames.map((frame) => (isNamed(frame, entry) ? { ...frame, bytes: Buffer.alloc(0) } : frame));
}

/** Chat that a viewer far behind does without. What names the viewer, such as its own comments, it gets in any case. */
const isChat = ({ lane, targets }: Frame): boolean => targets === null && lane === 'chat';

export class Span {
  readonly start: Place;
  readonly end: Place;
  readonly frames: readonly Frame[];
  readonly #targets: ReadonlySet<UserId> | null;
  #shared: Composed | null = null;
  #sizeWithoutChat: number | null = null;

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

  get sizeWithoutChat(): number {
    this.#sizeWithoutChat ??= this.frames.reduce((sum, frame) => sum + (isChat(frame) ? 0 : frame.bytes.length), 0);
    return this.#sizeWithoutChat;
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

/** Without chat, and with a gap in the place of each run of it. */
export function withoutChat(spans: readonly Span[], user: UserId | null): Composed {
  const before = spans[0]?.start.position;
  const frames = spans.flatMap((span) => framesFor(span.frames, user));
  return before === undefined ? compose([]) : declareChat(frames, before);
}

/** Control frames are no entries, nor are tombstones. */
export const isEntry = ({ weight, bytes }: Frame): boolean => weight > 0 && bytes.length > 0;

export const compose = (frames: readonly Frame[]): Composed => ({
  bytes: joined(frames.map(({ bytes }) => bytes)),
  entries: frames.filter(isEntry).length,
  gaps: 0,
});

/** Copies nothing if there is only one. */
const joined = (bytes: readonly Buffer[]): Buffer => (bytes.length === 1 && bytes[0]) || Buffer.concat(bytes);

const framesFor = (frames: readonly Frame[], user: UserId | null): readonly Frame[] =>
  frames.filter(({ targets }) => targets === null || (user !== null && targets.has(user)));

/** `before`: the position that the first frame follows. */
function declareChat(frames: readonly Frame[], before: Position): Composed {
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
    const isOmitted = isChat(frame);
    if (!isOmitted) declare();
    to = frame.position;
    if (isOmitted) missed += frame.weight;
    else {
      from = to;
      kept.push(frame.bytes);
      if (isEntry(frame)) entries += 1;
    }
  }
  declare();
  return { bytes: joined(kept), entries, gaps };
}
