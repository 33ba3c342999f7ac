/**
 * The admin port: liveness, readiness, figures, the room list, and orders to hand over viewers. Loopback by default; nginx
 * does not route to it.
 */

import Fastify, { type FastifyInstance } from 'fastify';
import type { Clock } from '../clock.ts';
import { type AdminGuardOptions, guardAdmin } from './admin-guard.ts';
import { type Drain, opsRooms } from './admin-rooms.ts';
import { opsStream } from './admin-stream.ts';
import { Figures } from './figures.ts';
import { LoopDelay } from './loop-delay.ts';
import { Metrics } from './metrics.ts';
import type { Sources } from './sources.ts';

/** Sources of figures besides the admin port's own. */
interface Watched extends Pick<Sources, 'hub' | 'log' | 'handover' | 'logCalls' | 'tokensRefused'> {
  readonly clock: Clock;
}

export interface AdminOptions {
  /** Why this gateway accepts no traffic now; null if it does. */
  readonly whyNotReady: () => string | null;
  /** The viewers of this node. Absent: no room routes. */
  readonly drain?: Drain;
  /** The sources of `/metrics` and `/ops/stream`. Absent: neither is served. */
  readonly watched?: Watched;
  /** The node that `/ops/rooms` names. */
  readonly nodeId?: string;
  readonly group?: string;
  /** Of this program. */
  readonly version?: string;
  /** The guard. Absent: callers that use this machine's own name; orders require no token. */
  readonly guard?: AdminGuardOptions;
  /** Registers the answers for refusals. Absent: Fastify's. */
  readonly registerProblems?: (admin: FastifyInstance) => void;
}

export function buildAdmin(options: AdminOptions): FastifyInstance {
  const { whyNotReady, drain, watched, nodeId = '', group = '', version = '' } = options;
  const admin = Fastify({ logger: false });
  options.registerProblems?.(admin);
  guardAdmin(admin, options.guard ?? { adminHost: '127.0.0.1', adminHosts: [], adminToken: null });
  const whyNot = (): string | null => whyNotReady() ?? (drain?.isDraining ? 'draining' : null);
  admin.get('/livez', async () => ({ status: 'alive', version, node: nodeId, group }));
  admin.get('/readyz', async (_request, reply) => {
    const reason = whyNot();
    const risks = watched?.log.health().risks ?? [];
    const more = risks.length === 0 ? {} : { risks };
    return reason === null
      ? { status: 'ready', ...more }
      : reply.code(503).send({ status: 'not ready', reason, ...more });
  });
  if (watched !== undefined) {
    const isReady = (): boolean => whyNot() === null;
    const loopDelay = new LoopDelay(watched.clock);
    admin.addHook('preClose', async () => loopDelay.close());
    const sources = { ...watched, nodeId, group, version, isReady, loopDelay };
    opsMetrics(admin, new Metrics(sources));
    opsStream(admin, new Figures(sources, watched.clock));
  }
  if (drain !== undefined) opsRooms(admin, { drain, nodeId, group });
  return admin;
}

function opsMetrics(admin: FastifyInstance, metrics: Metrics): void {
  admin.get('/metrics', async (_request, reply) => {
    reply.header('cache-control', 'no-store').type(metrics.contentType);
    return metrics.text();
  });
}
