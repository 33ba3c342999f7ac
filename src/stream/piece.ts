/**
 * Bytes on their way to viewers, in both encodings. A shared piece is encoded, and where a viewer wants gzip deflated,
 * once for everybody; a private piece is for one viewer and is stored in its gzip stream as it is.
 */

import { deflated, stored } from './deflate.ts';

export type Encoding = 'identity' | 'gzip';

export class Piece {
  readonly plain: Buffer;
  /** Entries of a log in it. */
  readonly entries: number;
  readonly #pack: (plain: Buffer) => Buffer;
  #packed: Buffer | null = null;

  private constructor(plain: Buffer | string, pack: (plain: Buffer) => Buffer, entries: number) {
    this.plain = typeof plain === 'string' ? Buffer.from(plain) : plain;
    this.entries = entries;
    this.#pack = pack;
  }

  static shared(plain: Buffer | string, entries = 0): Piece {
    return new Piece(plain, deflated, entries);
  }

  static private(plain: Buffer | string, entries = 0): Piece {
    return new Piece(plain, stored, entries);
  }

  /** The bytes for a viewer's encoding; the packed form is made when the first viewer needs it. */
  bytes(encoding: Encoding): Buffer {
    if (encoding === 'identity') return this.plain;
    this.#packed ??= this.#pack(this.plain);
    return this.#packed;
  }
}
