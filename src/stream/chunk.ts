/**
 * Chunks of HTTP/1.1 (RFC 9112, section 7.1). The size line depends only on the bytes, so one chunk fits any viewer's
 * body, as a deflated block does. Clients deliver a chunk once it is complete; without chunks, many deliver nothing until
 * a buffer is full.
 */

const nothing = Buffer.alloc(0);

/** Ends a body. */
export const lastChunk: Buffer = Buffer.from('0\r\n\r\n', 'latin1');

/** Nothing for no bytes: a chunk of size 0 would end the body. */
export function chunk(body: Buffer): Buffer {
  if (body.length === 0) return nothing;
  const size = `${body.length.toString(16)}\r\n`;
  const whole = Buffer.allocUnsafe(size.length + body.length + 2);
  whole.write(size, 0, 'latin1');
  body.copy(whole, size.length);
  whole.write('\r\n', size.length + body.length, 'latin1');
  return whole;
}
