/**
 * Shared compression. A gzip stream (RFC 1952) may hold any sequence of deflate blocks (RFC 1951), and a block that was
 * made with an empty window and ended by a sync flush is byte-aligned and refers to nothing before it. So bytes are
 * deflated once, and are valid at any place of any viewer's gzip stream.
 *
 * A stream that ends has no gzip trailer: its checksum would differ per viewer. To every client this looks like a
 * cut connection, which is how every event stream ends.
 */

import { constants, deflateRawSync } from 'node:zlib';

/** The header of a gzip stream: no name, no time, unknown system. */
export const gzipHead: Buffer = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);

/** Bytes that many viewers get, compressed so that they fit anywhere in a gzip stream. */
export const deflated = (plain: Buffer): Buffer =>
  deflateRawSync(plain, { level: 6, finishFlush: constants.Z_SYNC_FLUSH });

/** The most bytes of one stored block, by its 16-bit length. */
const storedBytesMax = 65_535;

/**
 * Bytes for one viewer, uncompressed within the gzip stream. A secret is never compressed next to other people's text, so
 * no compressed length can reveal it.
 */
export function stored(plain: Buffer): Buffer {
  const blocks: Buffer[] = [];
  for (let from = 0; from < plain.length; from += storedBytesMax) {
    const part = plain.subarray(from, from + storedBytesMax);
    const head = Buffer.alloc(5);
    head.writeUInt16LE(part.length, 1);
    head.writeUInt16LE(part.length ^ 0xffff, 3);
    blocks.push(head, part);
  }
  return Buffer.concat(blocks);
}
