/**
 * One viewer: a socket, and a place on the tape. It owns no queue and no timer, and it alone writes stream bytes.
 * It knows nothing of rooms; the hub moves its place and decides what it gets.
 *
 * A viewer is always in one of these modes:
 * - **reserved**: it has no socket yet. It is given nothing. An ending is kept, and is all that its stream will say.
 * - **flowing**: the kernel has everything that was delivered. It may get more.
 * - **waiting**: the kernel took no more, or, as far as it can be sounded, holds as much for it as it may: in this
 *   process and the kernel, `VIEWER_BYTES_MAX` are on their way to it. Whoever has something for it skips it; when half
 *   of that has gone, `onDrained` is called once and it flows again.
 * - **gone**: ended by us or left by itself. Nothing is written any more; `onGone` was called once.
 */

import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import type { Identity } from '../model.ts';
import { chunk } from './chunk.ts';
import { gzipHead } from './deflate.ts';
import { eventFrame, heartbeatFrame, retryFrame } from './frame.ts';
import { type Encoding, type Framing, Piece } from './piece.ts';
import type { Place } from './place.ts';
import type { SendQueueProbe, Sounded } from './send-queue-probe.ts';
import type { StreamCounters } from './stream-counters.ts';

const nothing = Buffer.alloc(0);
/** Bytes are delivered in spans of at most this part of what may be on its way to a viewer. */
export const spansPerViewer = 4;
const heartbeat = Piece.private(heartbeatFrame);
/** How long a viewer that we ended may take to read its last bytes before its socket is closed for it. */
export const lastBytesMs = 5_000;

/** Is notified of a viewer that has a socket. */
export interface ViewerListener {
  onDrained(viewer: Viewer): void;
  onGone(viewer: Viewer, cause: EndingCause): void;
}

/** What all viewers of a process share. */
export interface StreamContext {
  readonly clock: Clock;
  readonly sendQueueProbe: Pick<SendQueueProbe, 'ask' | 'forget'>;
  /** Bytes that may be in flight to one viewer, in this process and in the kernel. */
  readonly viewerBytesMax: number;
  readonly streamCounters: StreamCounters;
}

/**
 * Every way in which a stream ends. `comeBack` tells the client whether to return, and with what. `lastEvent` is the
 * event that says so; a viewer for whom bytes still wait gets none. A stream that was open counts in
 * `ringside_endings_total` by its cause; one that was turned away counts in `ringside_turned_away_total`.
 */
export const endings = {
  ended: { comeBack: 'no', lastEvent: 'end', meaning: 'The room has ended.' },
  banned: { comeBack: 'no', lastEvent: 'end', meaning: 'The user was banned from the room.' },
  expired: { comeBack: 'with-new-token', lastEvent: 'end', meaning: 'The token expired and was not prolonged.' },
  reauthorized: {
    comeBack: 'yes',
    lastEvent: 'end',
    meaning: 'The user has a token of another role or other tags now, or gave its token up: return as what it is now.',
  },
  stuck: { comeBack: 'yes', lastEvent: 'none', meaning: 'The viewer read nothing for too long.' },
  closing: { comeBack: 'yes', lastEvent: 'end', meaning: 'The gateway is shutting down.' },
  moved: { comeBack: 'yes', lastEvent: 'move', meaning: 'Another gateway has the room now.' },
  overloaded: { comeBack: 'yes', lastEvent: 'end', meaning: 'The gateway is at a limit: return when `retry:` says.' },
  failed: { comeBack: 'yes', lastEvent: 'end', meaning: 'The gateway could not go on with this stream.' },
  left: { comeBack: 'yes', lastEvent: 'none', meaning: 'The viewer closed the connection, or it was cut.' },
} as const satisfies Record<
  string,
  { comeBack: 'yes' | 'no' | 'with-new-token'; lastEvent: 'end' | 'move' | 'none'; meaning: string }
>;

export type EndingCause = keyof typeof endings;

