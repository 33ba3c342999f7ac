/**
 * The second port, for those who run the gateway: whether the process lives, and whether it wants traffic. Loopback by
 * default; nginx does not route to it.
 */

import Fastify, { type FastifyInstance } from 'fastify';

export interface AdminOptions {
  /** Why this gateway wants no traffic now; null where it does. */
  readonly whyNotReady: () => string | null;
}

export function buildAdmin({ whyNotReady }: AdminOptions): FastifyInstance {
  const admin = Fastify({ logger: false });
  admin.get('/livez', async () => ({ status: 'alive' }));
  admin.get('/readyz', async (_request, reply) => {
    const reason = whyNotReady();
    return reason === null ? { status: 'ready' } : reply.code(503).send({ status: 'not ready', reason });
  });
  return admin;
}
