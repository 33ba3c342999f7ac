/**
 * Decides which pages of other origins may call (the CORS protocol, WHATWG Fetch). The plugin answers preflights and adds
 * headers; this file refuses first, with problem documents, what the plugin would refuse in plain text.
 */

import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';
import { Refusal } from '../errors.ts';

/** Headers that clients set beyond the safelist: for tokens and conditions, by habit, or for tracing. */
const allowedHeaders = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-Match',
  'If-None-Match',
  'Last-Event-ID',
  'Cache-Control',
  'Pragma',
  'X-Requested-With',
  'traceparent',
  'tracestate',
  'baggage',
  'sentry-trace',
];

/** Call it on the root instance, before any route. */
export async function registerCrossOrigin(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  app.addHook('onRequest', async ({ method, headers }, reply) => {
    if (method !== 'OPTIONS') return;
    const { origin, 'access-control-request-method': asked } = headers;
    // Not a preflight: OPTIONS is a method that is not served.
    if (origin === undefined || asked === undefined) return reply.callNotFound();
    if (!origins.includes(origin)) {
      throw new Refusal('origin-refused', 'The origin of the page is not in CORS_ORIGINS of this gateway.');
    }
    return undefined;
  });
  if (origins.length === 0) return;
  await app.register(cors, {
    origin: [...origins],
    credentials: true,
    methods: ['GET', 'POST', 'PUT', 'DELETE'],
    allowedHeaders,
    exposedHeaders: ['ETag', 'Retry-After'],
    maxAge: 86_400,
  });
}