export interface EndingDetails {
  /** The reason given, such as that of a ban. */
  readonly reason?: string | null;
  /** How long the client waits before it returns. */
  readonly retryMs?: number;
}

/** The last frame of a stream; empty if it has none. */
export function lastFrame(cause: EndingCause, { reason = null, retryMs }: EndingDetails = {}): string {
  const { comeBack, lastEvent } = endings[cause];
  if (lastEvent === 'none') return '';
  const retry = retryMs === undefined ? '' : retryFrame(retryMs);
  const data = lastEvent === 'move' ? { retryMs } : { cause, comeBack, ...(reason === null ? {} : { reason }) };
  return retry + eventFrame({ event: lastEvent, data: JSON.stringify(data) });
}

export class Viewer implements Sounded {
  identity: Identity;
  /** Up to where everything was delivered or declared missing; null until it is attached. Moved by the hub. */
  place: Place | null = null;
  /** Unix milliseconds of the last write, and of the moment since when bytes have been waiting (0: none). */
  lastWriteMs: number;
  waitingSinceMs = 0;
  readonly #listener: ViewerListener;
  readonly #streamContext: StreamContext;
  #socket: Socket | null = null;
  #encoding: Encoding = 'identity';
  #framing: Framing = 'close';
  /** What must precede the first bytes of the stream, and goes out in one write with them; null afterwards. */
  #opening: Buffer | null = null;
  /** Ends it as it was to end before it had a socket. */
  #endReserved: (() => void) | null = null;
  #isGone = false;
  /** Whether bytes wait in this process. */
  #isBlocked = false;
  /** Bytes that may be in the kernel: those that were there at the last probe, and those written since. */
  #inKernel = 0;
  /** Those of them written before the probe under way; null if there is none. */
  #beingSounded: number | null = null;

  constructor(identity: Identity, streamContext: StreamContext, listener: ViewerListener) {
    this.identity = identity;
    this.#streamContext = streamContext;
    this.#listener = listener;
    this.lastWriteMs = streamContext.clock.now();
  }

