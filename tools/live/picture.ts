/**
 * What `npm run live` shows, as files: a groups file for two groups of two gateways on this machine, the configuration
 * of nginx as it is in this repository, and with which settings each gateway is started. `docker-compose.yml` shows the
 * same picture; a test holds the two to each other.
 */

import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const groups: Readonly<Record<string, readonly string[]>> = {
  blue: ['blue-1', 'blue-2'],
  green: ['green-1', 'green-2'],
};

/** A log that survives a restart; what was acknowledged within the last second may be lost, and is then declared. */
export const redisDurability: readonly string[] = ['--appendonly', 'yes', '--appendfsync', 'everysec', '--save', ''];

/** The ports that are taken where they are free; else others are. */
const usualPort = 8000;
const usualAdminPort = 9081;
const nginxConf = fileURLToPath(new URL('../../nginx/nginx.conf', import.meta.url));

export interface GatewayPlan {
  readonly name: string;
  readonly group: string;
  readonly socket: string;
  readonly adminPort: number;
}

export interface Picture {
  readonly folder: string;
  readonly port: number;
  readonly url: string;
  readonly secret: string;
  readonly gateways: readonly GatewayPlan[];
  readonly redisSocket: string;
  readonly file: (
    name: 'groups.json' | 'nginx.conf' | 'generated' | 'run' | 'redis' | 'token-secret' | 'logs',
  ) => string;
}

/** Lays the picture out in a folder. */
export async function layOut(folder: string): Promise<Picture> {
  const file: Picture['file'] = (name) => join(folder, name);
  for (const name of ['run', 'redis', 'logs'] as const) await mkdir(file(name));
  const names = Object.entries(groups).flatMap(([group, all]) => all.map((name) => ({ group, name })));
  const [port = 0, ...adminPorts] = await portsFrom([usualPort, ...names.map((_, at) => usualAdminPort + at)]);
  const gateways = names.map(({ group, name }, at) => ({
    group,
    name,
    socket: join(folder, `${name}.sock`),
    adminPort: adminPorts[at] ?? 0,
  }));
  const secret = randomBytes(48).toString('base64');
  await writeFile(file('token-secret'), secret, { mode: 0o600 });
  await writeFile(file('groups.json'), `${JSON.stringify(groupsFileOf(port, gateways), null, 2)}\n`);
  await copyFile(nginxConf, file('nginx.conf'));
  const url = `http://127.0.0.1:${port}`;
  return { folder, port, url, secret, gateways, redisSocket: join(folder, 'redis.sock'), file };
}

/** As an operator would write it. */
function groupsFileOf(port: number, gateways: readonly GatewayPlan[]): object {
  const serversOf = (group: string): object[] =>
    gateways
      .filter((one) => one.group === group)
      .map(({ name, socket, adminPort }) => ({
        name,
        address: `unix:${socket}`,
        admin: `http://127.0.0.1:${adminPort}`,
      }));
  return {
    listen: [`127.0.0.1:${port}`],
    groups: Object.fromEntries(Object.keys(groups).map((group) => [group, { weight: 1, servers: serversOf(group) }])),
    hotRooms: {},
    unlimited: ['127.0.0.1'],
  };
}

/** The settings of one gateway. */
export function environmentOf({ file, redisSocket }: Picture, gateway: GatewayPlan): Readonly<Record<string, string>> {
  return {
    NODE_ID: gateway.name,
    GROUP: gateway.group,
    LISTEN_SOCKET: gateway.socket,
    ADMIN_PORT: String(gateway.adminPort),
    REDIS_URL: `unix:${redisSocket}`,
    TOKEN_SECRET_FILE: file('token-secret'),
    TRUSTED_PROXIES: 'unix',
    DEMO: 'on',
  };
}

/** Each of these ports, or where it is taken another that is free. */
async function portsFrom(wanted: readonly number[]): Promise<readonly number[]> {
  const servers = await Promise.all(wanted.map(async (port) => (await open(port)) ?? (await open(0))));
  const ports = servers.map((server) => (server?.address() as { port: number } | null)?.port ?? 0);
  // Only when all are known, so that none is found twice.
  await Promise.all(servers.map((server) => new Promise((resolve) => server?.close(resolve) ?? resolve(null))));
  return ports;
}

function open(port: number): Promise<ReturnType<typeof createServer> | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
