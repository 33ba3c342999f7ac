/**
 * The HTTP side of the stream route: its headers, and the soft refusal. A native EventSource gives up for good on any
 * status but 200 (WHATWG HTML, "Server-sent events"), so overload and shutdown are reported inside an event stream.
 */

import type { IncomingMessage } from 'node:http';
import type { FastifyReply } from 'fastify';
import type { Encoding, Framing } from '../stream/piece.ts';
import { type EndingCause, lastFrame } from '../stream/viewer.ts';

type Headers = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** RFC 9110, section 12.5.3: gzip if it or `*` is named, and not with a weight of 0. */
export function encodingFor(acceptEncoding: string | undefined): Encoding {
  const weights = new Map<string, number>();
  for (const item of (acceptEncoding ?? '').toLowerCase().split(',')) {
    const [coding = '', ...parameters] = item.split(';').map((part) => part.trim());
    const weight = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2);
    weights.set(coding, weight === undefined ? 1 : Number(weight));
  }
  const weight = weights.get('gzip') ?? weights.get('x-gzip') ?? weights.get('*') ?? 0;
  return weight > 0 ? 'gzip' : 'identity';
}

/** HTTP/1.0 has no chunks (RFC 9112, section 6.1). */
export const framingFor = ({ httpVersionMajor, httpVersionMinor }: IncomingMessage): Framing =>
  httpVersionMajor === 1 && httpVersionMinor >= 1 ? 'chunked' : 'close';

/** The head of a stream, with headers that hooks have set on the reply, such as CORS headers. */
export function streamHeaders(reply: FastifyReply, encoding: Encoding, framing: Framing): Headers {
  const vary = [reply.getHeader('vary'), 'Accept-Encoding'].filter((one) => one !== undefined).join(', ');
  return {
    ...reply.getHeaders(),
    ...eventStreamHeaders,
    vary,
    ...(encoding === 'gzip' ? { 'content-encoding': 'gzip' } : {}),
    ...(framing === 'chunked' ? { 'transfer-encoding': 'chunked' } : {}),
    date: new Date().toUTCString(),
    connection: 'close',
  };
}

const eventStreamHeaders = {
  'content-type': 'text/event-stream',
  // A compressing proxy would hold a stream back until its buffer is full; this forbids it (RFC 9111, section 5.2.2.6).
  'cache-control': 'no-store, no-transform',
  // Tells nginx to pass every write on at once.
  'x-accel-buffering': 'no',
  'x-content-type-options': 'nosniff',
};

/** The soft refusal: 200, when to retry, and the end of the stream. */
export function comeBackLater(reply: FastifyReply, cause: EndingCause, retryMs: number): FastifyReply {
  return reply.code(200).headers(eventStreamHeaders).send(lastFrame(cause, { retryMs }));
}
