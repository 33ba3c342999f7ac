/**
 * Bytes on their way to viewers, in both encodings and both framings. A shared piece is encoded, where a viewer wants gzip
 * deflated, and where it speaks HTTP/1.1 framed as a chunk, once for everybody; a private piece is for one viewer and is
 * stored in its gzip stream as it is.
 */

import { chunk, lastChunk } from './chunk.ts';
import { deflated, stored } from './deflate.ts';

export type Encoding = 'identity' | 'gzip';
/** Where the body ends: with its last chunk, or with the connection, which is all that HTTP/1.0 knows. */
export type Framing = 'chunked' | 'close';

type Pack = (plain: Buffer) => Buffer;

export class Piece {
  readonly plain: Buffer;
  /** Entries of a log in it. */
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

  /** The bytes as a viewer takes them; each form is made when the first viewer needs it. */
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
