/**
 * Bytes for viewers, in both encodings and both framings. A shared piece is encoded, deflated (for gzip) and framed as a
 * chunk (for HTTP/1.1) once for all viewers. A private piece is for one viewer and is stored uncompressed in its gzip
 * stream.
 */

import { chunk, lastChunk } from './chunk.ts';
import { deflated, stored } from './deflate.ts';

export type Encoding = 'identity' | 'gzip';
/** How the body ends: with a last chunk, or with the connection (HTTP/1.0). */
export type Framing = 'chunked' | 'close';

type Pack = (plain: Buffer) => Buffer;

export class Piece {
  readonly plain: Buffer;
  /** The number of log entries in it. */
  readonly entries: number;
  readonly #pack: Pack;
  readonly #isLast: boolean;
  #packed: Buffer | null = null;
  #plainChunk: Buffer | null = null;
  #packedChunk: Buffer | null = null;

  private constructor(plain: Buffer | string, pack: Pack, entries: number, { isLast = false } = {}) {
    this.plain = typeof plain === 'string' ? Buffer.from(plain) : plain;
    this.entries = entries;
    this.#pack = pack;
    this.#isLast = isLast;
  }

  static shared(plain: Buffer | string, entries = 0): Piece {
    return new Piece(plain, deflated, entries);
  }

  static private(plain: Buffer | string, entries = 0): Piece {
    return new Piece(plain, stored, entries);
  }

  /** Private, and with it the body is over. */
  static last(plain: string): Piece {
    return new Piece(plain, stored, 0, { isLast: true });
  }

  /** The bytes in a viewer's form; each form is made when the first viewer needs it. */
  bytes(encoding: Encoding, framing: Framing = 'close'): Buffer {
    if (encoding === 'identity') {
      if (framing === 'close') return this.plain;
      this.#plainChunk ??= this.#chunk(this.plain);
      return this.#plainChunk;
    }
    this.#packed ??= this.#pack(this.plain);
    if (framing === 'close') return this.#packed;
    this.#packedChunk ??= this.#chunk(this.#packed);
    return this.#packedChunk;
  }

  #chunk(body: Buffer): Buffer {
    return this.#isLast ? Buffer.concat([chunk(body), lastChunk]) : chunk(body);
  }
}
