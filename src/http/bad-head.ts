/**
 * Answers heads that never become a request: too large, too slow, or not HTTP. They get a problem document like any other
 * refusal, and the connection ends, because the rest of its bytes cannot be parsed.
 */

import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../clock.ts';
import { Refusal } from '../errors.ts';
import { letGo } from '../stream/take-over.ts';
import { describeProblem } from './problem.ts';

/**
 * Bytes of a head. nginx accepts four lines of 16 KiB each, adds some of its own, and counts differently from Node.
 * Whatever passes nginx must be read here, or a browser with many cookies would get an error that ends its EventSource.
 */
export const headBytesMax = 128 * 1024;
/** How long a head may take to arrive, and how often that is checked. */
export const headMs = 20_000;
export const headCheckMs = 2_000;
/** How long to read on after the answer: a reset would take it from a client that is still sending (RFC 9112, 9.6). */
const lingerMs = 1_000;

interface Held {
  /** Node's own field: the response that is being written on the connection. */
  _httpMessage?: unknown;
}

/** The server's `clientErrorHandler`. */
export function answerBadHead(clock: Clock): (error: NodeJS.ErrnoException, socket: Socket) => void {
  return (error, socket) => {
    // Ours would cut a pending answer in two.
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

/** Answers on a bare socket. It is the connection's last answer. */
export function endWith(socket: Socket, refusal: Refusal): void {
  socket.end(problemBytes(refusal));
}

function problemBytes(refusal: Refusal): string {
  const { status, headers, body } = describeProblem(refusal, '');
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = `content-length: ${Buffer.byteLength(body)}\r\n`;
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}${length}connection: close\r\n\r\n${body}`;
}
