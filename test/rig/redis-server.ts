/**
 * A real Redis for a test: in a directory of its own, on a unix socket only, gone when the test is over. And a proxy
 * before it that breaks connections in the ways that networks do.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);

export interface RedisServerOptions {
  /** Keep an append-only file: what was answered survives the end of the process, though not of the machine. */
  readonly appendOnly?: boolean;
  /** More lines of configuration, such as `['--maxmemory', '8mb']`. */
  readonly extra?: readonly string[];
}

export interface RedisServer {
  /** `unix://` and the path of the socket, also while the server is down. */
  readonly url: string;
  readonly socketPath: string;
  readonly pid: () => number;
  /** Ends the server and removes its directory. Harmless to repeat. */
  stop(): Promise<void>;
  /** Sends a signal. For one that ends the process, settles once it has ended. */
  kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Starts it again on the same data; ends it first if it runs. */
  restart(): Promise<void>;
  flush(): Promise<void>;
  /** Keeps a copy of what is on disk now. */
  copyData(): Promise<void>;
  /** Puts the copy back, as after a loss of power. The server must be down. */
  restoreData(): Promise<void>;
  cli(...args: string[]): Promise<string>;
}

const alive = new Set<ChildProcess>();
// A test that fails or is interrupted must not leave a server behind.
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export async function startRedis({ appendOnly = false, extra = [] }: RedisServerOptions = {}): Promise<RedisServer> {
  const home = await mkdtemp(join(tmpdir(), 'ringside-redis-'));
  const socketPath = join(home, 'redis.sock');
  const data = join(home, 'data');
  await mkdir(data);
  let child: ChildProcess | null = null;
  let isStopped = false;

  const cli = async (...args: string[]): Promise<string> =>
    (await run('redis-cli', ['-s', socketPath, ...args], { maxBuffer: 64 * 1024 * 1024 })).stdout.trimEnd();
  const start = async (): Promise<void> => {
    const durable = appendOnly ? ['--appendonly', 'yes', '--appendfsync', 'everysec'] : ['--appendonly', 'no'];
    const args = ['--port', '0', '--unixsocket', socketPath, '--dir', data, '--save', '', ...durable, ...extra];
    const started = spawn('redis-server', args, { stdio: 'ignore' });
    child = started;
    alive.add(started);
    started.once('exit', () => alive.delete(started));
    await waitFor(async () => (await cli('ping').catch(() => '')) === 'PONG', { what: 'Redis to answer' });
  };
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    // A stopped process gets no other signal than this before it goes on.
    child.kill('SIGCONT');
    await ended;
    await rm(socketPath, { force: true });
  };

  await start();
  return {
    url: `unix://${socketPath}`,
    socketPath,
    pid: () => {
      assert(child?.pid);
      return child.pid;
    },
    async stop() {
      if (isStopped) return;
      isStopped = true;
      await end('SIGKILL');
      await rm(home, { recursive: true, force: true });
    },
    async kill(signal) {
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await end(signal);
      else child?.kill(signal);
    },
    async restart() {
      await end('SIGTERM');
      await start();
    },
    async flush() {
      await cli('flushall');
    },
    copyData: () => cp(data, join(home, 'copy'), { recursive: true }),
    async restoreData() {
      await rm(data, { recursive: true, force: true });
      await cp(join(home, 'copy'), data, { recursive: true });
    },
    cli,
  };
}

type ProxyMode = 'pass' | 'swallow' | 'silent' | 'no-calls';

export interface RedisProxy {
  readonly url: string;
  /**
   * `pass`: as if it were not there. `swallow`: the next reply to a function call that writes is thrown away and its
   * connection cut; then it passes again. `silent`: nothing passes either way, new connections included, and none ends.
   * `no-calls`: connections that have called functions are cut and new ones are silent; subscriptions go on.
   */
  setMode(mode: ProxyMode): void;
  /** Replies that were swallowed so far. */
  readonly swallowed: () => number;
  /** Connections that were made so far. */
  readonly connections: () => number;
  /** Cuts all connections. */
  cut(): void;
  close(): Promise<void>;
}

/** A proxy before a server's unix socket. */
export async function startRedisProxy(server: RedisServer): Promise<RedisProxy> {
  const home = await mkdtemp(join(tmpdir(), 'ringside-proxy-'));
  const path = join(home, 'proxy.sock');
  const pairs = new Set<readonly [Socket, Socket]>();
  let mode: ProxyMode = 'pass';
  const callers = new Set<() => void>();
  let swallowed = 0;
  let connections = 0;
  const listener = createServer((near) => {
    connections += 1;
    const far = createConnection(server.socketPath);
    const pair = [near, far] as const;
    pairs.add(pair);
    // Whether bytes were held back: they never arrive, so the connection is of no use any more.
    let isBroken = mode === 'no-calls';
    let owesReply = false;
    const part = () => {
      pairs.delete(pair);
      callers.delete(part);
      near.destroy();
      far.destroy();
    };
    near.on('data', (bytes) => {
      isBroken ||= mode === 'silent';
      if (isBroken) return;
      if (bytes.includes('fcall')) callers.add(part);
      if (mode === 'swallow' && bytes.includes('append_')) owesReply = true;
      far.write(bytes);
    });
    far.on('data', (bytes) => {
      isBroken ||= mode === 'silent';
      if (isBroken) return;
      if (!owesReply) return void near.write(bytes);
      swallowed += 1;
      mode = 'pass';
      part();
    });
    for (const socket of pair) socket.on('error', part).on('close', part);
  });
  listener.listen(path);
  await once(listener, 'listening');
  const cut = () => {
    for (const [near, far] of pairs) {
      near.destroy();
      far.destroy();
    }
  };
  return {
    url: `unix://${path}`,
    setMode: (next) => {
      mode = next;
      if (mode === 'no-calls') for (const part of callers) part();
    },
    swallowed: () => swallowed,
    connections: () => connections,
    cut,
    async close() {
      cut();
      listener.close();
      await once(listener, 'close');
      await rm(home, { recursive: true, force: true });
    },
  };
}
