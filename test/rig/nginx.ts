/**
 * A real nginx for a test: the configuration of this repository with groups of the test's own, in a folder of its own
 * that also plays the operator's. It is gone when the test is over. And small upstreams that say who they are.
 */

import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { readGroups } from '../../src/groups/groups-file.ts';
import { askRunning } from '../../src/groups/nginx.ts';
import { render } from '../../src/groups/render.ts';
import { putRendering } from '../../src/groups/rendered.ts';
import { freePorts } from './ports.ts';
import { startProcess } from './process.ts';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);
const confFolder = fileURLToPath(new URL('../../nginx', import.meta.url));
/** Debian puts it where only root's PATH leads. */
export const nginxProgram = existsSync('/usr/sbin/nginx') ? '/usr/sbin/nginx' : 'nginx';
/** A worker of another user could not reach the sockets and folders of the test. */
const asUs = process.getuid?.() === 0 ? ['-g', 'user root;'] : [];

/** A groups file as an operator writes it, without `listen`. */
export type GroupsText = Readonly<Record<string, unknown>>;

export interface Nginx {
  readonly url: string;
  readonly port: number;
  /** The groups file and the folder beside it. */
  readonly file: string;
  readonly folder: string;
  /** The operator's folder; `run` in it is nginx's prefix. */
  readonly home: string;
  /** How it is called, for `--nginx`. */
  readonly words: readonly string[];
  /** Writes the groups file, and nothing else. */
  edit(groups: GroupsText): Promise<void>;
  accessLog(): Promise<string>;
  /** Everything that it has written to its folder. */
  written(): Promise<string>;
  workers(): Promise<readonly number[]>;
  /** Ends it. Harmless to repeat. */
  stop(): Promise<void>;
}

export interface NginxOptions {
  /** Changes nginx.conf before the start, such as a limit that a test wants to reach. */
  readonly change?: (configuration: string) => string;
}

export async function startNginx(groups: GroupsText, { change }: NginxOptions = {}): Promise<Nginx> {
  const home = await mkdtemp(join(tmpdir(), 'ringside-nginx-'));
  await chmod(home, 0o755);
  const prefix = join(home, 'run');
  const [file, folder, conf] = ['groups.json', 'generated', 'nginx.conf'].map((name) => join(home, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(prefix);
  await copyFile(join(confFolder, 'nginx.conf'), conf);
  // One worker is enough here; each has memory for 65,536 connections.
  const text = (await readFile(conf, 'utf8')).replace('worker_processes auto;', 'worker_processes 1;');
  await writeFile(conf, change ? change(text) : text);
  const [port = 0] = await freePorts(1);
  const edit = (changed: GroupsText): Promise<void> =>
    writeFile(file, JSON.stringify({ listen: [`127.0.0.1:${port}`], ...changed }));
  await edit(groups);
  const words = [nginxProgram, '-e', 'stderr', '-p', prefix, '-c', conf, ...asUs];
  await putRendering(folder, render(readGroups(await readFile(file, 'utf8'))), words);

  const options = [...words.slice(1, -asUs.length || undefined), '-g', `daemon off;${asUs[1] ?? ''}`];
  const nginx = startProcess({ command: nginxProgram, args: options, lastSignal: 'SIGTERM' });
  await waitFor(
    async () => {
      if (!nginx.isAlive()) throw new Error(`nginx ended: ${nginx.stderr()}`);
      return (await askRunning([`127.0.0.1:${port}`])) !== null;
    },
    { what: 'nginx to answer', timeoutMs: 10_000 },
  );
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    file,
    folder,
    home,
    words,
    edit,
    accessLog: () => readFile(join(prefix, 'access.log'), 'utf8'),
    written: async () =>
      (await run('grep', ['-rah', '', prefix], { maxBuffer: 64 * 1024 * 1024 })).stdout + nginx.stderr(),
    workers: async () => {
      const { stdout } = await run('ps', ['-o', 'pid=', '--ppid', String(nginx.pid)]);
      return stdout.trim().split(/\s+/).map(Number);
    },
    async stop() {
      // Told to end now, and not when the last stream has ended.
      await nginx.end('SIGTERM');
      await rm(home, { recursive: true, force: true });
    },
  };
}

interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What an upstream does with a request: null answers with its name. */
export type Reply =
  | null
  | 'cut'
  | { readonly status?: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string };

export interface Upstream {
  readonly name: string;
  /** As a groups file names it. */
  readonly address: string;
  readonly received: Received[];
  /** Chosen anew for each request. `cut` reads the request and closes without a word. */
  reply: (request: Received) => Reply | Promise<Reply>;
  close(): Promise<void>;
}

/** A server that answers with its name, on a unix socket in a folder. */
export async function startUpstream(name: string, folder: string): Promise<Upstream> {
  const path = join(folder, `${name}.sock`);
  const upstream: Upstream = {
    name,
    address: `unix:${path}`,
    received: [],
    reply: () => null,
    async close() {
      server.close();
      server.closeAllConnections();
      await rm(path, { force: true });
    },
  };
  const server = createHttpServer(async (request, answer) => {
    const received = await readRequest(request);
    upstream.received.push(received);
    const reply = await upstream.reply(received);
    if (reply === 'cut') return void request.socket.destroy();
    const { status = 200, headers = {}, body = name } = reply ?? {};
    answer.writeHead(status, { 'cache-control': 'no-store', 'x-answered-by': name, ...headers }).end(body);
  });
  server.listen(path);
  await once(server, 'listening');
  return upstream;
}

async function readRequest(request: IncomingMessage): Promise<Received> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const { method = '', url = '', headers } = request;
  return { method, path: url, headers, body: Buffer.concat(parts).toString('utf8') };
}
