/**
 * What never becomes a request: a head that is too large, too slow, or no HTTP. It is answered like any other refusal,
 * and the connection ends: what follows on it cannot be told apart any more.
 */

import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import { Refusal } from '../errors.ts';
import { letGo } from '../stream/take-over.ts';
import { describeProblem } from './problem.ts';

/**
 * Bytes of a head. nginx takes four lines of 16 KiB each, adds some of its own, and counts otherwise than Node; whatever
 * it lets pass is read here, or a browser with many cookies would be told something that ends its EventSource.
 */
export const headBytesMax = 128 * 1024;
/** How long a head may take to arrive, and how often that is looked at. */
export const headMs = 20_000;
export const headCheckMs = 2_000;
/** How long is read on after the answer: a client that is still sending would lose it to a reset (RFC 9112, 9.6). */
const lingerMs = 1_000;

interface Held {
  /** The response that is being written on the connection, by Node's own account. */
  _httpMessage?: unknown;
}

/** What `clientErrorHandler` of the server is to do. */
export function answerBadHead(clock: Clock): (error: NodeJS.ErrnoException, socket: Socket) => void {
  return (error, socket) => {
    // An answer that is under way would be cut in two by ours.
    const isFree = socket.writable && !(socket as Held)._httpMessage;
    if (!isFree || error.code === 'ECONNRESET') {
      socket.destroy();
      return;
    }
    letGo(socket);
    const linger = clock.after(lingerMs, () => socket.destroy());
    socket.on('close', () => linger.cancel());
    socket.on('error', () => socket.destroy());
    endWith(socket, refusalOf(error));
    socket.resume();
  };
}

function refusalOf({ code }: NodeJS.ErrnoException): Refusal {
  if (code === 'HPE_HEADER_OVERFLOW')
    return new Refusal('head-too-large', `The request line and headers must not exceed ${headBytesMax} bytes.`);
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Refusal('too-slow', 'The request did not arrive in time.');
  if (code === 'HPE_INVALID_METHOD') return new Refusal('malformed', 'The method is unknown.');
  return new Refusal('malformed', 'The request is not valid HTTP/1.1.');
}

/** Answers where there is no response to do it by. It is the connection's last. */
export function endWith(socket: Socket, refusal: Refusal): void {
  socket.end(problemBytes(refusal));
}

function problemBytes(refusal: Refusal): string {
  const { status, headers, body } = describeProblem(refusal, '');
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = `content-length: ${Buffer.byteLength(body)}\r\n`;
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}${length}connection: close\r\n\r\n${body}`;
}
