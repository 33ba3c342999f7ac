/** A proxy before a Redis on a unix socket, which breaks connections in the ways that networks do. */

import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RedisServer } from './redis.ts';

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
