/**
 * The hub: which rooms this node listens to, and for whom. A room is followed from the first viewer to a while after
 * the last one. Knows no HTTP: it is asked whether somebody may come in, and is handed a socket to seat.
 */

import type { Socket } from 'node:net';
import type { Clock, Timer } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { Tail } from '../log/position.ts';
import type { RoomLog } from '../log/room-log.ts';
import type { Settings } from '../settings.ts';
import type { Identity, RoomId } from '../signal.ts';
import { eventFrame, retryFrame } from '../stream/frame.ts';
import type { Encoding } from '../stream/piece.ts';
import { Sounding } from '../stream/sounding.ts';
import { type Surroundings, Viewer, type ViewerKeeper } from '../stream/viewer.ts';
import { CatchUp, type From } from './catch-up.ts';
import { Room, type RoomSettings } from './room.ts';
import { inSlices } from './slices.ts';
import type { Stand } from './stand.ts';
import { Turnstile, type TurnstileSettings } from './turnstile.ts';
import { Wheel, type WheelSettings } from './wheel.ts';

export type HubSettings = RoomSettings &
  WheelSettings &
  TurnstileSettings &
  Pick<Settings, 'roomsMax' | 'viewersMax' | 'lingerMs' | 'renewMs' | 'retryMs' | 'replayEntriesMax'>;

export interface StreamRequest {
  readonly room: RoomId;
  readonly identity: Identity;
  readonly from: From;
  readonly history: number;
}

/** Somebody who may come in. One of the two must be called. */
export interface Admitted {
  readonly outcome: 'admitted';
  /** Takes the socket for good. `head` goes out before the stream's first bytes. */
  seat(socket: Socket, encoding: Encoding, head: Buffer): void;
  /** The client left before it could be seated. */
  release(): void;
}

export type Admission = Admitted | { readonly outcome: 'ended' | 'banned' | 'overloaded' };

/** What a visit to a room holds, until it is over. */
interface Visit {
  readonly room: Room;
  readonly tail: Tail;
  readonly isEnded: boolean;
  readonly leave: () => void;
}

export class Hub {
  readonly #log: RoomLog;
  readonly #settings: HubSettings;
  readonly #clock: Clock;
  readonly #report: (error: unknown) => void;
  readonly #wheel: Wheel;
  readonly #turnstile: Turnstile;
  readonly #sounding: Sounding;
  readonly #surroundings: Surroundings;
  readonly #rooms = new Map<RoomId, { room: Room; opened: Promise<void> }>();
  #timer: Timer | null = null;
  #admitted = 0;
  #isClosing = false;

  /** `report` is told of mistakes of our own, which must not go unseen. */
  constructor(log: RoomLog, settings: HubSettings, clock: Clock, report: (error: unknown) => void) {
    this.#log = log;
    this.#settings = settings;
    this.#clock = clock;
    this.#report = report;
    this.#wheel = new Wheel(clock, settings);
    this.#turnstile = new Turnstile(clock, settings);
    this.#sounding = new Sounding(clock);
    this.#surroundings = { clock, sounding: this.#sounding, viewerBytesMax: settings.viewerBytesMax };
    this.#schedule();
  }

  get viewers(): number {
    return this.#wheel.size;
  }

  get rooms(): number {
    return this.#rooms.size;
  }

