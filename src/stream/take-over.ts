/**
 * Takes a socket over from Node's HTTP server: request, response and parser release it, and from then on only the viewer
 * writes to it, beginning with the response head as raw bytes.
 *
 * The body is chunked for HTTP/1.1, and otherwise delimited by the end of the connection (RFC 9112, sections 6.3 and 7.1).
 * Either is framed once for all viewers (`piece`). A proxy in front frames it as it likes.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Undocumented members of Node's HTTP parser; each is looked for before it is called. */
interface Parser {
  unconsume?(): void;
  remove?(): void;
  close?(): void;
}

export type HeadFields = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** The listeners by which Node's server follows a connection. */
const serverEvents = ['data', 'end', 'close', 'drain', 'error', 'timeout', 'pause', 'resume', 'readable'];

/**
 * Settles when it is the response's turn on its connection: requests may be pipelined, and answers come in their order
 * (RFC 9112, section 9.3.2). Until then the response has no socket. False if the connection ended before.
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

/** Hands over the socket; null if the client has already gone. */
export function takeOver(response: ServerResponse): Socket | null {
  const socket = response.socket;
  if (socket === null || socket.destroyed || !socket.writable) return null;
  response.detachSocket(socket);
  letGo(socket);
  socket.setTimeout(0);
  socket.setNoDelay(true);
  // Further bytes of the client are read and discarded, so that its leaving is noticed.
  socket.on('error', () => socket.destroy());
  socket.on('end', () => socket.destroy());
  socket.resume();
  return socket;
}

/** As Node does when a connection is upgraded: nothing that arrives is parsed as HTTP any more. */
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

/** The head of a `200` as bytes, to be written together with the first bytes of the stream. */
export function headBytes(headers: HeadFields): Buffer {
  let head = 'HTTP/1.1 200 OK\r\n';
  for (const [name, value] of Object.entries(headers)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined) head += `${name}: ${String(one).replace(/[\r\n]/g, '')}\r\n`;
    }
  }
  return Buffer.from(`${head}\r\n`, 'latin1');
}
