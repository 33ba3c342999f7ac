/** The routes of `src/http` on a Fastify instance, for `app.inject`. No port is opened. */

import Fastify, { type FastifyInstance } from 'fastify';
import { actions as allActions } from '../../src/actions/index.ts';
import { type Authenticator, type IdentityOptions, registerIdentity } from '../../src/auth/authenticator.ts';
import { getPages } from '../../src/http/get-pages.ts';
import { getRules } from '../../src/http/get-rules.ts';
import { getState } from '../../src/http/get-state.ts';
import { loggerOptions } from '../../src/http/logging.ts';
import { type PostActionOptions, postAction } from '../../src/http/post-action.ts';
import { registerProblems, sendProblem } from '../../src/http/problem.ts';
import { putState } from '../../src/http/put-state.ts';
import { checkShape, roomOf } from '../../src/http/schemas.ts';
import { SharedPages } from '../../src/hub/shared-pages.ts';
import { SharedState } from '../../src/hub/shared-state.ts';
import { MemoryStore } from '../../src/log/memory/memory-log.ts';
import { PendingFlush } from '../../src/log/pending-flush.ts';
import type { RoomLog } from '../../src/log/room-log.ts';
import { readSettings } from '../../src/settings.ts';
import { FakeClock } from './fake-clock.ts';
import { secret } from './tokens.ts';

export interface BuildOptions {
  /** Added to `TOKEN_SECRET`, unless this brings a key of its own. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly actions?: PostActionOptions['actions'];
  /** Put in front of the log; absent methods are the log's own. */
  readonly log?: Partial<RoomLog>;
  readonly fetch?: NonNullable<IdentityOptions['fetch']>;
  readonly ownSecret?: string;
}

export interface Built {
  readonly app: FastifyInstance;
  readonly clock: FakeClock;
  readonly log: RoomLog;
  readonly authenticator: Authenticator;
  readonly pendingFlush: PendingFlush;
  /** What was logged so far. */
  readonly lines: string[];
  close(): Promise<void>;
}

export async function buildHttp(options: BuildOptions = {}): Promise<Built> {
  const key = Object.keys(options.environment ?? {}).some((name) =>
    /^TOKEN_(?:SECRET|PUBLIC_KEY|JWKS_URL)$/.test(name),
  );
  const settings = readSettings({
    ...(key || options.ownSecret !== undefined ? {} : { TOKEN_SECRET: secret }),
    ...options.environment,
  });
  const clock = new FakeClock({ startMs: Date.now() });
  const own = new MemoryStore(settings, clock).open('node-a').log;
  const log = wrap(own, options.log ?? {});
  const lines: string[] = [];
  const app = Fastify({
    logger: loggerOptions(settings, { write: (line) => void lines.push(line) }),
    frameworkErrors: (error, request, reply) => void sendProblem(error, request, reply),
  });
  registerProblems(app);
  app.setValidatorCompiler(checkShape);
  app.decorateRequest('caller');
  const authenticator = await registerIdentity(app, {
    settings,
    clock,
    ownSecret: options.ownSecret ?? '',
    ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
  });
  const pendingFlush = new PendingFlush({ log, clock, countMs: settings.countMs, waitingMax: settings.roomsMax });
  await app.register(
    postAction({ settings, actions: options.actions ?? allActions, log, authenticator, pendingFlush }),
  );
  await app.register(getRules({ log, authenticator }));
  await app.register(putState({ settings, log, authenticator }));
  await app.register(getState({ states: new SharedState(log), authenticator }));
  await app.register(getPages({ settings, pages: new SharedPages(log, clock, settings), log, authenticator }));
  app.get('/rooms/:room/me', async (request) => authenticator.identify(request, roomOf(request)));
  app.post('/rooms/:room/me', async (request) => authenticator.identify(request, roomOf(request)));
  await app.ready();
  return {
    app,
    clock,
    log,
    authenticator,
    pendingFlush,
    lines,
    close: async () => {
      pendingFlush.close();
      await app.close();
      await own.close();
    },
  };
}

/** A class instance keeps its methods on its prototype, where spreading does not find them. */
const wrap = (own: RoomLog, over: Partial<RoomLog>): RoomLog =>
  new Proxy(own, {
    get(target, name: keyof RoomLog) {
      return over[name] ?? target[name].bind(target);
    },
  });
