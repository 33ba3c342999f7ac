/**
 * The hub: which rooms this node listens to, and for whom. A room is followed from the first viewer to a while after
 * the last one. Knows no HTTP: it is asked whether somebody may come in, and is handed a socket to seat.
 */

import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import { Refusal } from '../errors.ts';
import { HubCounters, type TurnedAway } from '../fanout/hub-counters.ts';
import { inSlices } from '../fanout/slices.ts';
import { StreamTimers, type StreamTimersSettings } from '../fanout/stream-timers.ts';
import type { Tail } from '../log/position.ts';
import type { RoomLog } from '../log/room-log.ts';
import type { Identity, RoomId } from '../model.ts';
import type { Room } from '../room/room.ts';
import { Visitor } from '../room/visitor.ts';
import type { Settings } from '../settings.ts';
import type { Encoding, Framing } from '../stream/piece.ts';
import { SendQueueProbe } from '../stream/send-queue-probe.ts';
import { type EndingCause, type StreamContext, Viewer, type ViewerListener } from '../stream/viewer.ts';
import { type Asker, askerOf } from './asker.ts';
import { CatchUp, type From, type Joining } from './catch-up.ts';
import { JoinLimiter, type JoinLimiterSettings } from './join-limiter.ts';
import { type CrowdListener, Rooms, type RoomsSettings } from './rooms.ts';
import { Shares } from './shares.ts';

export type HubSettings = RoomsSettings &
  StreamTimersSettings &
  JoinLimiterSettings &
  Pick<Settings, 'viewersMax' | 'userStreamsMax' | 'addressStreamsMax' | 'retryMs' | 'replayEntriesMax'>;

export interface StreamRequest {
  readonly room: RoomId;
  readonly identity: Identity;
  readonly from: From;
  readonly history: number;
  /** Where a client without a token comes from. */
  readonly address?: string;
  /** The id that it came with may have been given to another user. */
  readonly isOtherUser?: boolean;
}

/** Somebody who may come in. One of the two must be called. */
export interface Admitted {
  readonly outcome: 'admitted';
  /** The room's last offset when it was let in. */
  readonly tailOffset: number;
  /** Takes the socket for good. `head` goes out before the stream's first bytes. */
  seat(socket: Socket, encoding: Encoding, head: Buffer, framing?: Framing): void;
  /** The client left before it could be seated. */
  release(): void;
}

/** `retryMs`: when to come back, where that makes sense. */
export type Admission =
  | Admitted
  | { readonly outcome: 'ended' | 'banned' }
  | { readonly outcome: 'overloaded'; readonly retryMs: number };

/** Who has as many streams as it may is to come back when one of them may be over, so this many times later. */
const atBoundRetries = 10;

/** What a visit to a room holds, until it is over. */
export interface Visit {
  readonly room: Room;
  readonly visitor: Visitor;
  readonly tail: Tail;
  readonly isEnded: boolean;
  readonly leave: () => void;
}

export class Hub {
  readonly hubCounters: HubCounters;
  readonly #log: RoomLog;
  readonly #settings: HubSettings;
  readonly #clock: Clock;
  readonly #report: (error: unknown) => void;
  readonly #streamTimers: StreamTimers;
  readonly #joinLimiter: JoinLimiter;
  readonly #sendQueueProbe: SendQueueProbe;
  readonly #streamContext: StreamContext;
  readonly #rooms: Rooms;
  /** Streams by asker, those on their way in among them. */
  readonly #streams = new Shares();
  #admitted = 0;
  #isClosing = false;

