/**
 * The second port, for those who run the gateway: whether the process lives, and whether it wants traffic; and, where
 * there is a floor, who watches what, and orders to hand viewers over. Loopback by default; nginx does not route to it.
 */

import Fastify, { type FastifyInstance } from 'fastify';
import { type Floor, opsRooms } from './admin-rooms.ts';

export interface AdminOptions {
  /** Why this gateway wants no traffic now; null where it does. */
  readonly whyNotReady: () => string | null;
  /** The viewers of this node. Absent: nothing is said of them. */
  readonly floor?: Floor;
  /** As whom `/ops/rooms` answers. */
  readonly nodeId?: string;
  readonly group?: string;
  /** Registers how refusals are told. Absent: as Fastify does. */
  readonly registerProblems?: (admin: FastifyInstance) => void;
}

export function buildAdmin(options: AdminOptions): FastifyInstance {
  const { whyNotReady, floor, nodeId = '', group = '' } = options;
  const admin = Fastify({ logger: false });
  options.registerProblems?.(admin);
  admin.get('/livez', async () => ({ status: 'alive' }));
  admin.get('/readyz', async (_request, reply) => {
    const reason = whyNotReady() ?? (floor?.isDraining ? 'draining' : null);
    return reason === null ? { status: 'ready' } : reply.code(503).send({ status: 'not ready', reason });
  });
  if (floor !== undefined) opsRooms(admin, { floor, nodeId, group });
  return admin;
}
