/**
 * What operators see and do of this node's viewers: the room list, handing over a room's viewers, and draining the node
 * before shutdown. Counts misrouted requests: those that the proxy meant for another group. They show that nodes and
 * proxy disagree on which node is in which group.
 */

import type { Clock } from '../clock.ts';
import type { RoomId } from '../model.ts';
import type { Viewer } from '../stream/viewer.ts';
import { Handover } from './handover.ts';

/** What a hub exposes for this. */
export interface Watched {
  roomList(): Iterable<{ readonly room: RoomId; readonly viewers: number }>;
  viewersOf(room: RoomId): readonly Viewer[];
  everybody(): readonly Viewer[];
}

/** A proxy's name for the group of a room that several groups share: any node may be meant. */
const hotGroup = 'hot';
/** A node that shuts down hands over at least this many viewers per second, if there is time for it. */
const leavingPerSecond = 500;
/** The share of the shutdown time for handing over; the rest is for viewers that are slow to leave. */
const handingOverShare = 0.8;

export class Drain {
  readonly #watched: Watched;
  readonly #group: string;
  readonly #handover: Handover;
  /** Aborted when the drain is cancelled; null if there is none. */
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

  /** Notes the group that a proxy meant a request for; null if no proxy named one. */
  note(group: string | null): void {
    if (group !== null && group !== this.#group && group !== hotGroup) this.#misrouted += 1;
  }

  roomList(): Iterable<{ readonly room: RoomId; readonly viewers: number }> {
    return this.#watched.roomList();
  }

  /** Hands over a share (0 to 1) of a room's viewers, spread evenly over `overMs`. Returns how many. */
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

  /** Cancels a drain: viewers not yet notified stay, and new ones are admitted. False during shutdown. */
  undrain(): boolean {
    if (this.#isLeaving) return false;
    this.#draining?.abort();
    this.#draining = null;
    return true;
  }

  /** Drains the node within `withinMs`, sooner if few viewers are here. Settles when all are notified. */
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
