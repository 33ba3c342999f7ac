/**
 * What Node's server would answer by itself, before there is a request or beside it: bytes that its parser refuses, an
 * expectation, a tunnel. All of it is answered as a problem document; nothing of what was sent is in it.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { FastifyInstance, FastifyServerOptions } from 'fastify';
import { Refusal, refusals } from '../errors.ts';
import { describeProblem } from './problem.ts';

const details: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: 'The head of the request is too large.',
  HPE_INVALID_METHOD: 'The method is not one that is known here.',
  ERR_HTTP_REQUEST_TIMEOUT: 'The request did not come within its time.',
};

/** For `fastify({ clientErrorHandler })`. */
export const answerUnreadable: NonNullable<FastifyServerOptions['clientErrorHandler']> = (error, socket) => {
  // Who has gone, or is being given an answer, can be told nothing.
  const { _httpMessage: answer } = socket as typeof socket & { _httpMessage?: ServerResponse | null };
  if (error.code !== 'ECONNRESET' && socket.writable && !answer?.headersSent) {
    writeProblem(socket, new Refusal('malformed', details[error.code] ?? 'The request cannot be read as HTTP/1.1.'));
  }
  socket.destroy();
};

/** Answers what reaches no route. The server is to be made with `requireHostHeader: false`. */
export function answerStrangers(app: FastifyInstance): void {
  const { server } = app;
  app.addHook('onRequest', async ({ headers, raw }) => {
    if (headers.host === undefined && raw.httpVersion === '1.1') throw new Refusal('malformed', 'Send a Host.');
  });
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    const refusal = new Refusal('expectation-failed', 'Expect can only be 100-continue.');
    const { status, headers, body } = describeProblem(refusal, '');
    response.writeHead(status, { ...headers, connection: 'close' }).end(body);
  });
  server.on('connect', (_request: IncomingMessage, socket: Socket) => {
    socket.on('error', () => socket.destroy());
    writeProblem(socket, new Refusal('malformed', 'This is no proxy: it opens no tunnels.'));
    socket.destroySoon();
  });
}

/** As raw bytes: there is no response to write it by. */
function writeProblem(stream: Pick<Duplex, 'write'>, refusal: Refusal): void {
  const { status, headers, body } = describeProblem(refusal, '');
  const lines = Object.entries({ ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  stream.write(`HTTP/1.1 ${status} ${refusals[refusal.code].title}\r\n${head}\r\n${body}`);
}
