/**
 * Takes a socket over from Node's HTTP server once the request has been answered for: request, response and parser let
 * go of it, and what is written from now on, beginning with the response head as raw bytes, is the viewer's alone.
 *
 * The body is chunked where the client speaks HTTP/1.1, and else delimited by the end of the connection (RFC 9112, sections
 * 6.3 and 7.1); either is framed once for all viewers (`piece`). A proxy in front frames it as it likes.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** What Node's parser for HTTP offers beside its public face; each is looked for before it is called. */
interface Parser {
  unconsume?(): void;
  remove?(): void;
  close?(): void;
}

export type HeadFields = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** The listeners by which Node's server follows a connection. */
const serverEvents = ['data', 'end', 'close', 'drain', 'error', 'timeout', 'pause', 'resume', 'readable'];

/**
 * Settled when it is the response's turn on its connection: requests may be sent one behind the other without waiting,
 * and answers come in their order (RFC 9112, section 9.3.2). Until then the response has no socket. False where the
 * connection ended before.
 */
export function isInTurn({ socket }: IncomingMessage, response: ServerResponse): Promise<boolean> {
  if (response.socket !== null) return Promise.resolve(true);
  if (socket.destroyed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const onClose = (): void => resolve(false);
    socket.once('close', onClose);
    response.once('socket', () => {
      socket.off('close', onClose);
      resolve(true);
    });
  });
}

/** Hands the socket over; null where the client has already gone. */
export function takeOver(response: ServerResponse): Socket | null {
  const socket = response.socket;
  if (socket === null || socket.destroyed || !socket.writable) return null;
  response.detachSocket(socket);
  letGo(socket);
  socket.setTimeout(0);
  socket.setNoDelay(true);
  // What a client still sends is read and thrown away, so that its leaving is noticed.
  socket.on('error', () => socket.destroy());
  socket.on('end', () => socket.destroy());
  socket.resume();
  return socket;
}

/** What Node itself does when a connection is upgraded to another protocol: nothing that comes is read as HTTP any more. */
export function letGo(socket: Socket): void {
  const holder = socket as Socket & { parser?: Parser | null };
  const parser = holder.parser;
  for (const event of serverEvents) socket.removeAllListeners(event);
  if (parser) {
    parser.unconsume?.();
    parser.remove?.();
    // The parser may be the one that is calling us now, so it is closed in a later turn.
    setImmediate(() => parser.close?.());
    holder.parser = null;
  }
}

/** The head of a `200` as bytes, to go out in one write with what the stream begins with. */
export function headBytes(headers: HeadFields): Buffer {
  let head = 'HTTP/1.1 200 OK\r\n';
  for (const [name, value] of Object.entries(headers)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined) head += `${name}: ${String(one).replace(/[\r\n]/g, '')}\r\n`;
    }
  }
  return Buffer.from(`${head}\r\n`, 'latin1');
}