  /** Milliseconds for a `retry:` line: randomised, so that those who were cut together do not return together. */
  retryMs(): number {
    return Math.round(this.#settings.retryMs * (0.5 + Math.random()));
  }

  /**
   * Whether one more stream can be opened at this moment, which takes it into account: null where it can, else the
   * milliseconds after which to come back. Asked before anything else, as all that follows is what there is too much of.
   */
  turnAwayMs(): number | null {
    return this.#turnstile.pass(this.retryMs());
  }

  /** Decides whether a stream may be opened. Rejects with the log's refusal where the log is away. */
  async admit(request: StreamRequest): Promise<Admission> {
    if (this.#isClosing || this.#wheel.size + this.#admitted >= this.#settings.viewersMax) {
      return { outcome: 'overloaded' };
    }
    this.#admitted += 1;
    try {
      const visit = await this.visit(request.room, request.identity);
      if (typeof visit === 'string') return { outcome: visit };
      const isRefused = this.#isClosing || visit.room.standFor(request.identity) === null;
      if (visit.isEnded || isRefused) {
        visit.leave();
        return { outcome: visit.isEnded ? 'ended' : 'overloaded' };
      }
      const seat: Admitted['seat'] = (...given) => this.#seat(request, visit, ...given);
      return { outcome: 'admitted', seat, release: visit.leave };
    } finally {
      this.#admitted -= 1;
    }
  }

  /** Follows the room and puts the user on record there. Rejects with a refusal where the log is away. */
  async visit(id: RoomId, identity: Identity): Promise<Visit | 'banned' | 'overloaded'> {
    const found = await this.#useRoom(id);
    if (found === null) return 'overloaded';
    const { room, done } = found;
    const leave = (): void => {
      room.attendance.leave(identity.id);
      done();
    };
    try {
      const entered = await room.attendance.enter(identity.id);
      if (!entered.banned) return { room, tail: entered.tail, isEnded: entered.ended, leave };
      leave();
      return 'banned';
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** Ends every stream, a slice at a time, and lets go of the rooms. Nobody is admitted any more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#timer?.cancel();
    this.#wheel.close();
    await new Promise<void>((resolve) => inSlices(this.#endAll(), this.#clock, resolve));
    this.#sounding.close();
    await Promise.allSettled([...this.#rooms.values()].map(({ room }) => room.close()));
    this.#rooms.clear();
  }

  *#endAll(): Generator<void> {
    const data = JSON.stringify({ cause: 'closing', comeBack: 'yes' });
    for (const viewer of this.#wheel.viewers()) {
      viewer.endWith('closing', retryFrame(this.retryMs()) + eventFrame({ event: 'end', data }));
      yield;
    }
  }

  #seat(request: StreamRequest, visit: Visit, socket: Socket, encoding: Encoding, head: Buffer): void {
    const { room, tail, leave } = visit;
    const stand = room.standFor(request.identity);
    if (stand === null) {
      leave();
      socket.destroy();
      return;
    }
    const joining: { catchUp: CatchUp | null } = { catchUp: null };
    const keeper: ViewerKeeper = {
      onDrained: (viewer) => (joining.catchUp === null ? stand.feed(viewer) : joining.catchUp.onDrained()),
      onGone: (viewer) => {
        this.#wheel.remove(viewer);
        room.unseat(stand, viewer);
        joining.catchUp?.onGone();
        leave();
      },
    };
    const viewer = new Viewer(socket, encoding, request.identity, this.#surroundings, keeper, head);
    stand.expect(viewer);
    this.#wheel.add(viewer);
    // On the way here the token may have run out, or a ban have passed.
    const isExpired = request.identity.expiresAtMs <= this.#clock.now();
    if (isExpired || room.isBannedSince(request.identity.id, tail)) {
      viewer.end(isExpired ? 'expired' : 'banned');
      return;
    }
    const { from, history } = request;
    const ticket = { room, stand, viewer, from, history, tail, retryMs: this.retryMs() };
    joining.catchUp = new CatchUp(this.#log, this.#settings, ticket);
    void this.#join(joining.catchUp, viewer, stand).then(() => {
      joining.catchUp = null;
    });
  }

  async #join(catchUp: CatchUp, viewer: Viewer, stand: Stand): Promise<void> {
    try {
      await catchUp.run();
      stand.feed(viewer);
    } catch (error) {
      if (!(error instanceof Refusal)) this.#report(error);
      viewer.end('failed');
    }
  }

  /** The room, followed and needed from now on; null where this node follows as many as it may. */
  async #useRoom(id: RoomId): Promise<{ room: Room; done: () => void } | null> {
    const known = this.#rooms.get(id) ?? this.#openRoom(id);
    if (known === null) return null;
    const { room, opened } = known;
    // Needed while it is being opened, or it could be let go as idle before anybody is in.
    const done = room.use();
    try {
      await opened;
      return { room, done };
    } catch (error) {
      done();
      throw error;
    }
  }

  #openRoom(id: RoomId): { room: Room; opened: Promise<void> } | null {
    if (this.#rooms.size >= this.#settings.roomsMax && !this.#dropIdleRoom()) return null;
    const room = new Room(id, this.#log, this.#settings, this.#clock, this.#wheel);
    const opened = room.open().catch((error: unknown) => {
      this.#drop(id, room);
      throw error;
    });
    this.#rooms.set(id, { room, opened });
    return { room, opened };
  }

  #schedule(): void {
    this.#timer = this.#clock.after(this.#settings.renewMs, () => {
      this.#tend();
      if (!this.#isClosing) this.#schedule();
    });
  }

  /** Renews the lease of every room, looks whether something passed us by, and lets idle rooms go. */
  #tend(): void {
    const now = this.#clock.now();
    for (const [id, { room }] of this.#rooms) {
      if (room.idleSinceMs !== null && now - room.idleSinceMs >= this.#settings.lingerMs) this.#drop(id, room);
      else void this.#renew(room);
    }
  }

  async #renew(room: Room): Promise<void> {
    try {
      const { tail, lapsed } = await this.#log.renew(room.id);
      if (lapsed) room.intake.lapsed();
      else room.intake.compare(tail);
    } catch (error) {
      // The log is away and says so by its own line; the next turn tries again.
      if (!(error instanceof Refusal)) this.#report(error);
    }
  }

  #dropIdleRoom(): boolean {
    for (const [id, { room }] of this.#rooms) {
      if (room.idleSinceMs === null) continue;
      this.#drop(id, room);
      return true;
    }
    return false;
  }

  #drop(id: RoomId, room: Room): void {
    if (this.#rooms.get(id)?.room === room) this.#rooms.delete(id);
    room.close().catch((error: unknown) => {
      if (!(error instanceof Refusal)) this.#report(error);
    });
  }
}
