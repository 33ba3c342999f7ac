/**
 * What operators see and do of this node's viewers: who watches what, handing a room's viewers over, and draining the
 * node before it goes. Counts misrouted requests: those that the proxy had meant for another group, which says that
 * nodes and proxy do not agree on who is in which group.
 */

import type { Clock } from '../clock.ts';
import type { RoomId } from '../model.ts';
import type { Viewer } from '../stream/viewer.ts';
import { Handover } from './handover.ts';

/** What a hub shows of itself here. */
export interface Watched {
  roomList(): Iterable<{ readonly room: RoomId; readonly viewers: number }>;
  viewersOf(room: RoomId): readonly Viewer[];
  everybody(): readonly Viewer[];
}

/** What a proxy calls the group of a room that several groups share: any node may be meant. */
const hotGroup = 'hot';
/** A node that leaves by itself hands so many viewers over per second at least, if there is time for it. */
const leavingPerSecond = 500;
/** How much of the time that a node has for leaving goes into handing over; the rest is for those who are slow to go. */
const handingOverShare = 0.8;

export class Drain {
  readonly #watched: Watched;
  readonly #group: string;
  readonly #handover: Handover;
  /** Aborted when the drain is taken back; null where there is none. */
  #draining: AbortController | null = null;
  #isLeaving = false;
  #misrouted = 0;
  #moved = 0;

  constructor(watched: Watched, clock: Clock, group: string) {
    this.#watched = watched;
    this.#group = group;
    this.#handover = new Handover(clock);
  }

  get isDraining(): boolean {
    return this.#isLeaving || this.#draining !== null;
  }

  /** Requests since the start that were meant for another group. */
  get misrouted(): number {
    return this.#misrouted;
  }

  /** Viewers since the start that were to be handed over. */
  get moved(): number {
    return this.#moved;
  }

  /** Takes note of the group that a proxy meant a request for; null where no proxy said anything. */
  note(group: string | null): void {
    if (group !== null && group !== this.#group && group !== hotGroup) this.#misrouted += 1;
  }

  roomList(): Iterable<{ readonly room: RoomId; readonly viewers: number }> {
    return this.#watched.roomList();
  }

  /** Hands over a share (0 to 1) of a room's viewers, spread evenly over the time. Returns how many. */
  move(room: RoomId, share: number, overMs: number): number {
    const all = this.#watched.viewersOf(room).filter(({ isGone }) => !isGone);
    const some = all.slice(0, Math.round(all.length * share));
    void this.#handOver(some, overMs);
    return some.length;
  }

  /** Hands over all viewers, and admits no new ones. Returns how many. */
  drain(overMs: number): number {
    this.#draining ??= new AbortController();
    const all = this.#watched.everybody();
    void this.#handOver(all, overMs, this.#draining.signal);
    return all.length;
  }

  /** Takes a drain back: viewers not yet notified stay, and new ones are admitted. False on the way out of the process. */
  undrain(): boolean {
    if (this.#isLeaving) return false;
    this.#draining?.abort();
    this.#draining = null;
    return true;
  }

  /** Drains the node within `withinMs`, in less where few are here; settled when all are notified. */
  async leave(withinMs: number): Promise<void> {
    this.#isLeaving = true;
    const all = this.#watched.everybody();
    await this.#handOver(all, Math.min(withinMs * handingOverShare, (all.length * 1_000) / leavingPerSecond));
  }

  close(): void {
    this.#handover.close();
  }

  #handOver(viewers: readonly Viewer[], overMs: number, signal?: AbortSignal): Promise<void> {
    this.#moved += viewers.length;
    return this.#handover.begin(viewers, overMs, signal);
  }
}
