/**
 * A socket that a test can hold: it takes bytes as a kernel would, stalls when it is told to, and keeps what arrived.
 * Only as much of `net.Socket` as a viewer uses.
 */

import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';

export class FakeSocket extends EventEmitter {
  destroyed = false;
  writable = true;
  #isStalled = false;
  #waiting: { bytes: Buffer; done: (() => void) | undefined }[] = [];
  readonly #received: Buffer[] = [];

  /** The type that a viewer asks for. */
  get asSocket(): Socket {
    return this as unknown as Socket;
  }

  /** Bytes that wait because the reader reads nothing. */
  get writableLength(): number {
    return this.#waiting.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** What reached the reader so far, and is handed out once. */
  take(): Buffer {
    return Buffer.concat(this.#received.splice(0));
  }

  write(bytes: Buffer | string, done?: () => void): boolean {
    if (this.destroyed) return false;
    const buffer = typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes;
    if (this.#isStalled || this.#waiting.length > 0) this.#waiting.push({ bytes: buffer, done });
    else this.#deliver(buffer, done);
    return !this.#isStalled;
  }

  /** The reader stops reading. */
  stall(): void {
    this.#isStalled = true;
  }

  /** The reader reads all there is, and goes on reading. */
  drain(): void {
    this.#isStalled = false;
    for (const { bytes, done } of this.#waiting.splice(0)) this.#deliver(bytes, done);
  }

  end(): void {
    this.writable = false;
    this.destroy();
  }

  destroy(): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this.#waiting = [];
    setImmediate(() => this.emit('close'));
    return this;
  }

  #deliver(bytes: Buffer, done: (() => void) | undefined): void {
    this.#received.push(bytes);
    if (done) setImmediate(done);
  }
}
