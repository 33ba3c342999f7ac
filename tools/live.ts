/**
 * `npm run live`: the whole picture on one machine. Redis, two groups of two gateways on unix sockets, and nginx before
 * them, all in one temporary folder. Prints where the demo room is; ctrl-c ends everything in order, and nothing is
 * left. Where one of them ends by itself or is killed, it says so and starts it again, as who runs the real thing would.
 */

import { createHmac } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readGroups } from '../src/groups/groups-file.ts';
import { askRunning } from '../src/groups/nginx.ts';
import { render } from '../src/groups/render.ts';
import { putRendering } from '../src/groups/rendered.ts';
import type { ChildOptions } from './live/child.ts';
import { Keeper, usualKeeping } from './live/keeper.ts';
import { environmentOf, type GatewayPlan, layOut, type Picture, redisDurability } from './live/picture.ts';

const demoRoom = 'demo';
const demoTokenLifeS = 12 * 3600;
const gatewayEntry = fileURLToPath(new URL('../dist/main.js', import.meta.url));
/** Debian puts it where only root's PATH leads. */
const nginxProgram = existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx';
/** A worker of another user could not open the sockets. */
const asUs = process.getuid?.() === 0 ? ['-g', 'user root;'] : [];

const running: Keeper[] = [];
let folder: string | null = null;
let stopping: Promise<void> | null = null;

async function main(): Promise<void> {
  // Whoever read what this prints may be gone; what runs is ended all the same.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  // Before anything is started: from here on all of it is ended, whatever comes.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => onSignal());
  folder = await mkdtemp(join(tmpdir(), 'ringside-live-'));
  await chmod(folder, 0o711);
  const picture = await layOut(folder);
  await startRedis(picture);
  await Promise.all(picture.gateways.map((gateway) => startGateway(picture, gateway)));
  await startNginx(picture);
  if (stopping === null) process.stdout.write(welcome(picture));
}

/** The first one ends all in order, the next one at once. */
function onSignal(): void {
  if (stopping === null) void stop();
  else for (const listener of running) listener.kill();
}

/** Starts a program, and keeps it running. */
async function start(
  picture: Picture,
  options: Omit<ChildOptions, 'folder' | 'logFile'>,
  isReady: () => Promise<boolean>,
): Promise<void> {
  if (stopping !== null) throw new Error(`${options.name} is not started any more.`);
  const logFile = join(picture.file('logs'), `${options.name}.log`);
  const say = (sentence: string): void => void process.stderr.write(`${sentence}\n`);
  const listener = new Keeper({ ...options, folder: picture.folder, logFile, isReady }, { ...usualKeeping, say });
  running.push(listener);
  await listener.start();
}

async function startRedis(picture: Picture): Promise<void> {
  const { redisSocket, file } = picture;
  const args = ['--port', '0', '--unixsocket', redisSocket, '--dir', file('redis'), ...redisDurability];
  await start(picture, { name: 'redis', command: 'redis-server', args }, () => canConnect(redisSocket));
}

async function startGateway(picture: Picture, plan: GatewayPlan): Promise<void> {
  const environment = environmentOf(picture, plan);
  const options = { name: plan.name, command: process.execPath, args: [gatewayEntry], environment };
  await start(picture, options, async () => {
    const { ok } = await fetch(`http://127.0.0.1:${plan.adminPort}/readyz`);
    return ok && (await canConnect(plan.socket));
  });
}

async function startNginx(picture: Picture): Promise<void> {
  const { file, port } = picture;
  const words = nginxWords(picture);
  const groups = readGroups(await readFile(file('groups.json'), 'utf8'));
  await putRendering(file('generated'), render(groups), words);
  // A later -g would take the place of an earlier one.
  const [command = '', ...args] = words.slice(0, words.length - asUs.length);
  const options = { name: 'nginx', command, args: [...args, '-g', `daemon off;${asUs[1] ?? ''}`] };
  await start(picture, options, async () => (await askRunning([`127.0.0.1:${port}`])) !== null);
}

const nginxWords = ({ file }: Picture): readonly string[] => [
  nginxProgram,
  '-e',
  'stderr',
  '-p',
  file('run'),
  '-c',
  file('nginx.conf'),
  ...asUs,
];

function canConnect(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
}

/** Ends everything, who asks before who answers: nginx, the gateways together, Redis. */
function stop(): Promise<void> {
  stopping ??= (async () => {
    const named = (isFirst: (name: string) => boolean): Keeper[] => running.filter(({ name }) => isFirst(name));
    await Promise.all(named((name) => name === 'nginx').map((listener) => listener.end()));
    await Promise.all(named((name) => name !== 'nginx' && name !== 'redis').map((listener) => listener.end()));
    await Promise.all(named((name) => name === 'redis').map((listener) => listener.end()));
    if (folder !== null) await rm(folder, { recursive: true, force: true });
  })();
  return stopping;
}

function welcome(picture: Picture): string {
  const { url, file, gateways } = picture;
  const words = nginxWords(picture).map((word) => (word.includes(' ') ? `"${word}"` : word));
  const options = `--file ${file('groups.json')} --nginx '${words.join(' ')}'`;
  return `
  Ringside is ready, behind nginx: ${url}

  Watch the demo room as a viewer:
  ${linkTo(picture, 'vera', 'Vera', 'viewer')}

  And as its host, in another tab:
  ${linkTo(picture, 'hanna', 'Hanna', 'host')}

  Gateways, with their admin ports:
${gateways.map(({ name, adminPort }) => `    ${name.padEnd(8)} http://127.0.0.1:${adminPort}/ops/rooms`).join('\n')}

  Files, which are gone when this ends:
    ${file('groups.json')}   what operators change
    ${file('generated')}     what nginx reads of it
    ${file('run')}           what nginx writes, its access log among it
    ${file('logs')}          what each of them prints

  Change the groups file, such as "hotRooms": {"${demoRoom}": ["blue", "green"]}, and see what moves:
    npx ringside groups plan ${options}
    npx ringside groups apply ${options}

  What ends or is killed, such as by kill -9, is started again.

  ctrl-c ends all of it.

`;
}

/** The tokens of the demo, signed by hand: the platform's own back end does this. */
function linkTo({ url, secret }: Picture, sub: string, name: string, role: string): string {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + demoTokenLifeS;
  const input = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ sub, name, rooms: { [demoRoom]: role }, exp })}`;
  const token = `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  return `${url}/demo/?room=${demoRoom}#token=${token}`;
}

main().catch(async (error: unknown) => {
  if (stopping === null) {
    process.exitCode = 1;
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  }
  await stop();
});
