/**
 * Answers what Node's server would otherwise answer by itself: a missing Host, an expectation, a tunnel. The problem
 * document holds nothing of the request.
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { Refusal } from '../errors.ts';
import { endWith } from './bad-head.ts';
import { describeProblem } from './problem.ts';

/** Answers requests that reach no route. The server needs `requireHostHeader: false`. */
export function answerStrangers(app: FastifyInstance): void {
  const { server } = app;
  app.addHook('onRequest', async ({ headers, raw }) => {
    if (headers.host === undefined && raw.httpVersion === '1.1')
      throw new Refusal('malformed', 'The Host header is missing.');
  });
  server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
    const refusal = new Refusal('expectation-failed', 'Expect must be 100-continue.');
    const { status, headers, body } = describeProblem(refusal, '');
    response.writeHead(status, { ...headers, connection: 'close' }).end(body);
  });
  server.on('connect', (_request: IncomingMessage, socket: Socket) => {
    socket.on('error', () => socket.destroy());
    endWith(socket, new Refusal('malformed', 'CONNECT is not supported.'));
  });
}
