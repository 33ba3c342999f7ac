/** Reads the chunks of an HTTP/1.1 body (RFC 9112, section 7.1), independently of what writes them. */

import assert from 'node:assert/strict';

export interface Dechunked {
  /** What the chunks hold that are whole so far, one by one. */
  readonly chunks: readonly Buffer[];
  /** Whether the last chunk has come. */
  readonly isOver: boolean;
}

/** Fails where what is there is no chunks, or anything follows the last one. What has come in part is left aside. */
export function dechunk(body: Buffer): Dechunked {
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const end = body.indexOf('\r\n', at);
    if (end === -1) return { chunks, isOver: false };
    const line = body.toString('latin1', at, end);
    assert.match(line, /^[0-9a-f]+$/, 'a chunk begins with its size');
    const size = Number.parseInt(line, 16);
    const from = end + 2;
    if (body.length < from + size + 2) return { chunks, isOver: false };
    assert.equal(body.toString('latin1', from + size, from + size + 2), '\r\n', 'a chunk ends with a line end');
    at = from + size + 2;
    if (size === 0) {
      assert.equal(at, body.length, 'nothing follows the last chunk');
      return { chunks, isOver: true };
    }
    chunks.push(body.subarray(from, from + size));
  }
}

export const isChunked = (head: string): boolean => /^transfer-encoding: chunked\r?$/im.test(head);
