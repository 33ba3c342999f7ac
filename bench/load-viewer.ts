/**
 * One viewer of the load client: a raw socket that asks for a stream, counts what comes and checks its order. It shares
 * one read buffer with all others, and keeps bytes of its own only while an event is cut in two.
 */

import { connect, type Socket } from 'node:net';
import { constants, createGunzip, type Gunzip } from 'node:zlib';
import { Dechunker, endsEvent, type Glance, type ScanMemory, scanEvents } from './event-scan.ts';

/** What viewers share and report to. */
export interface Crowd {
  readonly readBuffer: Buffer;
  readonly plainScans: ScanMemory;
  readonly chunkedScans: ScanMemory;
  /** The text of the request. */
  requestFor(viewer: LoadViewer): string;
  onRead(bytes: number): void;
  onGlance(viewer: LoadViewer, glance: Glance): void;
  /** The head has come: a status, or 0 where there was no answer. */
  onAnswer(viewer: LoadViewer, status: number): void;
  /** The stream is over, and was not ended by us. */
  onOver(viewer: LoadViewer): void;
}

export interface ViewerTraits {
  readonly number: number;
  readonly room: string;
  readonly port: number;
  readonly localAddress: string;
  readonly isStalled: boolean;
  /** Null: plain. Otherwise whether this one is decoded. */
  readonly gzip: { readonly isDecoded: boolean } | null;
  readonly isGapless: boolean;
}

const nothing = Buffer.alloc(0);

export class LoadViewer {
  readonly traits: ViewerTraits;
  lastId: string | null = null;
  retryMs = 2_000;
  /** Counted events that were received, that gaps declared, that jumps left out, and that came again. */
  received = 0;
  declared = 0;
  jumped = 0;
  repeated = 0;
  lastOrder = 0;
  /** Milliseconds since 1970 of the last connect, and of the cut before it by the server (0: none). */
  connectedAtMs = 0;
  cutAtMs = 0;
  /** While it catches up: the order number it must reach. Its delays are no live ones. */
  goal: number | null = null;
  isOpen = false;
  readonly #crowd: Crowd;
  #socket: Socket | null = null;
  #scans: ScanMemory;
  #head: string | null = '';
  #dechunker: Dechunker | null = null;
  /** Bytes that are left of a body whose length was said. */
  #left = Number.POSITIVE_INFINITY;
  #pending: Buffer = nothing;
  /** What the answer says; only a decoded one has something to unpack it with. */
  #isGzip = false;
  #gunzip: Gunzip | null = null;

  constructor(traits: ViewerTraits, crowd: Crowd) {
    this.traits = traits;
    this.#crowd = crowd;
    this.#scans = crowd.plainScans;
  }

  connect(): void {
    // One that is still on its way would bring everything a second time.
    this.cut();
    const { port, localAddress } = this.traits;
    this.connectedAtMs = Date.now();
    this.#head = '';
    this.#pending = nothing;
    this.#dechunker = null;
    const buffer = this.#crowd.readBuffer;
    const onread = {
      buffer,
      callback: (length: number) => {
        this.#read(buffer.subarray(0, length));
        return true;
      },
    };
    const socket = connect({ host: '127.0.0.1', port, localAddress, onread });
    this.#socket = socket;
    socket.on('connect', () => socket.write(this.#crowd.requestFor(this)));
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      if (this.#socket === socket) this.#over();
    });
  }

  /** Goes away without a word, as a phone in a tunnel does. */
  cut(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.isOpen = false;
    this.#gunzip?.destroy();
    this.#gunzip = null;
    socket?.destroy();
  }

  #over(): void {
    const hadHead = this.#head === null;
    this.cut();
    if (!hadHead) this.#crowd.onAnswer(this, 0);
    this.#crowd.onOver(this);
  }

  #read(bytes: Buffer): void {
    if (this.#head !== null) {
      this.#readHead(bytes, this.#head);
      return;
    }
    this.#crowd.onRead(bytes.length);
    this.#readPart(bytes);
    this.#left -= bytes.length;
    // The end of the answer is the end of the stream, as it is to an EventSource.
    if (this.#left <= 0 || this.#dechunker?.isOver) this.#socket?.destroy();
  }

  #readPart(bytes: Buffer): void {
    if (this.#isGzip) {
      const body = this.#dechunker?.feed(bytes) ?? bytes;
      // The read buffer is used again before zlib has read it.
      this.#gunzip?.write(Buffer.from(body));
      return;
    }
    if (this.#pending.length === 0 && (this.#dechunker?.isBetween ?? true)) {
      const glance = this.#scans.look(bytes);
      if (glance !== null) {
        this.#take(glance);
        return;
      }
    }
    this.#readBody(this.#dechunker?.feed(bytes) ?? bytes);
  }

  #readHead(bytes: Buffer, before: string): void {
    const text = before + bytes.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    this.#head = text;
    if (end === -1) return;
    const head = text.slice(0, end).toLowerCase();
    const rest = bytes.subarray(end + 4 - before.length);
    this.#head = null;
    const isChunked = /\r\ntransfer-encoding: *chunked/.test(head);
    this.#dechunker = isChunked ? new Dechunker() : null;
    this.#left = Number(/\r\ncontent-length: *(\d+)/.exec(head)?.[1] ?? Number.POSITIVE_INFINITY);
    this.#scans = isChunked ? this.#crowd.chunkedScans : this.#crowd.plainScans;
    const status = Number(head.split(' ')[1] ?? 0);
    this.isOpen = status === 200;
    this.#isGzip = head.includes('content-encoding: gzip');
    if (this.traits.gzip?.isDecoded && this.#isGzip) this.#openGunzip();
    this.#crowd.onAnswer(this, status);
    if (this.traits.isStalled) this.#socket?.pause();
    if (rest.length > 0) this.#read(rest);
  }

  #openGunzip(): void {
    this.#gunzip = createGunzip({ flush: constants.Z_SYNC_FLUSH });
    this.#gunzip.on('data', (bytes: Buffer) => this.#readBody(bytes));
    // A gzip stream that is cut has no trailer; bytes that are no gzip show as missing events.
    this.#gunzip.on('error', () => undefined);
  }

  #readBody(bytes: Buffer): void {
    const all = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    const end = endsEvent(all) ? all.length : all.lastIndexOf('\n\n') + 2;
    const isWhole = end >= 2;
    // A copy: what is left must outlive the read buffer.
    this.#pending = isWhole ? Buffer.from(all.subarray(end)) : Buffer.from(all);
    if (isWhole) this.#take(scanEvents(all.subarray(0, end)));
  }

  #take(glance: Glance): void {
    this.lastId = glance.lastId ?? this.lastId;
    this.retryMs = glance.retryMs ?? this.retryMs;
    this.received += glance.stamps.length;
    this.declared += glance.declared;
    this.repeated += glance.repeated;
    if (this.traits.isGapless) this.jumped += glance.jumped;
    if (glance.first > 0) {
      if (glance.first <= this.lastOrder) this.repeated += 1;
      else if (this.lastOrder > 0 && this.traits.isGapless) this.jumped += glance.first - this.lastOrder - 1;
      this.lastOrder = glance.last;
    }
    this.#crowd.onGlance(this, glance);
  }
}
