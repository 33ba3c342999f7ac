/**
 * The hub: the rooms that this node follows, and their viewers. A room is followed from its first viewer until a while
 * after its last one. Knows no HTTP: it admits a stream, and then opens it on a socket.
 */

import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import { Refusal } from '../errors.ts';
import { HubCounters, type TurnedAway } from '../fanout/hub-counters.ts';
import { inSlices } from '../fanout/slices.ts';
import { StreamTimers, type StreamTimersSettings } from '../fanout/stream-timers.ts';
import type { Backend } from '../log/backend.ts';
import type { RoomLog } from '../log/room-log.ts';
import type { RoomId } from '../model.ts';
import type { Room } from '../room/room.ts';
import type { Settings } from '../settings.ts';
import type { Encoding, Framing } from '../stream/piece.ts';
import { SendQueueProbe } from '../stream/send-queue-probe.ts';
import type { Viewer } from '../stream/viewer.ts';
import { type Asker, askerOf } from './asker.ts';
import { CatchUp } from './catch-up.ts';
import { Join, type JoinContext, type StreamRequest } from './join.ts';
import { JoinLimiter, type JoinLimiterSettings } from './join-limiter.ts';
import { Rooms, type RoomsSettings } from './rooms.ts';
import { Shares } from './shares.ts';

export type HubSettings = RoomsSettings &
  StreamTimersSettings &
  JoinLimiterSettings &
  Pick<Settings, 'viewersMax' | 'userStreamsMax' | 'addressStreamsMax' | 'retryMs' | 'replayEntriesMax'>;

/** `retryMs`: milliseconds to wait before a retry. Absent if no retry can succeed. */
export type Admission =
  | Join
  | { readonly outcome: 'ended' | 'banned' }
  | { readonly outcome: 'overloaded'; readonly retryMs: number };

/** A client at its limit of streams retries when one of them may have ended: after this many times `retryMs`. */
const atBoundRetries = 10;

export class Hub {
  readonly hubCounters: HubCounters;
  readonly #log: RoomLog;
  readonly #settings: HubSettings;
  readonly #clock: Clock;
  readonly #report: (error: unknown) => void;
  readonly #joinLimiter: JoinLimiter;
  readonly #sendQueueProbe: SendQueueProbe;
  readonly #joinContext: JoinContext;
  #isClosing = false;

  /** `report` is called with internal errors, which must not go unnoticed. */
  constructor(backend: Backend, settings: HubSettings, clock: Clock, report: (error: unknown) => void) {
    this.hubCounters = new HubCounters();
    this.#log = backend.log;
    this.#settings = settings;
    this.#clock = clock;
    this.#report = report;
    this.#joinLimiter = new JoinLimiter(clock, settings);
    this.#sendQueueProbe = new SendQueueProbe(clock);
    const { hubCounters } = this;
    const { streamCounters } = hubCounters;
    const { viewerBytesMax } = settings;
    this.#joinContext = {
      hubCounters,
      rooms: new Rooms({ backend, settings, clock, hubCounters, report }),
      streamTimers: new StreamTimers(clock, settings),
      streamContext: { clock, sendQueueProbe: this.#sendQueueProbe, viewerBytesMax, streamCounters },
      streams: new Shares(),
    };
  }

  /** Open streams, and joining ones. */
  get viewers(): number {
    return this.#joinContext.streamTimers.size;
  }

  get rooms(): number {
    return this.#joinContext.rooms.size;
  }

  /** Milliseconds for a `retry:` line: randomised, so that viewers cut together do not return together. */
  retryMs(): number {
    return Math.round(this.#settings.retryMs * (0.5 + Math.random()));
  }

  /** Decides whether a stream may be opened. The token is verified already. Rejects with the log's refusal. */
  async admit(request: StreamRequest): Promise<Admission> {
    if (this.#isClosing) return this.#turnAway('leaving');
    const asker = askerOf(request.identity, request.address);
    const { streams, streamTimers } = this.#joinContext;
    if (!streams.take(asker.key, this.#streamsMax(asker)))
      return this.#turnAway('share', atBoundRetries * this.retryMs());
    const turnAwayMs = this.#joinLimiter.pass(asker, this.retryMs());
    const isFull = streamTimers.size >= this.#settings.viewersMax;
    if (turnAwayMs !== null || isFull) {
      streams.give(asker.key);
      return turnAwayMs === null ? this.#turnAway('viewers') : this.#turnAway('pace', turnAwayMs);
    }
    const join = new Join(request, asker, this.#joinContext);
    try {
      const cause = await join.enter();
      if (cause === null) return join;
      join.release();
      return this.#turnAway(cause);
    } catch (error) {
      join.release();
      this.hubCounters.turnedAway.log += 1;
      throw error;
    }
  }

  /** Opens an admitted stream on a socket, which it owns from now on. `head` goes out before its first bytes. */
  open(join: Join, socket: Socket, encoding: Encoding, head: Buffer, framing?: Framing): void {
    if (join.identity.expiresAtMs <= this.#clock.now()) join.viewer.end('expired');
    join.open(socket, encoding, head, framing);
    if (!join.viewer.isGone) void this.#catchUp(join);
  }

  async #catchUp(join: Join): Promise<void> {
    const { viewer, viewerSet } = join;
    const { replayEntriesMax } = this.#settings;
    const options = { log: this.#log, hubCounters: this.hubCounters, replayEntriesMax, retryMs: this.retryMs() };
    try {
      await new CatchUp(join, options).run();
      viewerSet.feed(viewer);
    } catch (error) {
      if (!(error instanceof Refusal)) this.#report(error);
      viewer.end('failed');
    }
  }

  #streamsMax({ isNamed, isPlatform }: Asker): number {
    if (isPlatform) return this.#settings.viewersMax;
    return isNamed ? this.#settings.userStreamsMax : this.#settings.addressStreamsMax;
  }

  /** The room, followed until `done`; null if this node or the asker follows as many rooms as allowed. */
  use(id: RoomId, asker: Asker): Promise<{ room: Room; done: () => void } | null> {
    return this.#joinContext.rooms.use(id, asker);
  }

  /** The rooms that have viewers here. */
  *roomList(): Generator<{ readonly room: RoomId; readonly viewers: number }> {
    for (const { id, size } of this.#joinContext.rooms.all()) if (size > 0) yield { room: id, viewers: size };
  }

  viewersOf(id: RoomId): readonly Viewer[] {
    return [...(this.#joinContext.rooms.get(id)?.viewers() ?? [])];
  }

  everybody(): readonly Viewer[] {
    return this.#joinContext.streamTimers.viewers();
  }

  /** Ends every stream, a slice at a time, and unfollows the rooms. No stream is admitted any more. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#joinContext.rooms.rest();
    this.#joinContext.streamTimers.close();
    await new Promise<void>((resolve) => inSlices(this.#endAll(), this.#clock, resolve));
    this.#sendQueueProbe.close();
    await this.#joinContext.rooms.close();
  }

  #turnAway(cause: TurnedAway, retryMs = this.retryMs()): Admission {
    this.hubCounters.turnedAway[cause] += 1;
    return cause === 'ended' || cause === 'banned' ? { outcome: cause } : { outcome: 'overloaded', retryMs };
  }

  *#endAll(): Generator<void> {
    for (const viewer of this.#joinContext.streamTimers.viewers()) {
      viewer.end('closing', { retryMs: this.retryMs() });
      yield;
    }
  }
}
