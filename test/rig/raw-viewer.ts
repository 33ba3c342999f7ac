/**
 * A viewer on a bare socket that takes from the kernel only as many bytes as a test lets it. What it got is kept as it
 * came over the wire, so that it can be counted, and is held against the ledger by the oracle.
 */

import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { gunzipSync, constants as zlib } from 'node:zlib';
import { type HeardEvent, parseEventStream } from './clients.ts';
import { dechunk, isChunked } from './dechunk.ts';
import { room, tokenOf } from './gateway.ts';
import type { Ledger, Person } from './ledger.ts';
import { judge } from './oracle.ts';
import { waitFor } from './wait-for.ts';

export interface RawViewerOptions {
  readonly sub?: string;
  readonly role?: string;
  readonly room?: string;
  readonly acceptEncoding?: string;
  readonly lastEventId?: string;
  /** The most bytes that one read takes. */
  readonly readBytes?: number;
}

const usualReadBytes = 65_536;

/** The request of a viewer, without the blank line that ends it. */
export function streamRequest(options: RawViewerOptions = {}): string {
  const { sub = 'ann', role = 'viewer', acceptEncoding, lastEventId, room: id = room } = options;
  const token = tokenOf(sub, role, { rooms: { '*': role } });
  const encoding = acceptEncoding === undefined ? '' : `Accept-Encoding: ${acceptEncoding}\r\n`;
  const from = lastEventId === undefined ? '' : `Last-Event-ID: ${lastEventId}\r\n`;
  return `GET /rooms/${id}/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${encoding}${from}`;
}

export class RawViewer {
  readonly person: Person;
  isOver = false;
  readonly #socket: Socket;
  readonly #parts: Buffer[] = [];
  /** Reads that it may still make. */
  #reads = Number.POSITIVE_INFINITY;
  /** The body of so many bytes. */
  #unframed: { readonly bytes: number; readonly body: Buffer } = { bytes: 0, body: Buffer.alloc(0) };
  /** What so many bytes of the body say. */
  #read = { bytes: 0, text: '' };

  constructor(port: number, options: RawViewerOptions = {}) {
    this.person = { id: options.sub ?? 'ann', isStaff: false, tags: [] };
    const buffer = Buffer.alloc(options.readBytes ?? usualReadBytes);
    const callback = (length: number): boolean => {
      this.#parts.push(Buffer.from(buffer.subarray(0, length)));
      this.#reads -= 1;
      return this.#reads > 0;
    };
    const over = (): void => {
      this.isOver = true;
    };
    this.#socket = connect({ host: '127.0.0.1', port, onread: { buffer, callback } });
    this.#socket.on('connect', () => this.#socket.write(`${streamRequest(options)}\r\n`));
    this.#socket.on('error', over).on('end', over).on('close', over);
  }

  /** Stops to read. */
  stall(): void {
    this.#reads = 0;
    this.#socket.pause();
  }

  /** Lets it make some more reads; without a number, all that are to come. */
  read(times = Number.POSITIVE_INFINITY): void {
    this.#reads = times;
    this.#socket.resume();
  }

  get head(): string {
    const text = this.#bytes.toString('latin1');
    const end = text.indexOf('\r\n\r\n');
    return end === -1 ? '' : text.slice(0, end);
  }

  /** The body, without its framing. */
  get body(): Buffer {
    const bytes = this.#bytes;
    if (bytes.length !== this.#unframed.bytes) {
      const end = bytes.indexOf('\r\n\r\n');
      const sent = end === -1 ? Buffer.alloc(0) : bytes.subarray(end + 4);
      const body = isChunked(this.head) ? Buffer.concat(dechunk(sent).chunks) : sent;
      this.#unframed = { bytes: bytes.length, body };
    }
    return this.#unframed.body;
  }

  get isGzip(): boolean {
    return /^content-encoding: gzip$/im.test(this.head.replaceAll('\r', ''));
  }

  /** The stream as it is before compression. */
  get plain(): Buffer {
    const { body } = this;
    // Ours has no trailer, and what is cut off is not there yet.
    return this.isGzip && body.length > 0 ? gunzipSync(body, { finishFlush: zlib.Z_SYNC_FLUSH }) : body;
  }

  /** The events as text. */
  get text(): string {
    const { body } = this;
    if (body.length !== this.#read.bytes) this.#read = { bytes: body.length, text: this.plain.toString() };
    return this.#read.text;
  }

  get events(): readonly HeardEvent[] {
    return parseEventStream(this.plain);
  }

  named(event: string): readonly HeardEvent[] {
    return this.events.filter((one) => one.event === event);
  }

  /** All bytes of the connection, the head of the answer among them. */
  get byteCount(): number {
    return this.#bytes.length;
  }

  get #bytes(): Buffer {
    const [first] = this.#parts;
    const bytes = this.#parts.length === 1 && first !== undefined ? first : Buffer.concat(this.#parts);
    this.#parts.splice(0, this.#parts.length, bytes);
    return bytes;
  }

  /** Settles once it has its place in the room, so that whatever is written from now on is for it. */
  async seated(): Promise<this> {
    await waitFor(() => this.text.includes('\nevent: state\n') || this.text.startsWith('event: state\n'), {
      what: `${this.person.id} to be seated; it has ${this.head}`,
    });
    return this;
  }

  /** Settles once it has the entry with this id, or its stream is over. */
  async reaches(id: string, timeoutMs = 15_000): Promise<void> {
    const sought = `id: ${id}\n`;
    const has = (): boolean => (this.isGzip ? this.text : this.body).includes(sought);
    await waitFor(() => this.isOver || has(), {
      what: `${this.person.id} to get ${id}`,
      timeoutMs,
    });
  }

  /** The declared losses. */
  judge(ledger: Ledger, owed: 'everything' | 'a beginning'): readonly string[] {
    assert.match(this.head, /^HTTP\/1\.1 200 OK\r\n/);
    return judge(this.person, [{ bytes: this.body, isGzip: this.isGzip }], ledger, owed).declared;
  }

  close(): void {
    this.#socket.destroy();
  }
}
