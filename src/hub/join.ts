/**
 * The one record of a stream, from its request to its end. Admission, the room, its attendance, the stream timers and
 * the catch-up share it. Its viewer is reserved before anything is awaited. So whatever ends streams (a ban, a newer
 * token, a drain, the end of the room) also finds a stream that is still joining.
 *
 * A join is in one of these modes:
 * - **entering**: the room is opened, and the log is asked to register the user.
 * - **admitted**: the log has answered with a tail. The stream waits for its socket.
 * - **open**: the viewer has its socket. It catches up, and is attached to its viewer set.
 * - **released**: everything that it held is given back, once.
 */

import type { Socket } from 'node:net';
import type { HubCounters, TurnedAway } from '../fanout/hub-counters.ts';
import type { StreamTimers } from '../fanout/stream-timers.ts';
import type { ViewerSet } from '../fanout/viewer-set.ts';
import type { Position, Tail } from '../log/position.ts';
import type { Identity, RoomId } from '../model.ts';
import { type Ban, isSince } from '../room/bans.ts';
import type { Room } from '../room/room.ts';
import type { Visitor } from '../room/visitor.ts';
import type { Encoding, Framing } from '../stream/piece.ts';
import { type EndingCause, type StreamContext, Viewer, type ViewerListener } from '../stream/viewer.ts';
import type { Asker } from './asker.ts';
import type { Rooms } from './rooms.ts';
import type { Shares } from './shares.ts';

/** The id that a client sent: a position, none, or a text that is not one of our ids. */
export type From = Position | null | 'unreadable';

export interface StreamRequest {
  readonly room: RoomId;
  readonly identity: Identity;
  readonly from: From;
  /** How many of the latest events a first visit requests. */
  readonly history: number;
  /** The address of a client without a token. */
  readonly address?: string;
  /** The id that it sent may have been issued to another user. */
  readonly isOtherUser?: boolean;
}

/** What the joins of a hub share. */
export interface JoinContext {
  readonly rooms: Rooms;
  readonly streamTimers: StreamTimers;
  readonly streamContext: StreamContext;
  readonly hubCounters: HubCounters;
  /** Streams by asker. */
  readonly streams: Shares;
}

export class Join implements Visitor, ViewerListener {
  readonly outcome = 'admitted';
  readonly request: StreamRequest;
  readonly viewer: Viewer;
  readonly #asker: Asker;
  readonly #context: JoinContext;
  #use: { readonly room: Room; readonly done: () => void } | null = null;
  #viewerSet: ViewerSet | null = null;
  #tail: Tail | null = null;
  /** The newest ban received before the log answered. */
  #ban: Ban | null = null;
  #wake: (() => void) | null = null;
  #isReleased = false;

  /** Call after a stream was taken from the asker's share; `release` gives it back. */
  constructor(request: StreamRequest, asker: Asker, context: JoinContext) {
    this.request = request;
    this.#asker = asker;
    this.#context = context;
    this.viewer = new Viewer(request.identity, context.streamContext, this);
    context.streamTimers.add(this.viewer);
  }

  get identity(): Identity {
    return this.viewer.identity;
  }

  get room(): Room {
    return known(this.#use).room;
  }

  get viewerSet(): ViewerSet {
    return known(this.#viewerSet);
  }

  /** The log's answer to the registration of the user. */
  get tail(): Tail {
    return known(this.#tail);
  }

  /** Follows the room and registers the user. Null: it is admitted. Rejects with the log's refusal. */
  async enter(): Promise<TurnedAway | null> {
    this.#use = await this.#context.rooms.use(this.request.room, this.#asker);
    if (this.#use === null) return 'rooms';
    this.room.reserve(this.viewer);
    const { banned, ended, tail } = await this.room.attendance.enter(this);
    if (banned) return 'banned';
    if (ended) return 'ended';
    this.#viewerSet = this.room.admit(this.viewer);
    if (this.#viewerSet === null) return 'audiences';
    this.#tail = tail;
    if (this.#ban !== null) this.banned(this.#ban);
    return null;
  }

  /** Owns the socket from now on. `head` goes out before the first bytes of the stream. */
  open(socket: Socket, encoding: Encoding, head: Buffer, framing?: Framing): void {
    this.room.opened();
    this.viewer.open(socket, encoding, head, framing);
    this.#context.rooms.sizeChanged(this.room);
  }

  prolonged(identity: Identity): void {
    this.#context.streamTimers.prolong(this.viewer, identity.expiresAtMs);
    this.viewer.identity = identity;
  }

  outdated(): void {
    this.viewer.end('reauthorized');
  }

  banned(ban: Ban | null): void {
    // Without a tail it is unknown whether the log judged the ban on registration.
    if (ban !== null && this.#tail === null) this.#ban = ban;
    else if (ban === null || isSince(ban, this.tail)) this.viewer.end('banned', { reason: ban?.reason ?? null });
  }

  onDrained(): void {
    this.#wake?.();
    this.viewerSet.feed(this.viewer);
  }

  onGone(_viewer: Viewer, cause: EndingCause): void {
    this.#context.hubCounters.endings[cause] += 1;
    this.#wake?.();
    this.release();
  }

  /** Settles when the viewer is no longer under backpressure, or is gone. */
  flowing(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = null;
        resolve();
      };
    });
  }

  /** Gives back everything that the stream holds. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#context.streamTimers.remove(this.viewer);
    this.#context.streams.give(this.#asker.key);
    if (this.#use === null) return;
    const { room, done } = this.#use;
    room.remove(this.viewer, this.#viewerSet);
    if (this.viewer.isOpen) this.#context.rooms.sizeChanged(room);
    room.attendance.leave(this);
    done();
  }
}

function known<One>(one: One | null): One {
  if (one === null) throw new Error('the stream has not been admitted');
  return one;
}
