/**
 * Assembles a gateway by hand, from top to bottom: the log, the hub, the routes, and the admin port. Reads no environment
 * and opens no port; `main` and the tests do.
 */

import { rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import fastifyStatic from '@fastify/static';
import swagger from '@fastify/swagger';
import Fastify, { type FastifyInstance } from 'fastify';
import { actions } from './actions/index.ts';
import { registerIdentity } from './auth/authenticator.ts';
import type { Clock } from './clock.ts';
import { answerBadHead, headBytesMax, headCheckMs, headMs } from './http/bad-head.ts';
import { withoutBase } from './http/base-path.ts';
import { registerCrossOrigin } from './http/cross-origin.ts';
import { deleteSession } from './http/delete-session.ts';
import { getEvents } from './http/get-events.ts';
import { getPages } from './http/get-pages.ts';
import { getRules } from './http/get-rules.ts';
import { getState } from './http/get-state.ts';
import { getStream } from './http/get-stream.ts';
import { loggerOptions } from './http/logging.ts';
import { acceptNormalTargets } from './http/normal-form.ts';
import { postAction } from './http/post-action.ts';
import { postSession } from './http/post-session.ts';
import { registerProblems, sendProblem } from './http/problem.ts';
import { putState } from './http/put-state.ts';
import { checkShape } from './http/schemas.ts';
import { trustOf } from './http/trusted-proxies.ts';
import { answerStrangers } from './http/unreadable.ts';
import { Drain } from './hub/drain.ts';
import { Hub } from './hub/hub.ts';
import { Pull } from './hub/pull.ts';
import { SharedPages } from './hub/shared-pages.ts';
import { SharedState } from './hub/shared-state.ts';
import type { Backend } from './log/backend.ts';
import { MemoryStore } from './log/memory/memory-log.ts';
import { PendingFlush } from './log/pending-flush.ts';
import type { Presence } from './log/presence.ts';
import { openRedis } from './log/redis/open-redis.ts';
import type { RoomLog } from './log/room-log.ts';
import { buildAdmin } from './ops/admin.ts';
import { LogCalls, watchCalls } from './ops/log-calls.ts';
import type { Settings } from './settings.ts';
import { packageVersion } from './version.ts';

export interface GatewayOptions {
  readonly settings: Settings;
  readonly clock: Clock;
  /** Signs the demo's tokens if no key is configured: at least 32 random bytes. */
  readonly ownSecret: string;
  /** Where log lines go. Absent: standard output. */
  readonly logTarget?: { write(line: string): void };
}

export interface Gateway {
  readonly app: FastifyInstance;
  readonly admin: FastifyInstance;
  readonly hub: Hub;
  readonly drain: Drain;
  readonly log: RoomLog;
  readonly presence: Presence;
  readonly servesDemo: boolean;
  /** Tokens are signed with `ownSecret`: no key is configured. */
  readonly hasOwnKey: boolean;
  /** Hands over the viewers within `DRAIN_MS`; requests are answered meanwhile. */
  leave(): Promise<void>;
  /** Ends the streams, finishes the requests, closes the log. */
  close(): Promise<void>;
}

/** Above the longest room id and part name, so that a too long one gets a refusal that says so. */
const pathPartMax = 200;
const requestTimeoutMs = 30_000;
/** How long a gateway still reads from a proxy after it has handed over its viewers. */
const lastWordsMs = 250;

export async function buildGateway(options: GatewayOptions): Promise<Gateway> {
  const { settings, clock } = options;
  const app = openServer(options);
  const logCalls = new LogCalls();
  const backend = await openBackend(settings, clock, app);
  const log = watchCalls(backend.log, logCalls, clock);
  const presence = watchCalls(backend.presence, logCalls, clock);
  const report = (error: unknown): void => app.log.error({ err: error }, 'stream failed: internal error');
  const hub = new Hub({ log, presence }, settings, clock, report);
  const drain = new Drain(hub, clock, settings.group);
  app.addHook('onSend', async (_request, reply) => {
    // A proxy must not use a kept connection while the gateway exits.
    if (drain.isDraining) reply.header('connection', 'close');
  });
  const pages = new SharedPages(log, clock, settings);
  const pendingFlush = new PendingFlush({ log, clock, countMs: settings.countMs, waitingMax: settings.roomsMax });
  let isClosing = false;
  const dropSilent = followSilent(app);
  // Streams have left the server's requests, so they end before it waits for its connections.
  app.addHook('preClose', async () => {
    isClosing = true;
    pendingFlush.close();
    pages.close();
    drain.close();
    await hub.close();
    dropSilent();
  });

  await registerPublic(app, settings);
  acceptNormalTargets(app);
  const authenticator = await registerIdentity(app, { settings, clock, ownSecret: options.ownSecret });
  await app.register(getStream({ hub, drain, authenticator, settings }));
  await app.register(getEvents({ pull: new Pull(hub, settings, clock), authenticator, settings }));
  await app.register(getState({ states: new SharedState(log), authenticator }));
  await app.register(getPages({ settings, pages, log, authenticator }));
  await app.register(getRules({ log, authenticator }));
  await app.register(putState({ settings, log, authenticator }));
  await app.register(postAction({ settings, actions, log, authenticator, pendingFlush }));
  await app.register(postSession({ presence, authenticator, settings, clock }));
  await app.register(deleteSession({ presence, authenticator, settings }));
  const servesDemo = settings.demo === 'on' || (settings.demo === 'auto' && !hasTokenKey(settings));
  if (servesDemo) await registerDemo(app, settings);

  const whyNotReady = (): string | null => {
    if (isClosing) return 'closing';
    const { trouble } = log.health();
    return trouble === null ? null : `the room log is unavailable: ${trouble}`;
  };
  const watched = { hub, log, handover: drain, logCalls, tokensRefused: authenticator.refused, clock };
  const node = { nodeId: settings.nodeId, group: settings.group, version: packageVersion() };
  const admin = buildAdmin({ ...node, whyNotReady, drain, watched, registerProblems, guard: settings });
  const ways = waysOut({ app, admin, drain, log }, options);
  return { app, admin, hub, drain, log, presence, servesDemo, hasOwnKey: !hasTokenKey(settings), ...ways };
}

type Leaving = Pick<Gateway, 'app' | 'admin' | 'drain' | 'log'>;

/** How a gateway ends, in order and in time. */
function waysOut({ app, admin, drain, log }: Leaving, options: GatewayOptions): Pick<Gateway, 'leave' | 'close'> {
  const { settings, clock } = options;
  let goneByMs = Number.POSITIVE_INFINITY;
  const leave = async (): Promise<void> => {
    goneByMs = clock.now() + settings.drainMs;
    // A proxy's idle connections stay open: it may be sending on one right now. Each ends with its next answer.
    await drain.leave(settings.drainMs);
    // A proxy that can no longer connect asks another gateway; open connections are still read.
    if (settings.listenSocket !== null) await rm(settings.listenSocket, { force: true });
    await new Promise<void>((resolve) => clock.after(Math.min(lastWordsMs, settings.drainMs), resolve));
  };
  const close = async (): Promise<void> => {
    const leftMs = Math.min(settings.drainMs, Math.max(0, goneByMs - clock.now()));
    const cut = clock.after(leftMs, () => app.server.closeAllConnections());
    await app.close();
    cut.cancel();
    await log.close();
    await admin.close();
  };
  return { leave, close };
}

/** The server, before anything is registered on it. */
function openServer({ settings, clock, logTarget }: GatewayOptions): FastifyInstance {
  const rewriteUrl = ({ url = '/' }: IncomingMessage): string => withoutBase(url, settings.basePath);
  return Fastify({
    logger: loggerOptions(settings, logTarget),
    logController: new Fastify.LogController({ disableRequestLogging: true }),
    frameworkErrors: (error, request, reply) => void sendProblem(error, request, reply),
    ...(settings.basePath === '' ? {} : { rewriteUrl }),
    trustProxy: trustOf(settings.trustedProxies),
    requestTimeout: requestTimeoutMs,
    http: {
      maxHeaderSize: headBytesMax,
      headersTimeout: headMs,
      connectionsCheckingInterval: headCheckMs,
      requireHostHeader: false,
    },
    clientErrorHandler: answerBadHead(clock),
    // Requests already sent are answered: the proxy could not retry a write on another gateway.
    return503OnClosing: false,
    routerOptions: { maxParamLength: pathPartMax },
  });
}

/**
 * Tracks connections without a request; the returned function drops them. Browsers open such connections in advance, and a
 * closing server takes them for busy and waits for them.
 */
function followSilent({ server }: FastifyInstance): () => void {
  const silent = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  // From here on the request, or the answer to a bad head, owns the socket.
  server.on('request', ({ socket }: IncomingMessage) => void silent.delete(socket));
  server.on('clientError', (_error: Error, socket: Socket) => void silent.delete(socket));
  return () => {
    for (const socket of silent) socket.destroy();
  };
}

const hasTokenKey = (settings: Settings): boolean =>
  [settings.tokenSecret, settings.tokenPublicKey, settings.tokenJwksUrl].some((key) => key !== null);

function openBackend(settings: Settings, clock: Clock, app: FastifyInstance): Promise<Backend> {
  if (settings.redisUrl !== null) return openRedis(settings, settings.nodeId, { clock, logger: app.log });
  return Promise.resolve(new MemoryStore(settings, clock).open(settings.nodeId));
}

/** Common to all public routes: problem documents, the OpenAPI document, and CORS. */
async function registerPublic(app: FastifyInstance, settings: Settings): Promise<void> {
  registerProblems(app);
  app.setValidatorCompiler(checkShape);
  app.decorateRequest('caller');
  answerStrangers(app);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Ringside',
        description:
          'A Server-Sent Events gateway for live rooms: viewers read plain Server-Sent Events, writers send plain POSTs.',
        version: packageVersion(),
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: settings.basePath === '' ? '/' : settings.basePath }],
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' },
          cookie: { type: 'apiKey', in: 'cookie', name: 'ringside', description: 'Set by the session route.' },
          query: { type: 'apiKey', in: 'query', name: 'access_token', description: 'On GET only.' },
        },
      },
      security: [{ token: [] }, { cookie: [] }],
    },
  });
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  await registerCrossOrigin(app, settings.corsOrigins);
}

/** The demo room, from its folder, under a strict content security policy. */
async function registerDemo(app: FastifyInstance, { basePath }: Settings): Promise<void> {
  app.get('/demo', { schema: { hide: true } }, async (request, reply) =>
    reply.redirect(`${basePath}/demo/${request.url.slice('/demo'.length)}`),
  );
  await app.register(fastifyStatic, {
    root: new URL('../pages/demo', import.meta.url),
    prefix: '/demo/',
    cacheControl: false,
    setHeaders: (reply) => {
      reply.header('cache-control', 'no-cache');
      reply.header('content-security-policy', "default-src 'self'; frame-ancestors 'none'");
      reply.header('referrer-policy', 'no-referrer');
      reply.header('x-content-type-options', 'nosniff');
    },
  });
}
