/** A viewer that keeps every byte that its connection brought, so that a test can count what a gateway says it wrote. */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { constants, gunzipSync } from 'node:zlib';
import { type HeardEvent, parseEventStream } from './clients.ts';
import { dechunk, isChunked } from './dechunk.ts';
import { room, tokenOf } from './gateway.ts';

export interface RawViewerOptions {
  readonly user?: string;
  readonly role?: string;
  readonly gzip?: boolean;
  readonly lastId?: string;
}

export class RawViewer {
  readonly #socket: Socket;
  readonly #isGzip: boolean;
  #bytes = Buffer.alloc(0);

  constructor(socket: Socket, isGzip: boolean) {
    this.#socket = socket;
    this.#isGzip = isGzip;
    socket.on('data', (bytes) => {
      this.#bytes = Buffer.concat([this.#bytes, bytes]);
    });
    socket.on('error', () => undefined);
  }

  /** All bytes of the connection, the head of the answer among them. */
  get byteCount(): number {
    return this.#bytes.length;
  }

  /** The stream as it is before compression. */
  get plain(): Buffer {
    const end = this.#bytes.indexOf('\r\n\r\n');
    if (end === -1) return Buffer.alloc(0);
    const sent = this.#bytes.subarray(end + 4);
    const body = isChunked(this.#bytes.toString('latin1', 0, end)) ? Buffer.concat(dechunk(sent).chunks) : sent;
    if (!this.#isGzip || body.length === 0) return body;
    // It has no end yet: what is there is decoded.
    return gunzipSync(body, { finishFlush: constants.Z_SYNC_FLUSH });
  }

  get events(): readonly HeardEvent[] {
    return parseEventStream(this.plain);
  }

  named(event: string): readonly HeardEvent[] {
    return this.events.filter((one) => one.event === event);
  }

  get isOver(): boolean {
    return this.#socket.readableEnded || this.#socket.destroyed;
  }

  close(): void {
    this.#socket.destroy();
  }
}

export async function openRawViewer(port: number, options: RawViewerOptions = {}): Promise<RawViewer> {
  const { user = 'ann', role = 'viewer', gzip = false, lastId } = options;
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const head = [
    `GET /rooms/${room}/stream HTTP/1.1`,
    'Host: 127.0.0.1',
    `Authorization: Bearer ${tokenOf(user, role)}`,
    ...(gzip ? ['Accept-Encoding: gzip'] : []),
    ...(lastId === undefined ? [] : [`Last-Event-ID: ${lastId}`]),
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  return new RawViewer(socket, gzip);
}
