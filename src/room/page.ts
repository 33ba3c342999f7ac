/**
 * Pages of a room's log as they are replayed. When a crowd comes back, it comes from the same few places: a page is
 * read once for all who read on from one place, and framed and compressed once for each class of them. It is kept for a
 * moment, and may then be behind the log; whoever reads on from its end finds what came since.
 */

import type { Clock } from '../clock.ts';
import { type AudienceClass, classOf, namedIn, type Receiver, targetsOf } from '../fanout/audience.ts';
import { type Replayed, replay } from '../fanout/replay.ts';
import type { Frame } from '../fanout/span.ts';
import { formatPosition, type Position } from '../log/position.ts';
import type { Reading, RoomLog } from '../log/room-log.ts';
import type { Entry, RoomId, UserId } from '../model.ts';
import { SingleFlightCache } from '../single-flight-cache.ts';
import { type Ban, readBan } from './bans.ts';
import { type EventsJson, eventsJson, frameFor, frameOf, ownFrame } from './entry-frame.ts';

/** Entries per page. */
export const pageEntries = 500;
/** How long a page is kept after it was read. */
export const keptMs = 500;
/** Pages of a room that are kept at a time; the oldest go first. */
const keptMax = 16;
/** Readings for one who must have what was said before it asked: one that was under way already, and one since. */
const freshTriesMax = 3;

export interface PageSettings {
  readonly stateInlineBytes: number;
  /** Bytes that are handed to a viewer at a time. */
  readonly spanBytesMax: number;
}

export class Page {
  readonly reading: Reading;
  /** The bans among its entries: one of them may bind a viewer that is joining. */
  readonly bans: readonly Ban[];
  readonly #settings: PageSettings;
  readonly #targets: ReadonlySet<UserId>;
  readonly #frames = new Map<string, readonly Frame[]>();
  readonly #shared = new Map<string, readonly Replayed[]>();
  readonly #events = new Map<string, EventsJson>();

  constructor(reading: Reading, settings: PageSettings) {
    this.reading = reading;
    this.bans = reading.entries.flatMap((entry) => (entry.kind === 'ban' ? (readBan(entry) ?? []) : []));
    this.#settings = settings;
    this.#targets = new Set(reading.entries.flatMap(namedIn));
  }

  /** What a viewer of a class gets of the page; it knows changes of state up to `stateAsOf` already. */
  replayFor(audience: AudienceClass, user: UserId | null, stateAsOf: number): readonly Replayed[] {
    const { spanBytesMax: bytesMax } = this.#settings;
    const newcomer = { user, after: 0, stateAsOf };
    const isPrivate = user !== null && this.#targets.has(user);
    if (isPrivate) return replay(this.#framesFor(audience), newcomer, { bytesMax, isPrivate });
    const known = this.reading.entries.findLast(({ kind, offset }) => kind === 'state' && offset <= stateAsOf);
    const key = `${audience.key} ${known?.offset ?? 0}`;
    const shared = this.#shared.get(key) ?? replay(this.#framesFor(audience), newcomer, { bytesMax, isPrivate });
    this.#shared.set(key, shared);
    return shared;
  }

  /** What a receiver gets of all its entries, to be pulled: made once for all of a class. */
  eventsFor(receiver: Receiver): EventsJson {
    if (receiver.id !== null && this.#targets.has(receiver.id)) return this.eventsOf(this.reading.entries, receiver);
    const { key, receiver: anyOfClass } = classOf(receiver);
    const events = this.#events.get(key) ?? this.eventsOf(this.reading.entries, anyOfClass);
    this.#events.set(key, events);
    return events;
  }

  /** The same of some of its entries, made for one. */
  eventsOf(entries: readonly Entry[], receiver: Receiver): EventsJson {
    return eventsJson(entries, receiver, this.#settings.stateInlineBytes);
  }

  #framesFor(audience: AudienceClass): readonly Frame[] {
    const known = this.#frames.get(audience.key);
    if (known !== undefined) return known;
    const frames = this.reading.entries.flatMap((entry) => {
      const frame = frameOf(entry, entry, this.#settings.stateInlineBytes, targetsOf(entry.audience));
      const [user] = namedIn(entry);
      const own = frame === null || frame.targets !== null || user === undefined ? null : ownFrame(frame, user);
      return frameFor(audience, entry, frame, own) ?? [];
    });
    this.#frames.set(audience.key, frames);
    return frames;
  }
}

export class Pages {
  readonly #load: (after: Position, size: number) => Promise<Page>;
  readonly #cache: SingleFlightCache<Page>;
  #drops = 0;

  constructor(room: RoomId, log: Pick<RoomLog, 'read'>, clock: Clock, settings: PageSettings) {
    this.#load = async (after, size) => new Page(await log.read(room, after, size), settings);
    // An empty page says only that there was nothing yet: it is asked for again, and found when it is there.
    const weigh = ({ reading }: Page): number => Math.min(1, reading.entries.length);
    this.#cache = new SingleFlightCache({ expiry: { clock, keptMs }, weightMax: keptMax, weigh });
  }

  /** The page after a position, of so many entries. Rejects with the log's refusal. */
  read(after: Position, size = pageEntries): Promise<Page> {
    return this.#cache.get(keyOf(after, size), () => this.#load(after, size));
  }

  /**
   * The same, from a reading that is not older than a tail that somebody knows of, nor than the last retraction: what
   * was said before it asked is in it. Those who ask meanwhile share that reading.
   */
  async readUpTo(after: Position, size: number, upTo: Position): Promise<Page> {
    for (let tries = 1; ; tries += 1) {
      const { drops } = this;
      const asked = this.read(after, size);
      const page = await asked;
      const { tail, entries } = page.reading;
      const isNew = tail.epoch === upTo.epoch && (tail.offset >= upTo.offset || entries.length === size);
      if ((isNew && drops === this.#drops) || tries === freshTriesMax) return page;
      this.#cache.drop(keyOf(after, size), asked);
    }
  }

  /** How often pages were dropped: whoever still holds one that was read before is to read it again. */
  get drops(): number {
    return this.#drops;
  }

  /** An entry was retracted, and may be in any page. */
  drop(): void {
    this.#drops += 1;
    this.#cache.clear();
  }

  close(): void {
    this.drop();
  }
}

const keyOf = (after: Position, size: number): string => `${formatPosition(after)} ${size}`;
