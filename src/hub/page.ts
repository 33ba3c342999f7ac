/**
 * Pages of a room's log as they are replayed. When a crowd comes back, it comes from the same few places: a page is
 * read once for all who read on from one place, and framed and compressed once for each class of them. It is kept for a
 * moment, and may then be behind the log; whoever reads on from its end finds what came since.
 */

import type { Clock, Timer } from '../clock.ts';
import { formatPosition, type Position } from '../log/position.ts';
import type { Reading, RoomLog } from '../log/room-log.ts';
import type { Entry, RoomId, UserId } from '../signal.ts';
import { eventFrame } from '../stream/frame.ts';
import { Piece } from '../stream/piece.ts';
import { type AudienceClass, isFor, namedIn, type Receiver } from './audience.ts';
import { type Ban, readBan } from './bans.ts';
import { streamEventOf } from './entry-frame.ts';

/** Entries per page. */
export const pageEntries = 500;
/** How long a page is kept after it was read. */
export const keptMs = 500;
/** Pages of a room that are kept at a time; more are read again for each. */
export const keptMax = 16;

export interface PageSettings {
  readonly stateInlineBytes: number;
  /** Bytes that are handed to a viewer at a time. */
  readonly spanBytesMax: number;
}

/** A part of a page, and the offset that a viewer has reached with it. `piece` null: nothing of it is for the viewer. */
export interface PagePart {
  readonly piece: Piece | null;
  readonly upTo: number;
}

export class Page {
  readonly reading: Reading;
  /** The bans among its entries: who is on the way in may be one of those whom they mean. */
  readonly bans: readonly Ban[];
  readonly #settings: PageSettings;
  readonly #targets: ReadonlySet<UserId>;
  readonly #shared = new Map<string, readonly PagePart[]>();

  constructor(reading: Reading, settings: PageSettings) {
    this.reading = reading;
    this.bans = reading.entries.flatMap((entry) => (entry.kind === 'ban' ? (readBan(entry) ?? []) : []));
    this.#settings = settings;
    this.#targets = new Set(reading.entries.flatMap(namedIn));
  }

  /** What a viewer of a class gets of the page; changes of state up to `stateAsOf` it knows already. */
  partsFor({ key, receiver }: AudienceClass, user: UserId | null, stateAsOf: number): readonly PagePart[] {
    if (user !== null && this.#targets.has(user)) {
      return this.#compose({ ...receiver, id: user }, stateAsOf, Piece.private);
    }
    const known = this.reading.entries.findLast(({ kind, offset }) => kind === 'state' && offset <= stateAsOf);
    const shared = `${key} ${known?.offset ?? 0}`;
    const parts = this.#shared.get(shared) ?? this.#compose(receiver, stateAsOf, Piece.shared);
    this.#shared.set(shared, parts);
    return parts;
  }

  #compose(receiver: Receiver, stateAsOf: number, pack: (text: string, entries: number) => Piece): readonly PagePart[] {
    const parts: PagePart[] = [];
    const last = this.reading.entries.at(-1);
    let text = '';
    let entries = 0;
    for (const entry of this.reading.entries) {
      const isKnown = entry.kind === 'state' && entry.offset <= stateAsOf;
      const frame = !isKnown && isFor(entry, receiver) ? this.#frame(entry) : '';
      if (frame !== '') entries += 1;
      text += frame;
      if (text.length < this.#settings.spanBytesMax && entry !== last) continue;
      parts.push({ piece: text === '' ? null : pack(text, entries), upTo: entry.offset });
      text = '';
      entries = 0;
    }
    return parts;
  }

  #frame(entry: Entry): string {
    const event = streamEventOf(entry, this.#settings.stateInlineBytes);
    return event === null ? '' : eventFrame(event);
  }
}

export class Pages {
  readonly #room: RoomId;
  readonly #log: Pick<RoomLog, 'read'>;
  readonly #clock: Clock;
  readonly #settings: PageSettings;
  readonly #pages = new Map<string, Promise<Page>>();
  readonly #timers = new Set<Timer>();
  #drops = 0;

  constructor(room: RoomId, log: Pick<RoomLog, 'read'>, clock: Clock, settings: PageSettings) {
    this.#room = room;
    this.#log = log;
    this.#clock = clock;
    this.#settings = settings;
  }

  /** The page after a position. Rejects with the log's refusal. */
  read(after: Position): Promise<Page> {
    const key = formatPosition(after);
    const known = this.#pages.get(key);
    if (known !== undefined) return known;
    const page = this.#load(after, key);
    this.#pages.set(key, page);
    return page;
  }

  /** How often pages were dropped: whoever still holds one that was read before is to read it again. */
  get drops(): number {
    return this.#drops;
  }

  /** An entry was retracted, and may be in any page. */
  drop(): void {
    this.#drops += 1;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#pages.clear();
  }

  close(): void {
    this.drop();
  }

  async #load(after: Position, key: string): Promise<Page> {
    try {
      const { drops } = this;
      const reading = await this.#log.read(this.#room, after, pageEntries);
      if (drops !== this.#drops) return new Page(reading, this.#settings);
      // An empty page says only that there was nothing yet: it is asked for again, and found when it is there.
      if (reading.entries.length > 0 && this.#timers.size < keptMax) this.#keep(key);
      else this.#pages.delete(key);
      return new Page(reading, this.#settings);
    } catch (error) {
      this.#pages.delete(key);
      throw error;
    }
  }

  #keep(key: string): void {
    const timer = this.#clock.after(keptMs, () => {
      this.#timers.delete(timer);
      this.#pages.delete(key);
    });
    this.#timers.add(timer);
  }
}
