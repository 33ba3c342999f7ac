/** The gateway as an operator runs it: compiled, one process, on the embedded log or on Redis, with nginx before it. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { benchSecret, signToken } from '../tokens.ts';
import type { PublishTarget } from '../writer.ts';
import { startNginx } from './nginx.ts';
import { freePort, type Server, type StartedProcess, startProcess, untilAnswers } from './server.ts';

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

/** Kept open rates, and no line per request: they are measured elsewhere. */
const usualEnvironment = { RATE_SCALE: '1000000', LOG_LEVEL: 'warn', TOKEN_SECRET: benchSecret };
const builtEntry = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export async function startGatewayServer(options: GatewayServerOptions = {}): Promise<GatewayServer> {
  const home = await mkdtemp(join(tmpdir(), 'ringside-bench-'));
  const [port, adminPort] = [await freePort(), await freePort()];
  const socketPath = join(home, 'gateway.sock');
  let child: StartedProcess | null = null;
  const start = async (): Promise<void> => {
    child = startProcess({
      command: process.execPath,
      args: [...(options.nodeOptions ?? []), options.entry ?? builtEntry],
      cwd: home,
      environment: {
        ...usualEnvironment,
        ADMIN_PORT: String(adminPort),
        ...(options.nginx ? { LISTEN_SOCKET: socketPath } : { PORT: String(port) }),
        ...(options.redisUrl === undefined ? {} : { REDIS_URL: options.redisUrl }),
        ...options.environment,
      },
    });
    await untilAnswers(`http://127.0.0.1:${adminPort}/readyz`);
    // A unix socket is asked through nginx, which may not be there yet; the admin port opens just before it.
    if (!options.nginx) await untilAnswers(`http://127.0.0.1:${port}/openapi.json`);
  };
  await start();
  const nginx = options.nginx ? await startNginx({ port, upstream: `unix:${socketPath}` }) : null;
  if (nginx) await untilAnswers(`http://127.0.0.1:${port}/openapi.json`);
  const gateway = { name: 'gateway', pids: () => (child === null ? [] : [child.pid]) };
  return {
    name: options.nginx ? 'ringside + nginx' : 'ringside',
    stream: { port, path: '/rooms/{room}/stream', secret: benchSecret, isGapless: true },
    publish: publishTo(port),
    processes: nginx ? [gateway, nginx] : [gateway],
    start,
    kill: async () => void (await child?.end('SIGKILL')),
    async stop() {
      await nginx?.stop();
      await child?.end(options.nodeOptions === undefined ? 'SIGKILL' : 'SIGTERM');
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Comments are written by the user that the trace names, gifts by a host, as the platform's own event. */
function publishTo(port: number): PublishTarget {
  const tokens = new Map<string, string>();
  const tokenFor = (sub: string, role: string): string => {
    const known = tokens.get(sub);
    if (known !== undefined) return known;
    const made = signToken(benchSecret, sub, role);
    tokens.set(sub, made);
    return made;
  };
  const head = (room: string, kind: string, token: string): string =>
    `POST /rooms/${room}/actions/${kind} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json`;
  return {
    port,
    requestFor: (item, room, text) =>
      item.kind === 'comment'
        ? { head: head(room, 'comment', tokenFor(`user-${item.user}`, 'viewer')), body: JSON.stringify({ text }) }
        : {
            head: head(room, 'signal', tokenFor('host-0', 'host')),
            body: JSON.stringify({ type: 'gift', data: { text } }),
          },
  };
}
