/**
 * The rooms that this node follows: each from the first who needs it to a while after the last one. Their leases are
 * renewed here, all at one pace, and what that tells is passed on. Of viewers only the number is known.
 */

import type { Clock, Timer } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { HubCounters } from '../fanout/hub-counters.ts';
import type { RoomLog, ViewerCount } from '../log/room-log.ts';
import type { RoomId } from '../model.ts';
import { Room, type RoomSettings } from '../room/room.ts';
import type { Settings } from '../settings.ts';
import type { Asker } from './asker.ts';
import { Shares } from './shares.ts';

export type RoomsSettings = RoomSettings & Pick<Settings, 'roomsMax' | 'unclaimedRoomsMax' | 'lingerMs' | 'renewMs'>;

/** A room, as far as its size matters. */
export interface Crowd {
  readonly id: RoomId;
  /** Viewers on this node. */
  readonly size: number;
  /** How many watch over all nodes, as the log says. */
  watched(viewerCount: ViewerCount): void;
}

export interface CrowdListener {
  /** A viewer came or left. */
  changed(crowd: Crowd): void;
  /** The log was told the size by the way; it may have more to say after so long, or not (0). */
  renewed(crowd: Crowd, size: number, againMs: number): void;
}

export interface RoomsOptions {
  readonly log: RoomLog;
  readonly settings: RoomsSettings;
  readonly clock: Clock;
  readonly hubCounters: HubCounters;
  /** Is told of mistakes of our own. */
  readonly report: (error: unknown) => void;
}

/** How much of `ROOMS_MAX` unclaimed rooms may take. */
const unclaimedShare = 0.5;

interface Followed {
  readonly room: Room;
  readonly opened: Promise<void>;
  /**
   * The asker that an unclaimed room counts for; null where it is claimed: a token names it, or something was written
   * there. Anybody can make up the name of a room, so those are bounded more closely.
   */
  unclaimedBy: string | null;
}

export class Rooms {
  /** Who is told how many are where. */
  listener: CrowdListener | null = null;
  readonly #options: RoomsOptions;
  readonly #rooms = new Map<RoomId, Followed>();
  /** Rooms whose renewal is under way: each waits for its answer before the next. */
  readonly #renewing = new Set<Room>();
  readonly #unclaimed = new Shares();
  #unclaimedCount = 0;
  #timer: Timer | null = null;
  #isClosed = false;

  constructor(options: RoomsOptions) {
    this.#options = options;
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

  /** The room, followed and needed from now on; null where this node, or the asker, follows as many as it may. */
  async use(id: RoomId, asker: Asker): Promise<{ room: Room; done: () => void } | null> {
    const isClaim = asker.namesRoom || asker.isPlatform;
    const known = this.#rooms.get(id) ?? this.#open(id, isClaim ? null : asker.key);
    if (known === null) return null;
    if (isClaim) this.#claim(known);
    const { room, opened } = known;
    // Needed while it is being opened, or it could be let go as idle before anybody is in.
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

  /** No lease is renewed any more. */
  rest(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  async close(): Promise<void> {
    this.rest();
    await Promise.allSettled([...this.all()].map((room) => room.close()));
    this.#rooms.clear();
  }

  #open(id: RoomId, unclaimedBy: string | null): Followed | null {
    const { log, settings, clock, hubCounters } = this.#options;
    const isFull = this.#unclaimedCount >= Math.ceil(settings.roomsMax * unclaimedShare);
    if (unclaimedBy !== null && isFull && !this.#dropIdle(({ unclaimedBy: by }) => by !== null)) return null;
    if (this.#rooms.size >= settings.roomsMax && !this.#dropIdle()) return null;
    if (unclaimedBy !== null) {
      if (!this.#unclaimed.take(unclaimedBy, settings.unclaimedRoomsMax)) return null;
      this.#unclaimedCount += 1;
    }
    const room = new Room(id, log, settings, clock, hubCounters);
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

  /** Renews the lease of every room, looks whether something passed us by, and lets idle rooms go. */
  #tend(): void {
    const { clock, settings } = this.#options;
    const now = clock.now();
    for (const [id, followed] of this.#rooms) {
      const { room } = followed;
      if (followed.unclaimedBy !== null && isWritten(room)) this.#claim(followed);
      if (room.idleSinceMs !== null && now - room.idleSinceMs >= settings.lingerMs) this.#drop(id, room);
      else void this.#renew(room);
    }
  }

  async #renew(room: Room): Promise<void> {
    const { size, intake } = room;
    // Until the room has been read, nobody is in it.
    if (!intake.isOpen || this.#renewing.has(room)) return;
    this.#renewing.add(room);
    const call = intake.leaseCall();
    try {
      const { tail, told, againMs, ...lapse } = await this.#options.log.renew(room.id, size, call.position);
      if (told !== null) room.watched(told);
      this.listener?.renewed(room, size, againMs);
      intake.leased(call, { ...lapse, lapsed: lapse.lapsed && room.hasUsers() });
      intake.compare(tail);
    } catch (error) {
      // The log is unavailable and says so by its own line; the next turn tries again.
      if (!(error instanceof Refusal)) this.#options.report(error);
    } finally {
      this.#renewing.delete(room);
    }
  }

  /** Lets the first room go that nobody needs now; false where there is none. */
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

/** Whether somebody ever wrote there, which takes a token. A room that is being opened has no place yet. */
const isWritten = ({ intake }: Room): boolean => intake.isOpen && intake.position.offset > 0;
