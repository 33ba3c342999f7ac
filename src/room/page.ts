/**
 * Pages of a room's log for replay. A crowd that reconnects comes from the same few positions. A page is read once for
 * all viewers that continue from one position, framed once, and compressed once for each class of them. It is kept for
 * `keptMs`, and may then be behind the log; a viewer that continues from its end finds the later entries.
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
/** Pages of a room that are kept at a time; the oldest are dropped first. */
const keptMax = 16;
/** Reads for a caller that must see everything logged before its request: one already under way, and one since. */
const freshTriesMax = 3;

export interface PageSettings {
  readonly stateInlineBytes: number;
  /** Bytes delivered to a viewer at a time. */
  readonly spanBytesMax: number;
}

/** An entry as bytes, for all classes: each carries one of the two frames, or neither. */
interface Framed {
  readonly entry: Entry;
  readonly frame: Frame | null;
  readonly own: Frame | null;
}

export class Page {
  readonly reading: Reading;
  /** The bans among its entries: one of them may bind a joining viewer. */
  readonly bans: readonly Ban[];
  readonly #settings: PageSettings;
  readonly #targets: ReadonlySet<UserId>;
  /** Framed when the first viewer needs it: pulls do not. */
  #framed: readonly Framed[] | null = null;
  readonly #frames = new Map<string, readonly Frame[]>();
  readonly #shared = new Map<string, readonly Replayed[]>();
  readonly #events = new Map<string, EventsJson>();

  constructor(reading: Reading, settings: PageSettings) {
    this.reading = reading;
    this.bans = reading.entries.flatMap((entry) => (entry.kind === 'ban' ? (readBan(entry) ?? []) : []));
    this.#settings = settings;
    this.#targets = new Set(reading.entries.flatMap(namedIn));
  }

  /** What a viewer of a class gets of the page. The viewer already has changes of state up to `stateAsOf`. */
  replayFor(audience: AudienceClass, user: UserId | null, stateAsOf: number): readonly Replayed[] {
    const isPrivate = user !== null && this.#targets.has(user);
    const make = (): readonly Replayed[] =>
      replay(
        this.#framesFor(audience),
        { user, after: 0, stateAsOf },
        { bytesMax: this.#settings.spanBytesMax, isPrivate },
      );
    if (isPrivate) return make();
    const known = this.reading.entries.findLast(({ kind, offset }) => kind === 'state' && offset <= stateAsOf);
    const key = `${audience.key} ${known?.offset ?? 0}`;
    const shared = this.#shared.get(key) ?? make();
    this.#shared.set(key, shared);
    return shared;
  }

  /** What a receiver gets of all its entries in a pull. Made once per class. */
  eventsFor(receiver: Receiver): EventsJson {
    if (receiver.id !== null && this.#targets.has(receiver.id)) return this.eventsOf(this.reading.entries, receiver);
    const { key, receiver: anyOfClass } = classOf(receiver);
    const events = this.#events.get(key) ?? this.eventsOf(this.reading.entries, anyOfClass);
    this.#events.set(key, events);
    return events;
  }

  /** The same of some of its entries, made for one receiver. */
  eventsOf(entries: readonly Entry[], receiver: Receiver): EventsJson {
    return eventsJson(entries, receiver, this.#settings.stateInlineBytes);
  }

  #framesFor(audience: AudienceClass): readonly Frame[] {
    const known = this.#frames.get(audience.key);
    if (known !== undefined) return known;
    this.#framed ??= this.reading.entries.map((entry) => this.#frame(entry));
    const frames = this.#framed.flatMap(({ entry, frame, own }) => frameFor(audience, entry, frame, own) ?? []);
    this.#frames.set(audience.key, frames);
    return frames;
  }

  #frame(entry: Entry): Framed {
    const frame = frameOf(entry, entry, this.#settings.stateInlineBytes, targetsOf(entry.audience));
    const [user] = namedIn(entry);
    const own = frame === null || frame.targets !== null || user === undefined ? null : ownFrame(frame, user);
    return { entry, frame, own };
  }
}

export class Pages {
  readonly #load: (after: Position, size: number) => Promise<Page>;
  readonly #cache: SingleFlightCache<Page>;
  #drops = 0;

  constructor(room: RoomId, log: Pick<RoomLog, 'read'>, clock: Clock, settings: PageSettings) {
    this.#load = async (after, size) => new Page(await log.read(room, after, size), settings);
    // An empty page says only that nothing was there yet. It is not kept, so the next call reads again.
    const weigh = ({ reading }: Page): number => Math.min(1, reading.entries.length);
    this.#cache = new SingleFlightCache({ expiry: { clock, keptMs }, weightMax: keptMax, weigh });
  }

  /** The page after a position, of so many entries. Rejects with the log's refusal. */
  read(after: Position, size = pageEntries): Promise<Page> {
    return this.#cache.get(keyOf(after, size), () => this.#load(after, size));
  }

  /**
   * The same, from a read that is older neither than a known tail nor than the last retraction: it includes everything
   * logged before the request. Callers that ask meanwhile share that read.
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

  /** How often pages were dropped. A caller that holds a page from before a drop must read it again. */
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
