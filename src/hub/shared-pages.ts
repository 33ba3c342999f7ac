/**
 * Pages of a room's log for shared caches: page n holds what anybody may see of the offsets n×100 to n×100+99. They
 * carry the same entries through the same gate as every other path, for a receiver without a name.
 *
 * A page belongs to a **version**: the present epoch, and the offset of the newest `retract` for all. A page that has
 * all its offsets never changes under its version, so a cache may keep it under an address that names the version.
 * After a retraction, or if the log lost entries, the address changes.
 *
 * However many clients ask, a page is read from the log once at a time and kept for `keptMs`. `keptCharsMax` bounds
 * what is kept.
 */

import type { Clock } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { Receiver } from '../fanout/audience.ts';
import { parsePosition } from '../log/position.ts';
import type { Reading, RoomLog } from '../log/room-log.ts';
import type { Epoch, RoomId } from '../model.ts';
import { eventsJson } from '../room/entry-frame.ts';
import { SingleFlightCache } from '../single-flight-cache.ts';

/** Offsets per page. */
const pageOffsets = 100;
/** How long a page is kept after it was read. */
export const keptMs = 500;
/** Characters of all kept pages; the oldest are dropped first. */
export const keptCharsMax = 16_777_216;
/** Rooms whose epoch is remembered, so that a page takes one read; the oldest are dropped first. */
export const epochsMax = 10_000;
/** Reads for one page: one that finds another epoch, one in that epoch, and one more if it changed again. */
const readsMax = 3;

/** The receiver of a shared page: anybody. */
const anybody: Receiver = { id: null, role: 'viewer', tags: [] };

export interface SharedPage {
  /** In the form of an id: the present epoch, and the offset of the newest retraction for all. */
  readonly version: string;
  readonly page: number;
  /** The offsets that it covers; `to` is `from - 1` if there are none yet. */
  readonly from: number;
  readonly to: number;
  /** Whether every offset of the page is there: then it is constant under its version. */
  readonly isFull: boolean;
  /** JSON text. */
  readonly body: string;
}

/** `missing`: trimmed, or not written yet. */
export type FoundPage = SharedPage | 'missing';

export class SharedPages {
  readonly #log: Pick<RoomLog, 'read'>;
  readonly #stateInlineBytes: number;
  readonly #cache: SingleFlightCache<FoundPage>;
  readonly #epochs = new Map<RoomId, Epoch>();

  constructor(log: Pick<RoomLog, 'read'>, clock: Clock, { stateInlineBytes }: { readonly stateInlineBytes: number }) {
    this.#log = log;
    this.#stateInlineBytes = stateInlineBytes;
    this.#cache = new SingleFlightCache({ expiry: { clock, keptMs }, weightMax: keptCharsMax, weigh: charsOf });
  }

  /** Characters of the kept pages. */
  get keptChars(): number {
    return this.#cache.weight;
  }

  /**
   * A page by its number, or the newest one. A client that names a version knows that the page had it: a page kept
   * under an older version is read again. Rejects with the log's refusal.
   */
  async find(room: RoomId, page: number | 'latest', version: string | null): Promise<FoundPage> {
    // No room id holds a space.
    const key = `${room} ${page}`;
    const load = () => this.#read(room, page);
    const isKept = this.#cache.has(key);
    const asked = this.#cache.get(key, load);
    const found = await asked;
    if (version === null || !isKept || found === 'missing' || !isOlder(found.version, version)) return found;
    this.#cache.drop(key, asked);
    return this.#cache.get(key, load);
  }

  close(): void {
    this.#cache.clear();
  }

  async #read(room: RoomId, asked: number | 'latest'): Promise<FoundPage> {
    let epoch = this.#epochs.get(room);
    let page = asked === 'latest' ? null : asked;
    for (let reads = 0; reads < readsMax; reads += 1) {
      const offset = Math.max(0, (page ?? 0) * pageOffsets - 1);
      const after = epoch === undefined || page === null ? null : { epoch, offset };
      const reading = await this.#log.read(room, after, after === null ? 0 : pageOffsets);
      this.#noteEpoch(room, reading.tail.epoch);
      if (page !== null && reading.tail.epoch === after?.epoch) return this.#write(page, reading);
      epoch = reading.tail.epoch;
      page ??= Math.floor(reading.tail.offset / pageOffsets);
    }
    throw new Refusal('log-unavailable', 'The room log changed during the read.');
  }

  #noteEpoch(room: RoomId, epoch: Epoch): void {
    this.#epochs.delete(room);
    this.#epochs.set(room, epoch);
    const [oldest] = this.#epochs.keys();
    if (this.#epochs.size > epochsMax && oldest !== undefined) this.#epochs.delete(oldest);
  }

  /** `reading` begins at the page's first offset, or after it if that was trimmed. */
  #write(page: number, { tail, entries, retracted }: Reading): FoundPage {
    const begin = Math.max(1, page * pageOffsets);
    const end = (page + 1) * pageOffsets - 1;
    const from = Math.max(begin, tail.first);
    // The page to be written next exists, so that caches also answer clients that wait for it.
    if (from > end || begin > tail.offset + 1) return 'missing';
    const its = entries.filter(({ offset }) => offset >= from && offset <= end);
    const to = its.at(-1)?.offset ?? from - 1;
    const isFull = from === begin && to === end;
    const version = `${tail.epoch}.${retracted}`;
    const { json } = eventsJson(its, anybody, this.#stateInlineBytes);
    const head = JSON.stringify({ epoch: tail.epoch, version, page, from, to, full: isFull });
    return { version, page, from, to, isFull, body: `${head.slice(0, -1)},"events":${json}}` };
  }
}

/** Whether a version is neither the client's nor a newer one. */
function isOlder(version: string, heard: string): boolean {
  const ours = parsePosition(version);
  const theirs = parsePosition(heard);
  if (ours === null || theirs === null) return false;
  return ours.epoch !== theirs.epoch || ours.offset < theirs.offset;
}

/** What a kept page costs beside its text. */
const keptOverheadChars = 256;

const charsOf = (found: FoundPage): number => keptOverheadChars + (found === 'missing' ? 0 : found.body.length);
