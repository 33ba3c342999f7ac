/**
 * The rooms that this node follows: each from its first use until a while after its last. They are renewed at one pace.
 * Of viewers only the number is known.
 */

import type { Clock, Timer } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { HubCounters } from '../fanout/hub-counters.ts';
import type { Backend } from '../log/backend.ts';
import type { RoomId } from '../model.ts';
import { Room, type RoomSettings } from '../room/room.ts';
import type { Settings } from '../settings.ts';
import type { Asker } from './asker.ts';
import { Renewals } from './renewals.ts';
import { Shares } from './shares.ts';

export type RoomsSettings = RoomSettings & Pick<Settings, 'roomsMax' | 'unclaimedRoomsMax' | 'lingerMs' | 'renewMs'>;

export interface RoomsOptions {
  readonly backend: Backend;
  readonly settings: RoomsSettings;
  readonly clock: Clock;
  readonly hubCounters: HubCounters;
  /** Called with internal errors. */
  readonly report: (error: unknown) => void;
}

/** The share of `ROOMS_MAX` that unclaimed rooms may take. */
const unclaimedShare = 0.5;

interface Followed {
  readonly room: Room;
  readonly opened: Promise<void>;
  /**
   * The asker that an unclaimed room counts for; null if it is claimed: a token names it, or something was written
   * there. Any client can make up a room id, so unclaimed rooms have lower limits.
   */
  unclaimedBy: string | null;
}

export class Rooms {
  readonly #options: RoomsOptions;
  readonly #rooms = new Map<RoomId, Followed>();
  readonly #renewals: Renewals;
  readonly #unclaimed = new Shares();
  #unclaimedCount = 0;
  #timer: Timer | null = null;
  #isClosed = false;

  constructor(options: RoomsOptions) {
    this.#options = options;
    const { clock, settings, report } = options;
    this.#renewals = new Renewals({ clock, viewerCountMs: settings.viewerCountMs, report });
    this.#schedule();
  }

  get size(): number {
    return this.#rooms.size;
  }

  get(id: RoomId): Room | undefined {
    return this.#rooms.get(id)?.room;
  }

  *all(): Generator<Room> {
    for (const { room } of this.#rooms.values()) yield room;
  }

  /** The room, followed and in use until `done`; null if this node or the asker follows as many rooms as allowed. */
  async use(id: RoomId, asker: Asker): Promise<{ room: Room; done: () => void } | null> {
    const isClaim = asker.namesRoom || asker.isPlatform;
    const known = this.#rooms.get(id) ?? this.#open(id, isClaim ? null : asker.key);
    if (known === null) return null;
    if (isClaim) this.#claim(known);
    const { room, opened } = known;
    // In use while it is being opened, or it could be dropped as idle before its first viewer.
    const done = room.use();
    try {
      await opened;
      if (isWritten(room)) this.#claim(known);
      return { room, done };
    } catch (error) {
      done();
      throw error;
    }
  }

  /** A viewer came or left. */
  sizeChanged(room: Room): void {
    this.#renewals.sizeChanged(room);
  }

  /** Stops renewing leases. */
  rest(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async close(): Promise<void> {
    this.rest();
    await Promise.allSettled([...this.all()].map((room) => room.close()));
    await this.#renewals.close();
    this.#rooms.clear();
  }

  #open(id: RoomId, unclaimedBy: string | null): Followed | null {
    const { backend, settings, clock, hubCounters } = this.#options;
    const isFull = this.#unclaimedCount >= Math.ceil(settings.roomsMax * unclaimedShare);
    if (unclaimedBy !== null && isFull && !this.#dropIdle(({ unclaimedBy: by }) => by !== null)) return null;
    if (this.#rooms.size >= settings.roomsMax && !this.#dropIdle()) return null;
    if (unclaimedBy !== null) {
      if (!this.#unclaimed.take(unclaimedBy, settings.unclaimedRoomsMax)) return null;
      this.#unclaimedCount += 1;
    }
    const room = new Room(id, backend, settings, clock, hubCounters);
    const opened = room.open().catch((error: unknown) => {
      this.#drop(id, room);
      throw error;
    });
    const followed: Followed = { room, opened, unclaimedBy };
    this.#rooms.set(id, followed);
    return followed;
  }

  #claim(followed: Followed): void {
    if (followed.unclaimedBy === null) return;
    this.#unclaimed.give(followed.unclaimedBy);
    this.#unclaimedCount -= 1;
    followed.unclaimedBy = null;
  }

  #schedule(): void {
    const { clock, settings } = this.#options;
    this.#timer = clock.after(settings.renewMs, () => {
      this.#tend();
      if (!this.#isClosed) this.#schedule();
    });
  }

  /** Renews every room, and drops idle ones. */
  #tend(): void {
    const { clock, settings } = this.#options;
    const now = clock.now();
    for (const [id, followed] of this.#rooms) {
      const { room } = followed;
      if (followed.unclaimedBy !== null && isWritten(room)) this.#claim(followed);
      if (room.idleSinceMs !== null && now - room.idleSinceMs >= settings.lingerMs) this.#drop(id, room);
      else this.#renewals.renew(room);
    }
  }

  /** Drops the first room that is not in use and may go; false if there is none. */
  #dropIdle(mayGo: (followed: Followed) => boolean = () => true): boolean {
    for (const followed of this.#rooms.values()) {
      const { room } = followed;
      if (room.idleSinceMs === null || !mayGo(followed)) continue;
      this.#drop(room.id, room);
      return true;
    }
    return false;
  }

  #drop(id: RoomId, room: Room): void {
    const followed = this.#rooms.get(id);
    if (followed?.room === room) {
      this.#rooms.delete(id);
      this.#claim(followed);
    }
    room.close().catch((error: unknown) => {
      if (!(error instanceof Refusal)) this.#options.report(error);
    });
  }
}

/** Whether anything was ever written there, which takes a token. A room that is being opened has no position yet. */
const isWritten = ({ intake }: Room): boolean => intake.isOpen && intake.position.offset > 0;