  /** `report` is told of mistakes of our own, which must not go unseen. */
  constructor(log: RoomLog, settings: HubSettings, clock: Clock, report: (error: unknown) => void) {
    this.hubCounters = new HubCounters();
    this.#log = log;
    this.#settings = settings;
    this.#clock = clock;
    this.#report = report;
    this.#streamTimers = new StreamTimers(clock, settings);
    this.#joinLimiter = new JoinLimiter(clock, settings);
    this.#sendQueueProbe = new SendQueueProbe(clock);
    const { streamCounters } = this.hubCounters;
    this.#streamContext = {
      clock,
      sendQueueProbe: this.#sendQueueProbe,
      viewerBytesMax: settings.viewerBytesMax,
      streamCounters,
    };
    this.#rooms = new Rooms({ log, settings, clock, hubCounters: this.hubCounters, report });
  }

  get viewers(): number {
    return this.#streamTimers.size;
  }

  get rooms(): number {
    return this.#rooms.size;
  }

  /** From now on the listener is told how many are where. */
  tellCrowds(listener: CrowdListener): void {
    this.#rooms.listener = listener;
  }

  /** Milliseconds for a `retry:` line: randomised, so that those who were cut together do not return together. */
  retryMs(): number {
    return Math.round(this.#settings.retryMs * (0.5 + Math.random()));
  }

  /**
   * Decides whether a stream may be opened, for whom the token is good already. Rejects with the log's refusal where the
   * log is unavailable.
   */
  async admit(request: StreamRequest): Promise<Admission> {
    if (this.#isClosing) return this.#turnAway('leaving');
    const asker = askerOf(request.identity, request.address);
    if (!this.#streams.take(asker.key, this.#streamsMax(asker)))
      return this.#turnAway('share', atBoundRetries * this.retryMs());
    let isAdmitted = false;
    try {
      const turnAwayMs = this.#joinLimiter.pass(asker, this.retryMs());
      if (turnAwayMs !== null) return this.#turnAway('pace', turnAwayMs);
      if (this.#streamTimers.size + this.#admitted >= this.#settings.viewersMax) return this.#turnAway('viewers');
      const admission = await this.#enter(request, asker);
      isAdmitted = admission.outcome === 'admitted';
      return admission;
    } finally {
      if (!isAdmitted) this.#streams.give(asker.key);
    }
  }

  async #enter(request: StreamRequest, asker: Asker): Promise<Admission> {
    this.#admitted += 1;
    try {
      const visit = await this.visit(request.room, request.identity, asker);
      if (typeof visit === 'string') return this.#turnAway(visit === 'banned' ? 'banned' : 'rooms');
      const cause = this.#whyNot(request, visit);
      if (cause !== null) {
        visit.leave();
        return this.#turnAway(cause);
      }
      const leave = (): void => {
        visit.leave();
        this.#streams.give(asker.key);
      };
      const seat: Admitted['seat'] = (...given) => this.#seat(request, { ...visit, leave }, ...given);
      return { outcome: 'admitted', tailOffset: visit.tail.offset, seat, release: leave };
    } catch (error) {
      this.hubCounters.turnedAway.log += 1;
      throw error;
    } finally {
      this.#admitted -= 1;
    }
  }

  #streamsMax({ isNamed, isPlatform }: Asker): number {
    if (isPlatform) return this.#settings.viewersMax;
    return isNamed ? this.#settings.userStreamsMax : this.#settings.addressStreamsMax;
  }

  /** Follows the room and puts the user on record there. Rejects with a refusal where the log is away. */
  async visit(id: RoomId, identity: Identity, asker: Asker): Promise<Visit | 'banned' | 'overloaded'> {
    const found = await this.#rooms.use(id, asker);
    if (found === null) return 'overloaded';
    const { room, done } = found;
    const visitor = new Visitor(identity);
    const leave = (): void => {
      room.attendance.leave(visitor);
      done();
    };
    try {
      const entered = await room.attendance.enter(visitor);
      if (!entered.banned) return { room, visitor, tail: entered.tail, isEnded: entered.ended, leave };
      leave();
      return 'banned';
    } catch (error) {
      leave();
      throw error;
    }
  }

  /** The rooms that somebody watches here. */
  *roomList(): Generator<{ readonly room: RoomId; readonly viewers: number }> {
    for (const { id, size } of this.#rooms.all()) if (size > 0) yield { room: id, viewers: size };
  }

  viewersOf(id: RoomId): readonly Viewer[] {
    return [...(this.#rooms.get(id)?.viewers() ?? [])];
  }

  everybody(): readonly Viewer[] {
    return this.#streamTimers.viewers();
  }

  /** Ends every stream, a slice at a time, and lets go of the rooms. Nobody is admitted any more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#rooms.rest();
    this.#streamTimers.close();
    await new Promise<void>((resolve) => inSlices(this.#endAll(), this.#clock, resolve));
    this.#sendQueueProbe.close();
    await this.#rooms.close();
  }

  #whyNot({ identity }: StreamRequest, { isEnded, room }: Visit): TurnedAway | null {
    if (isEnded) return 'ended';
    if (this.#isClosing) return 'leaving';
    return room.viewerSetFor(identity) === null ? 'audiences' : null;
  }

  #turnAway(cause: TurnedAway, retryMs = this.retryMs()): Admission {
    this.hubCounters.turnedAway[cause] += 1;
    return cause === 'ended' || cause === 'banned' ? { outcome: cause } : { outcome: 'overloaded', retryMs };
  }

  *#endAll(): Generator<void> {
    for (const viewer of this.#streamTimers.viewers()) {
      viewer.end('closing', { retryMs: this.retryMs() });
      yield;
    }
  }

  #seat(
    request: StreamRequest,
    visit: Visit,
    ...[socket, encoding, head, framing]: Parameters<Admitted['seat']>
  ): void {
    const { room, visitor, tail, leave } = visit;
    const viewerSet = room.viewerSetFor(visitor.identity);
    if (viewerSet === null) {
      leave();
      socket.destroy();
      return;
    }
    const joining: { catchUp: CatchUp | null } = { catchUp: null };
    const listener: ViewerListener = {
      onDrained: (viewer) => (joining.catchUp === null ? viewerSet.feed(viewer) : joining.catchUp.onDrained()),
      onGone: (viewer, cause) => {
        this.hubCounters.endings[cause] += 1;
        this.#streamTimers.remove(viewer);
        room.unseat(viewerSet, viewer);
        this.#rooms.listener?.changed(room);
        joining.catchUp?.onGone();
        leave();
      },
    };
    const viewer = new Viewer(socket, encoding, visitor.identity, this.#streamContext, listener, head, framing);
    viewerSet.expect(viewer);
    this.#rooms.listener?.changed(room);
    this.#streamTimers.add(viewer);
    visitor.serveBy({
      prolonged: (expiresAtMs) => this.#streamTimers.prolong(viewer, expiresAtMs),
      outdated: () => viewer.end('reauthorized'),
    });
    const why = this.#whyEnd(visit);
    if (why !== null) {
      viewer.end(why.cause, { reason: why.reason });
      return;
    }
    const { from, history, isOtherUser = false } = request;
    const ticket = {
      room,
      viewerSet,
      viewer,
      from,
      history,
      isOtherUser,
      tail,
      retryMs: this.retryMs(),
      hubCounters: this.hubCounters,
    };
    joining.catchUp = new CatchUp(this.#log, this.#settings, ticket);
    void this.#join(joining.catchUp, ticket).then(() => {
      joining.catchUp = null;
    });
  }

  /** On the way here the token may have run out or been replaced, or a ban have passed. */
  #whyEnd({ room, visitor, tail }: Visit): { cause: EndingCause; reason: string | null } | null {
    const { identity, isOutdated } = visitor;
    if (identity.expiresAtMs <= this.#clock.now()) return { cause: 'expired', reason: null };
    if (isOutdated) return { cause: 'reauthorized', reason: null };
    const ban = room.bans.since(identity, tail);
    return ban === null ? null : { cause: 'banned', reason: ban.reason };
  }

  async #join(catchUp: CatchUp, { room, viewerSet, viewer }: Joining): Promise<void> {
    try {
      await catchUp.run();
      viewerSet.feed(viewer);
      // The room ended while it was on its way, and ended the streams that it had then.
      if (room.isEnded) viewer.end('ended');
    } catch (error) {
      if (!(error instanceof Refusal)) this.#report(error);
      viewer.end('failed');
    }
  }
}
