/**
 * The state of rooms for clients that request it. A room is read whole once for all clients, and kept. From then on
 * each request costs the log one short query, which returns only what changed since. So an answer is never older than
 * its request, and includes everything acknowledged before it. What is kept is bounded by size; the least recently used
 * room is dropped first.
 */

import type { Position } from '../log/position.ts';
import { noParts, type Reader, type RoomLog, type RoomState } from '../log/room-log.ts';
import type { RoomId, StatePart } from '../model.ts';
import { SingleFlightCache } from '../single-flight-cache.ts';

/** Characters of all kept values. */
export const keptCharsMax = 67_108_864;
/** What a kept room costs beside its values. */
const keptOverheadChars = 1_024;

interface Kept {
  readonly state: RoomState;
  readonly chars: number;
}

export class SharedState {
  readonly #log: Pick<RoomLog, 'readState'>;
  readonly #cache = new SingleFlightCache<Kept>({ expiry: null, weightMax: keptCharsMax, weigh: (kept) => kept.chars });

  constructor(log: Pick<RoomLog, 'readState'>) {
    this.#log = log;
  }

  /** Characters of the kept values. */
  get keptChars(): number {
    return this.#cache.weight;
  }

  /**
   * The state as of now; for a banned reader only the ban counts. While nothing changes, the answers share their
   * `parts`, which callers must not alter. `known`: a version that the reader has; if it is current, the answer may
   * omit the parts. Rejects with the log's refusal.
   */
  async read(room: RoomId, reader: Reader | null, known: Position | null = null): Promise<RoomState> {
    const kept = this.#cache.peek(room)?.state;
    if (kept === undefined && known !== null) {
      const now = await this.#log.readState(room, reader, noParts);
      if (now.banned || (now.tail.epoch === known.epoch && now.total === known.offset)) return now;
    }
    // One read at a time: concurrent requests wait for it, and then query what changed since.
    const { state: base } = await this.#cache.get(room, async () => measure(await this.#log.readState(room)));
    const news = await this.#log.readState(room, reader, { epoch: base.tail.epoch, offset: base.total });
    return news.banned ? news : this.#take(room, base, news);
  }

  /** Of concurrent requests, the first completes the state, and the others find it kept. */
  #take(room: RoomId, base: RoomState, news: RoomState): RoomState {
    const kept = this.#cache.peek(room);
    const latest = kept?.state;
    const isThere = latest?.tail.epoch === news.tail.epoch && latest.total >= news.total;
    const { tail, total, parts } = isThere ? latest : complete(base, news);
    const newest = isThere && tail.offset > news.tail.offset ? tail : news.tail;
    const state: RoomState = { tail: newest, total, parts, banned: false, ended: news.ended };
    this.#cache.put(room, kept?.state.parts === parts ? { state, chars: kept.chars } : measure(state));
    return state;
  }
}

/** The known state with the changes since. A whole answer replaces it. */
function complete(base: RoomState, news: RoomState): RoomState {
  if (news.since === undefined) return news;
  if (news.parts.size === 0) return { ...news, parts: base.parts };
  return { ...news, parts: new Map<string, StatePart>([...base.parts, ...news.parts]) };
}

function measure(state: RoomState): Kept {
  let chars = keptOverheadChars;
  for (const { value } of state.parts.values()) chars += value?.length ?? 0;
  return { state, chars };
}
