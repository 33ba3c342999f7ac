/**
 * One Redis process of several for a test, on ports of loopback: a node of a cluster, a primary or replica, a sentinel.
 * In a directory of its own, gone when the test is over.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from './wait-for.ts';

const run = promisify(execFile);

export interface RedisProcessOptions {
  readonly port: number;
  /** Lines of a configuration file, beyond the port. */
  readonly lines: readonly string[];
  /** What `redis-cli` needs to get in. */
  readonly cliArgs?: readonly string[];
  readonly isSentinel?: boolean;
}

export interface RedisProcess {
  readonly port: number;
  cli(...args: string[]): Promise<string>;
  /** Sends a signal. For one that ends the process, settles once it has ended. */
  kill(signal: 'SIGKILL' | 'SIGTERM' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  /** Starts it again on the same data; ends it first if it runs. */
  restart(): Promise<void>;
  /** Ends it and removes its directory. Harmless to repeat. */
  stop(): Promise<void>;
}

const alive = new Set<ChildProcess>();
// A test that fails or is interrupted must not leave a server behind.
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/** Ports that nobody uses now. */
export async function freePorts(count: number): Promise<number[]> {
  const listeners = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(listeners.map((listener) => once(listener, 'listening')));
  const ports = listeners.map((listener) => (listener.address() as AddressInfo).port);
  await Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))));
  return ports;
}

export async function startRedisProcess(options: RedisProcessOptions): Promise<RedisProcess> {
  const { port, lines, cliArgs = [], isSentinel = false } = options;
  const home = await mkdtemp(join(tmpdir(), 'ringside-redis-'));
  const file = join(home, 'redis.conf');
  const isTls = lines.some((line) => line.startsWith('tls-port'));
  const durable = isSentinel ? [] : ['save ""', 'bind 127.0.0.1'];
  // A sentinel keeps its state in this file, and so it is a file.
  await writeFile(
    file,
    [`dir ${home}`, ...(isTls ? ['port 0'] : [`port ${port}`]), ...durable, ...lines, ''].join('\n'),
  );
  let child: ChildProcess | null = null;
  let isStopped = false;

  const cli = async (...args: string[]): Promise<string> => {
    const command = ['-h', '127.0.0.1', '-p', String(port), '--no-auth-warning', ...cliArgs, ...args];
    return (await run('redis-cli', command, { maxBuffer: 64 * 1024 * 1024 })).stdout.trimEnd();
  };
  const start = async (): Promise<void> => {
    const started = spawn('redis-server', [file, ...(isSentinel ? ['--sentinel'] : [])], { stdio: 'ignore' });
    child = started;
    alive.add(started);
    started.once('exit', () => alive.delete(started));
    await waitFor(async () => started.exitCode !== null || (await cli('ping').catch(() => '')) === 'PONG', {
      what: `the Redis on port ${port} to answer`,
      timeoutMs: 10_000,
    });
    assert.equal(started.exitCode, null, `the Redis on port ${port} ended at once: is its configuration right?`);
  };
  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    // A stopped process gets no other signal than this before it goes on.
    child.kill('SIGCONT');
    await ended;
  };

  await start();
  return {
    port,
    cli,
    async kill(signal) {
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await end(signal);
      else child?.kill(signal);
    },
    async restart() {
      await end('SIGTERM');
      await start();
    },
    async stop() {
      if (isStopped) return;
      isStopped = true;
      await end('SIGKILL');
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Acknowledges writes from now on that the replica will never have: its link is cut, and it cannot make a new one. */
export async function leaveBehind(primary: RedisProcess, replica: RedisProcess): Promise<void> {
  await replica.kill('SIGSTOP');
  await primary.cli('client', 'kill', 'type', 'replica');
}
