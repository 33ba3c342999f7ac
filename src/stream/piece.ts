/**
 * Bytes on their way to viewers, in both encodings. A shared piece is encoded, and where a viewer wants gzip deflated,
 * once for everybody; a private piece is for one viewer and is stored in its gzip stream as it is.
 */

import { deflated, stored } from './deflate.ts';

export type Encoding = 'identity' | 'gzip';

export class Piece {
  readonly plain: Buffer;
  readonly #pack: (plain: Buffer) => Buffer;
  #packed: Buffer | null = null;

  private constructor(plain: Buffer, pack: (plain: Buffer) => Buffer) {
    this.plain = plain;
    this.#pack = pack;
  }

  static shared(plain: Buffer | string): Piece {
    return new Piece(typeof plain === 'string' ? Buffer.from(plain) : plain, deflated);
  }

  static private(plain: Buffer | string): Piece {
    return new Piece(typeof plain === 'string' ? Buffer.from(plain) : plain, stored);
  }

  /** The bytes for a viewer's encoding; the packed form is made when the first viewer needs it. */
  bytes(encoding: Encoding): Buffer {
    if (encoding === 'identity') return this.plain;
    this.#packed ??= this.#pack(this.plain);
    return this.#packed;
  }
}
