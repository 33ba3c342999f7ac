/**
 * Says to the log how many viewers each room has on this node, and takes back how many watch it over all nodes. What the
 * log makes of the reports stands in `room-log`; what viewers are shown is the hub's.
 *
 * A room whose number moved is reported at once, and again `VIEWER_COUNT_MS` later at the earliest, so what moves
 * meanwhile is one report. Where something is pending in the log, it says when to come again. The hub's renewals carry
 * the number too; they put right whatever was lost, so a report that fails is not tried again.
 */

import type { Clock, Timer } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { RoomLog } from '../log/room-log.ts';
import type { Crowd, CrowdListener } from './rooms.ts';

export interface AnnouncerOptions {
  readonly log: Pick<RoomLog, 'report'>;
  readonly clock: Clock;
  readonly viewerCountMs: number;
  /** Is told of mistakes of our own. */
  readonly report: (error: unknown) => void;
}

/** Last reports that are under way at a time when this node leaves. */
const partingAtOnce = 100;

interface Announcement {
  readonly crowd: Crowd;
  /** What the log was told last. */
  said: number;
  saidAtMs: number;
  /** When the log asked for another report; null where nothing is pending. */
  againAtMs: number | null;
  isUnderWay: boolean;
  timer: Timer | null;
}

export class Announcer implements CrowdListener {
  readonly #options: AnnouncerOptions;
  /** Kept as long as the hub keeps the room. */
  readonly #known = new WeakMap<Crowd, Announcement>();
  /** Those that wait or are under way, and so all whose number the log does not know. */
  readonly #open = new Set<Announcement>();
  #isClosed = false;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
  }

  /** Rooms that have something to say, or wait for the log. */
  get open(): number {
    return this.#open.size;
  }

  changed(crowd: Crowd): void {
    this.#arrange(this.#of(crowd));
  }

  renewed(crowd: Crowd, size: number, againMs: number): void {
    const announcement = this.#of(crowd);
    announcement.said = size;
    announcement.againAtMs = againMs > 0 ? this.#options.clock.now() + againMs : null;
    this.#arrange(announcement);
  }

  /** Says that everybody has left, where that is not known yet. Call after the hub has ended its streams. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const open = [...this.#open].filter(({ crowd, said, isUnderWay }) => isUnderWay || crowd.size !== said);
    for (const { timer } of this.#open) timer?.cancel();
    this.#open.clear();
    for (let from = 0; from < open.length; from += partingAtOnce) {
      const some = open.slice(from, from + partingAtOnce);
      const reports = some.map(({ crowd }) => this.#options.log.report(crowd.id, crowd.size));
      const outcomes = await Promise.allSettled(reports);
      // While the log is unavailable, nobody is to wait for it: the reports of before cease to be valid by themselves.
      if (outcomes.every(({ status }) => status === 'rejected')) return;
    }
  }

  #of(crowd: Crowd): Announcement {
    const known = this.#known.get(crowd);
    if (known !== undefined) return known;
    const fresh = { crowd, said: 0, saidAtMs: -Infinity, againAtMs: null, isUnderWay: false, timer: null };
    this.#known.set(crowd, fresh);
    return fresh;
  }

  /** Sees to the next report: at once, later, or not at all. */
  #arrange(announcement: Announcement): void {
    if (this.#isClosed || announcement.isUnderWay) return;
    const { clock, viewerCountMs } = this.#options;
    const { crowd, said, saidAtMs, againAtMs } = announcement;
    const changeAtMs = crowd.size === said ? Infinity : saidAtMs + viewerCountMs;
    // What is pending matters to who watches; where nobody does here, others see to it.
    const dueAtMs = Math.min(changeAtMs, (crowd.size > 0 ? againAtMs : null) ?? Infinity);
    announcement.timer?.cancel();
    announcement.timer = null;
    if (dueAtMs === Infinity) {
      this.#open.delete(announcement);
      return;
    }
    this.#open.add(announcement);
    const leftMs = dueAtMs - clock.now();
    if (leftMs <= 0) void this.#say(announcement);
    else announcement.timer = clock.after(leftMs, () => void this.#say(announcement));
  }

  async #say(announcement: Announcement): Promise<void> {
    const { crowd } = announcement;
    const { clock, log, report } = this.#options;
    announcement.isUnderWay = true;
    announcement.said = crowd.size;
    announcement.saidAtMs = clock.now();
    announcement.againAtMs = null;
    try {
      const { told, againMs } = await log.report(crowd.id, announcement.said);
      if (told !== null) crowd.watched(told);
      if (againMs > 0) announcement.againAtMs = clock.now() + againMs;
    } catch (error) {
      // The log is unavailable; the next renewal says it.
      if (!(error instanceof Refusal)) report(error);
    }
    announcement.isUnderWay = false;
    this.#arrange(announcement);
  }
}
