/**
 * One viewer: a socket, and a place on the tape. It owns no queue and no timer, and it alone writes stream bytes.
 * It knows nothing of rooms; the hub moves its place and decides what it gets.
 *
 * A viewer is always in one of these modes:
 * - **flowing**: everything that it was given is in the kernel's hands. It may be given more.
 * - **waiting**: the kernel took no more, and at most `VIEWER_BYTES_MAX` wait in this process. Whoever has something
 *   for it skips it; when the bytes have gone, `onDrained` is called once and it flows again.
 * - **gone**: ended by us or left by itself. Nothing is written any more; `onGone` was called once.
 */

import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import type { EndingCause } from '../errors.ts';
import { endings } from '../errors.ts';
import type { Identity } from '../signal.ts';
import { gzipHead } from './deflate.ts';
import { eventFrame, heartbeatFrame } from './frame.ts';
import { type Encoding, Piece } from './piece.ts';
import type { Place } from './place.ts';

const nothing = Buffer.alloc(0);
const heartbeat = Piece.private(heartbeatFrame);
/** How long a viewer that we ended may take to read its last bytes before its socket is closed for it. */
export const lastBytesMs = 5_000;

/** What a viewer tells whoever keeps it. Replaced as a whole when it is handed from the door to a tape. */
export interface ViewerKeeper {
  onDrained(viewer: Viewer): void;
  onGone(viewer: Viewer, cause: EndingCause | 'left'): void;
}

export class Viewer {
  identity: Identity;
  /** Up to where it was given everything, or was told what it missed; null before it has a seat. Moved by the hub. */
  place: Place | null = null;
  keeper: ViewerKeeper;
  /** Unix milliseconds of the last write, and of the moment since when bytes have been waiting (0: none). */
  lastWriteMs: number;
  waitingSinceMs = 0;
  readonly #socket: Socket;
  readonly #encoding: Encoding;
  /** What must precede the first bytes of the stream, and goes out in one write with them; null afterwards. */
  #opening: Buffer | null;
  readonly #clock: Clock;
  #isGone = false;

  /** `head`: what the connection begins with, such as a response head. */
  constructor(
    socket: Socket,
    encoding: Encoding,
    identity: Identity,
    clock: Clock,
    keeper: ViewerKeeper,
    head: Buffer = nothing,
  ) {
    this.#socket = socket;
    this.#encoding = encoding;
    this.#clock = clock;
    this.identity = identity;
    this.keeper = keeper;
    this.lastWriteMs = clock.now();
    this.#opening = encoding === 'gzip' ? Buffer.concat([head, gzipHead]) : head;
    socket.once('close', () => this.#go('left'));
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** Whether bytes still wait in this process. */
  get isWaiting(): boolean {
    return this.waitingSinceMs !== 0;
  }

  /** Hands bytes to the socket. The caller has looked at `isWaiting` first, so that waiting bytes stay bounded. */
  send(piece: Piece): void {
    if (this.#isGone) return;
    this.#write(piece);
    this.lastWriteMs = this.#clock.now();
    if (this.#socket.writableLength > 0 && this.waitingSinceMs === 0) this.#wait();
  }

  /** Keeps a quiet stream alive; a waiting viewer needs none. */
  beat(): void {
    if (!this.isWaiting) this.send(heartbeat);
  }

  /** Says why, and closes. Every ending but the viewer's own leaving comes through here. */
  end(cause: EndingCause): void {
    const data = JSON.stringify({ cause, comeBack: endings[cause].comeBack });
    this.endWith(cause, eventFrame({ event: 'end', data }));
  }

  /** Closes with a last frame of the caller's own. */
  endWith(cause: EndingCause, lastFrame: string): void {
    if (this.#isGone) return;
    const isStuck = this.isWaiting;
    if (!isStuck) this.#write(Piece.private(lastFrame));
    this.#go(cause);
    if (isStuck) this.#socket.destroy();
    else this.#closeSoon();
  }

  #write(piece: Piece): void {
    const bytes = piece.bytes(this.#encoding);
    this.#socket.write(this.#opening === null ? bytes : Buffer.concat([this.#opening, bytes]));
    this.#opening = null;
  }

  #closeSoon(): void {
    const socket = this.#socket;
    const timer = this.#clock.after(lastBytesMs, () => socket.destroy());
    socket.once('close', () => timer.cancel());
    socket.end();
  }

  #wait(): void {
    this.waitingSinceMs = this.#clock.now();
    // An empty write is called back after the bytes before it, which 'drain' does only past the high-water mark.
    this.#socket.write(nothing, () => {
      if (this.#isGone) return;
      this.waitingSinceMs = 0;
      this.keeper.onDrained(this);
    });
  }

  #go(cause: EndingCause | 'left'): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.keeper.onGone(this, cause);
  }
}
