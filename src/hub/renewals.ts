/**
 * Decides when a room is renewed in the log. A renewal reports that this node is here and how many viewers it has. All
 * rooms are renewed at the pace of `Rooms`. In between, a room whose viewer count changed is renewed at once, and again
 * `VIEWER_COUNT_MS` later at the earliest, so that changes in between are reported together. A room is also renewed
 * when the log asked for it. A failed renewal is not retried: the next one heals it.
 */

import type { Clock, Timer } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { Room } from '../room/room.ts';

/** The part of a room that its renewal needs. */
export type Renewable = Pick<Room, 'size' | 'renew'>;

export interface RenewalsOptions {
  readonly clock: Clock;
  readonly viewerCountMs: number;
  /** Called with internal errors. */
  readonly report: (error: unknown) => void;
}

/** Last renewals under way at a time when this node shuts down. */
const partingAtOnce = 100;

interface Renewal {
  readonly room: Renewable;
  /** Viewers, as last reported to the log. */
  told: number;
  /** When a different number was last reported. */
  changedAtMs: number;
  /** When the log wants another renewal. */
  againAtMs: number;
  isUnderWay: boolean;
  timer: Timer | null;
}

export class Renewals {
  readonly #options: RenewalsOptions;
  /** Kept as long as the hub keeps the room. */
  readonly #known = new WeakMap<Renewable, Renewal>();
  /** Renewals that wait or are under way: they include every room whose viewer count the log does not know. */
  readonly #open = new Set<Renewal>();
  #isClosed = false;

  constructor(options: RenewalsOptions) {
    this.#options = options;
  }

  /** Rooms that have something to report, or wait for the log. */
  get open(): number {
    return this.#open.size;
  }

  /** A viewer came or left. */
  sizeChanged(room: Renewable): void {
    this.#arrange(this.#of(room));
  }

  /** Does nothing while a renewal of the room is under way. */
  renew(room: Renewable): void {
    const renewal = this.#of(room);
    if (!this.#isClosed && !renewal.isUnderWay) void this.#send(renewal);
  }

  /** Reports that all viewers have left, if the log does not know it yet. Call after the streams have ended. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const open = [...this.#open].filter(({ room, told, isUnderWay }) => isUnderWay || room.size !== told);
    for (const { timer } of this.#open) timer?.cancel();
    this.#open.clear();
    for (let from = 0; from < open.length; from += partingAtOnce) {
      const outcomes = await Promise.allSettled(open.slice(from, from + partingAtOnce).map(({ room }) => room.renew()));
      // Shutdown does not wait for an unavailable log: what was reported expires by itself.
      if (outcomes.every(({ status }) => status === 'rejected')) return;
    }
  }

  #of(room: Renewable): Renewal {
    const known = this.#known.get(room);
    if (known !== undefined) return known;
    const fresh = { room, told: 0, changedAtMs: -Infinity, againAtMs: Infinity, isUnderWay: false, timer: null };
    this.#known.set(room, fresh);
    return fresh;
  }

  /** Schedules the next renewal beside those at the usual pace: at once, later, or none. */
  #arrange(renewal: Renewal): void {
    if (this.#isClosed || renewal.isUnderWay) return;
    const { clock, viewerCountMs } = this.#options;
    const { room, told, changedAtMs, againAtMs } = renewal;
    const changeAtMs = room.size === told ? Infinity : changedAtMs + viewerCountMs;
    // A renewal that the log asked for serves viewers. If this node has none, other nodes do it.
    const dueAtMs = Math.min(changeAtMs, room.size > 0 ? againAtMs : Infinity);
    renewal.timer?.cancel();
    renewal.timer = null;
    this.#open.delete(renewal);
    if (dueAtMs === Infinity) return;
    this.#open.add(renewal);
    const leftMs = dueAtMs - clock.steady();
    if (leftMs <= 0) void this.#send(renewal);
    else renewal.timer = clock.after(leftMs, () => void this.#send(renewal));
  }

  async #send(renewal: Renewal): Promise<void> {
    const { room, told } = renewal;
    const { clock, report } = this.#options;
    this.#open.add(renewal);
    renewal.isUnderWay = true;
    renewal.timer?.cancel();
    renewal.againAtMs = Infinity;
    if (room.size !== told) renewal.changedAtMs = clock.steady();
    renewal.told = room.size;
    try {
      const againMs = await room.renew();
      if (againMs > 0) renewal.againAtMs = clock.steady() + againMs;
    } catch (error) {
      // The outage has its own log line.
      if (!(error instanceof Refusal)) report(error);
    }
    renewal.isUnderWay = false;
    this.#arrange(renewal);
  }
}
