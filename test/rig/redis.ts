/**
 * A real Redis for a test or a benchmark, in a directory of its own, gone when it is stopped: alone on a unix socket, or
 * one of several on a port of loopback, such as a node of a cluster, a replica or a sentinel.
 */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type StartedProcess, startProcess } from './process.ts';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);

export interface RedisOptions {
  /** Absent: it listens on a unix socket only, so that no port has to be found. */
  readonly port?: number;
  /** Keep an append-only file: what was answered survives the end of the process, though not of the machine. */
  readonly appendOnly?: boolean;
  /** More lines of configuration, such as `maxmemory 8mb`. */
  readonly lines?: readonly string[];
  /** What `redis-cli` needs to get in. */
  readonly cliArgs?: readonly string[];
  readonly isSentinel?: boolean;
}

export interface RedisServer {
  readonly url: string;
  /** 0 on a unix socket. */
  readonly port: number;
  readonly socketPath: string;
  pid(): number;
  cli(...args: string[]): Promise<string>;
  /** Sends a signal. For one that ends the process, settles once it has ended. */
  kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Starts it again on the same data; ends it first if it runs. */
  restart(): Promise<void>;
  /** Ends it and removes its directory. Harmless to repeat. */
  stop(): Promise<void>;
  flush(): Promise<void>;
  /** Keeps a copy of what is on disk now. */
  copyData(): Promise<void>;
  /** Puts the copy back, as after a loss of power. The server must be down. */
  restoreData(): Promise<void>;
}

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const { port = 0, appendOnly = false, lines = [], cliArgs = [], isSentinel = false } = options;
  const home = await mkdtemp(join(tmpdir(), 'ringside-redis-'));
  const [file, data, socketPath] = ['redis.conf', 'data', 'redis.sock'].map((name) => join(home, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(data);
  const isTls = lines.some((line) => line.startsWith('tls-port'));
  const listen = port === 0 ? ['port 0', `unixsocket ${socketPath}`] : [`port ${isTls ? 0 : port}`, 'bind 127.0.0.1'];
  const durable = appendOnly ? ['appendonly yes', 'appendfsync everysec'] : [];
  // A sentinel keeps its state in this file.
  const configuration = [`dir ${data}`, ...listen, ...(isSentinel ? [] : ['save ""', ...durable]), ...lines, ''];
  await writeFile(file, configuration.join('\n'));
  const where = port === 0 ? ['-s', socketPath] : ['-h', '127.0.0.1', '-p', String(port)];
  let server: StartedProcess | null = null;

  const cli = async (...args: string[]): Promise<string> => {
    const command = [...where, '--no-auth-warning', ...cliArgs, ...args];
    return (await run('redis-cli', command, { maxBuffer: 64 * 1024 * 1024 })).stdout.trimEnd();
  };
  const start = async (): Promise<void> => {
    const args = [file, ...(isSentinel ? ['--sentinel'] : [])];
    const started = startProcess({ command: 'redis-server', args, stdio: 'ignore' });
    server = started;
    await waitFor(async () => !started.isAlive() || (await cli('ping').catch(() => '')) === 'PONG', {
      what: `Redis to answer: ${where.join(' ')}`,
      timeoutMs: 10_000,
    });
    assert.ok(started.isAlive(), 'Redis ended at once: is its configuration right?');
  };
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
    await server?.end(signal);
    await rm(socketPath, { force: true });
  };
  await start();
  return {
    url: port === 0 ? `unix://${socketPath}` : `redis://127.0.0.1:${port}`,
    port,
    socketPath,
    pid: () => server?.pid ?? 0,
    cli,
    async kill(signal) {
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await end(signal);
      else server?.child.kill(signal);
    },
    async restart() {
      await end('SIGTERM');
      await start();
    },
    async stop() {
      await end('SIGKILL');
      await rm(home, { recursive: true, force: true });
    },
    async flush() {
      await cli('flushall');
    },
    copyData: () => cp(data, join(home, 'copy'), { recursive: true }),
    async restoreData() {
      await rm(data, { recursive: true, force: true });
      await cp(join(home, 'copy'), data, { recursive: true });
    },
  };
}

/** Acknowledges writes from now on that the replica will never have: its link is cut, and it cannot make a new one. */
export async function leaveBehind(primary: RedisServer, replica: RedisServer): Promise<void> {
  await replica.kill('SIGSTOP');
  await primary.cli('client', 'kill', 'type', 'replica');
}