  /** Takes its socket. `head`: what the connection begins with, such as a response head, which names the framing. */
  open(socket: Socket, encoding: Encoding, head: Buffer = nothing, framing: Framing = 'close'): void {
    this.#socket = socket;
    this.#encoding = encoding;
    this.#framing = framing;
    this.lastWriteMs = this.#streamContext.clock.now();
    const ownHead = framing === 'chunked' ? chunk(gzipHead) : gzipHead;
    this.#opening = encoding === 'gzip' ? Buffer.concat([head, ownHead]) : head;
    socket.once('close', () => this.#go('left'));
    this.#endReserved?.();
  }

  /** Whether it has, or had, a socket. */
  get isOpen(): boolean {
    return this.#socket !== null;
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Whether it is under backpressure. */
  get isWaiting(): boolean {
    return this.waitingSinceMs !== 0;
  }

  /** Writes to the socket. The caller checks `isWaiting` first, which bounds the bytes in flight. */
  send(piece: Piece): void {
    const socket = this.#socket;
    if (socket === null || this.#isGone) return;
    this.#inKernel += this.#write(socket, piece);
    this.lastWriteMs = this.#streamContext.clock.now();
    if (socket.writableLength > 0) this.#waitForProcess(socket);
    if (this.#inKernel * 2 >= this.#streamContext.viewerBytesMax) this.#sound(socket, { isUrgent: true });
  }

  /** The probe's answer: how many of the bytes written before it are still in the kernel. */
  sounded(queuedBytes: number): void {
    const socket = this.#socket;
    if (socket === null || this.#isGone) return;
    const before = this.#beingSounded ?? 0;
    this.#beingSounded = null;
    this.#inKernel += queuedBytes - before;
    const hasRead = queuedBytes < before;
    // A viewer that reads is not stuck, however slow it is.
    if (hasRead && this.isWaiting && !this.#isBlocked) this.waitingSinceMs = this.#streamContext.clock.now();
    if (this.#inKernel * 2 >= this.#streamContext.viewerBytesMax) this.#sound(socket, { isUrgent: hasRead });
    else this.#flowAgain();
  }

  /** Keeps a quiet stream alive. A waiting viewer has bytes to read already. */
  beat(): void {
    if (!this.isWaiting) this.send(heartbeat);
  }

  /** Sends the last frame and closes. The first ending counts. Every ending but `left` comes through here. */
  end(cause: EndingCause, details?: EndingDetails): void {
    const socket = this.#socket;
    if (socket === null) this.#endReserved ??= () => this.end(cause, details);
    if (socket === null || this.#isGone) return;
    const frame = lastFrame(cause, details);
    const isCut = this.#isBlocked || frame === '';
    if (!isCut) this.#write(socket, Piece.last(frame));
    this.#go(cause);
    if (isCut) cut(socket);
    else this.#closeSoon(socket);
  }

  /** Returns the bytes written. */
  #write(socket: Socket, piece: Piece): number {
    const { streamCounters } = this.#streamContext;
    const bytes = piece.bytes(this.#encoding, this.#framing);
    streamCounters.writes += 1;
    streamCounters.bytes += bytes.length;
    streamCounters.deliveries += piece.entries;
    if (bytes.length < piece.plain.length) streamCounters.savedBytes += piece.plain.length - bytes.length;
    socket.write(this.#opening === null ? bytes : this.#opened(this.#opening, bytes));
    return bytes.length;
  }

  #opened(opening: Buffer, bytes: Buffer): Buffer {
    this.#opening = null;
    this.#streamContext.streamCounters.bytes += opening.length;
    return Buffer.concat([opening, bytes]);
  }

  #closeSoon(socket: Socket): void {
    const timer = this.#streamContext.clock.after(lastBytesMs, () => cut(socket));
    socket.once('close', () => timer.cancel());
    socket.end();
  }

  #waitForProcess(socket: Socket): void {
    if (this.#isBlocked) return;
    this.#isBlocked = true;
    this.#beginWaiting();
    // An empty write is called back after the bytes before it, which 'drain' does only past the high-water mark.
    socket.write(nothing, () => {
      this.#isBlocked = false;
      this.#flowAgain();
    });
  }

  /** Asks the kernel how many bytes are left: at half of the bound, so that a viewer that reads never has to wait. */
  #sound(socket: Socket, how: { readonly isUrgent: boolean }): void {
    if (this.#beingSounded === null) {
      const canBeSounded = this.#streamContext.sendQueueProbe.ask(socket, this, how);
      // If the kernel cannot be asked, the count stays below any bound.
      if (canBeSounded) this.#beingSounded = this.#inKernel;
      else this.#inKernel = Number.NEGATIVE_INFINITY;
    }
    if (this.#isDeep()) this.#beginWaiting();
  }

  /** One more span would exceed the bytes that may be in flight. */
  #isDeep(): boolean {
    const { viewerBytesMax } = this.#streamContext;
    return this.#inKernel + viewerBytesMax / spansPerViewer > viewerBytesMax;
  }

  #beginWaiting(): void {
    if (this.isWaiting) return;
    this.waitingSinceMs = this.#streamContext.clock.now();
    this.#streamContext.streamCounters.waiting += 1;
  }

  #flowAgain(): void {
    const isStillDeep = this.#beingSounded !== null && this.#isDeep();
    if (this.#isGone || !this.isWaiting || this.#isBlocked || isStillDeep) return;
    this.waitingSinceMs = 0;
    this.#streamContext.streamCounters.waiting -= 1;
    this.#listener.onDrained(this);
  }

  #go(cause: EndingCause): void {
    if (this.#isGone) return;
    this.#isGone = true;
    if (this.isWaiting) this.#streamContext.streamCounters.waiting -= 1;
    this.#streamContext.sendQueueProbe.forget(this);
    this.#listener.onGone(this, cause);
  }
}

/** Without a reset, the kernel would keep unread bytes for minutes more. */
function cut(socket: Socket): void {
  if (socket.remoteAddress === undefined) socket.destroy();
  else socket.resetAndDestroy();
}
