/**
 * `/ops/stream`: a gateway's live figures as Server-Sent Events, one `figures` event a second, for an operators' page.
 * The plugin suits few listeners and few bytes. Its queue has no bound, so it pulls from a source. Its framing lets a bare
 * CR forge events, so the data is JSON, which holds none. It leaves its streams open when the server closes, so they are
 * cut before that.
 */

import type { ServerResponse } from 'node:http';
import type { EventMessage, FastifyInstance } from 'fastify';
import { FastifySSEPlugin } from 'fastify-sse-v2';
import { Refusal } from '../errors.ts';
import type { Figures, SecondFigures } from './figures.ts';

/** Concurrent listeners; further ones are refused. */
export const listenersMax = 16;
/** When a cut listener reconnects. */
const retryMs = 2_000;

export function opsStream(admin: FastifyInstance, figures: Figures): void {
  const listeners = new Set<ServerResponse>();
  admin.register(FastifySSEPlugin, { retryDelay: retryMs });
  admin.get('/ops/stream', { exposeHeadRoute: false }, async (_request, reply) => {
    if (listeners.size >= listenersMax)
      throw new Refusal('overloaded', `This gateway serves at most ${listenersMax} figure streams.`);
    const over = new AbortController();
    const response = reply.raw;
    listeners.add(response);
    response.once('close', () => {
      listeners.delete(response);
      over.abort();
    });
    reply.header('x-content-type-options', 'nosniff');
    reply.sse(eventsOf(figures.follow(over.signal)));
    return reply;
  });
  admin.addHook('preClose', async () => {
    figures.close();
    for (const response of listeners) response.destroy();
  });
}

async function* eventsOf(all: AsyncIterable<SecondFigures>): AsyncGenerator<EventMessage> {
  for await (const figures of all) yield { event: 'figures', data: JSON.stringify(figures) };
}
