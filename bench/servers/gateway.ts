/** The gateway as an operator runs it: compiled, one process, on the embedded log or on Redis, with nginx before it. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type StartedProcess, startProcess } from '../../test/rig/process.ts';
import { benchSecret, signToken } from '../tokens.ts';
import type { PublishTarget } from '../writer.ts';
import { type Nginx, startNginxBefore } from './nginx.ts';
import { onFreePort, quiet, type Server, untilAnswers } from './server.ts';

export interface GatewayServerOptions {
  /** The compiled entry. Absent: this repository's. Another build may be given to compare the two. */
  readonly entry?: string;
  readonly nginx?: boolean;
  /** Absent: the embedded log. */
  readonly redisUrl?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Options for Node itself, such as `--cpu-prof`. */
  readonly nodeOptions?: readonly string[];
}

export interface GatewayServer extends Server {
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
  /** Starts it again on the same port. */
  start(): Promise<void>;
}

/** Rates of writers and of a room's chat are no bound here, and no line is logged per request. */
const usualEnvironment = { RATE_SCALE: '1000000', CHAT_PER_SECOND: '0', LOG_LEVEL: 'warn', TOKEN_SECRET: benchSecret };
/** For crowds whose coming is not what is measured, or is measured at its limit: nobody is told to come back later. */
export const openDoor = { JOINS_PER_SECOND: '1000000' };
const builtEntry = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export async function startGatewayServer(options: GatewayServerOptions = {}): Promise<GatewayServer> {
  const home = await mkdtemp(join(tmpdir(), 'ringside-bench-'));
  const removeHome = (): Promise<void> => rm(home, { recursive: true, force: true });
  try {
    return await onFreePort((adminPort) =>
      onFreePort((port) => startOn({ options, home, port, adminPort, removeHome })),
    );
  } catch (error) {
    await removeHome();
    throw error;
  }
}

interface Place {
  readonly options: GatewayServerOptions;
  readonly home: string;
  readonly port: number;
  readonly adminPort: number;
  removeHome(): Promise<void>;
}

async function startOn({ options, home, port, adminPort, removeHome }: Place): Promise<GatewayServer> {
  const socketPath = join(home, 'gateway.sock');
  let child: StartedProcess | null = null;
  const start = async (): Promise<void> => {
    child = startProcess({
      command: process.execPath,
      args: [...(options.nodeOptions ?? []), options.entry ?? builtEntry],
      cwd: home,
      stdio: quiet,
      environment: {
        ...usualEnvironment,
        ADMIN_PORT: String(adminPort),
        ...(options.nginx ? { LISTEN_SOCKET: socketPath } : { PORT: String(port) }),
        ...(options.redisUrl === undefined ? {} : { REDIS_URL: options.redisUrl }),
        ...options.environment,
      },
    });
    await untilAnswers(`http://127.0.0.1:${adminPort}/readyz`, child);
    // A unix socket is asked through nginx, which may not be there yet; the admin port opens just before it.
    if (!options.nginx) await untilAnswers(`http://127.0.0.1:${port}/openapi.json`, child);
  };
  const endGateway = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => void (await child?.end(signal));
  await start();
  const gateway = { name: 'gateway', pids: () => (child === null ? [] : [child.pid]) };
  let nginx: Nginx | null = null;
  try {
    nginx = options.nginx ? await startNginxBefore(`unix:${socketPath}`, port) : null;
    if (nginx && child !== null) await untilAnswers(`http://127.0.0.1:${port}/openapi.json`, child);
  } catch (error) {
    await nginx?.stop();
    await endGateway('SIGKILL');
    throw error;
  }
  return {
    name: options.nginx ? 'ringside + nginx' : 'ringside',
    stream: { port, path: '/rooms/{room}/stream', secret: benchSecret, isGapless: true },
    publish: publishTo(port),
    processes: nginx ? [gateway, nginx] : [gateway],
    start,
    kill: () => endGateway('SIGKILL'),
    async stop() {
      await nginx?.stop();
      // A profile is written when the process ends in order.
      await endGateway(options.nodeOptions === undefined ? 'SIGKILL' : 'SIGTERM');
      await removeHome();
    },
  };
}

/** Comments and likes are written by the user that the trace names, gifts by a host, as the platform's own event. */
function publishTo(port: number): PublishTarget {
  const tokens = new Map<string, string>();
  const tokenFor = (sub: string, role: string): string => {
    const known = tokens.get(sub);
    if (known !== undefined) return known;
    const made = signToken(benchSecret, sub, role);
    tokens.set(sub, made);
    return made;
  };
  const request = (room: string, kind: string, token: string, body: object): { head: string; body: string } => ({
    head: `POST /rooms/${room}/actions/${kind} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json`,
    body: JSON.stringify(body),
  });
  return {
    port,
    requestFor(item, room, text) {
      const viewer = tokenFor(`user-${item.user}`, 'viewer');
      if (item.kind === 'comment') return request(room, 'comment', viewer, { text });
      if (item.kind === 'like') return request(room, 'like', viewer, { count: item.count });
      const data = { text, giver: `user-${item.user}`, count: item.count };
      return request(room, 'signal', tokenFor('host-0', 'host'), { type: 'gift-given', data });
    },
  };
}
