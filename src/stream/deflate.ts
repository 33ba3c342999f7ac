/**
 * Shared compression. A gzip stream (RFC 1952) may hold any sequence of deflate blocks (RFC 1951), and a block that was
 * made with an empty window and ended by a sync flush is byte-aligned and refers to nothing before it. So bytes are
 * deflated once, and are valid at any place of any viewer's gzip stream.
 *
 * A stream that ends has no gzip trailer: its checksum would differ per viewer. To every client this looks like a
 * connection that was cut, which is what the end of an event stream is.
 */

import { constants, deflateRawSync } from 'node:zlib';

/** What a gzip stream begins with: no name, no time, unknown system. */
export const gzipHead: Buffer = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]);

/** Bytes that many viewers get, compressed so that they fit anywhere in a gzip stream. */
export const deflated = (plain: Buffer): Buffer =>
  deflateRawSync(plain, { level: 6, finishFlush: constants.Z_SYNC_FLUSH });

/** The most that one stored block holds, by its 16-bit length. */
const storedBytesMax = 65_535;

/**
 * Bytes that one viewer gets, uncompressed within the gzip stream: nobody can guess a secret from a compressed length
 * when a secret is never compressed beside other people's text.
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
