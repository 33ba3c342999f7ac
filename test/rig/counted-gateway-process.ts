/**
 * The process behind `counted-gateway.ts`: a gateway, and an answer to "what do you hold now?" from Node and the kernel
 * rather than from the gateway's own bookkeeping. Told by one message to start, it answers each message with one.
 */

import assert from 'node:assert/strict';
import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { getHeapStatistics } from 'node:v8';
import { buildGateway, type Gateway } from '../../src/app.ts';
import { systemClock } from '../../src/clock.ts';
import { readSettings } from '../../src/settings.ts';
import type { Order, OwnFigures, Reply } from './counted-gateway.ts';
import { secret } from './tokens.ts';

let gateway: Gateway | null = null;
const sockets = new Set<Socket>();

/** How often Node's server looks for requests that take too long; it reads this when it begins to listen. */
type Checked = Server & { connectionsCheckingInterval: number };

async function start(order: Extract<Order, { type: 'start' }>): Promise<Reply> {
  const settings = readSettings(order.environment);
  gateway = await buildGateway({ settings, clock: systemClock, ownSecret: secret, logTarget: process.stderr });
  const server = gateway.app.server as Checked;
  const { requestTimeout } = server;
  if (order.requestTimeoutMs !== null) {
    server.requestTimeout = order.requestTimeoutMs;
    server.headersTimeout = order.requestTimeoutMs;
    server.connectionsCheckingInterval = order.requestTimeoutMs / 4;
  }
  server.on('connection', (socket) => void sockets.add(socket));
  await gateway.app.listen({ host: '127.0.0.1', port: 0 });
  return { type: 'started', port: (server.address() as AddressInfo).port, requestTimeoutMs: requestTimeout };
}

/** Opens no file, as there may be none to be had. */
function figures(isCollected: boolean): OwnFigures {
  assert.ok(gateway !== null && globalThis.gc !== undefined);
  // Before it is collected, or the account itself would hold every socket that has been.
  for (const socket of sockets) if (socket.destroyed) sockets.delete(socket);
  // Twice, as what the first one let go of may hold native memory that only the second one frees.
  for (let n = 0; isCollected && n < 2; n += 1) globalThis.gc();
  const kinds: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) kinds[kind] = (kinds[kind] ?? 0) + 1;
  let [waiting, waitingMostBytes] = [0, 0];
  for (const socket of sockets) {
    waiting += socket.writableLength > 0 ? 1 : 0;
    waitingMostBytes = Math.max(waitingMostBytes, socket.writableLength);
  }
  const { used_heap_size: heapBytes, external_memory: externalBytes } = getHeapStatistics();
  const { user, system } = process.cpuUsage();
  return {
    viewers: gateway.hub.viewers,
    rooms: gateway.hub.rooms,
    connections: kinds['TCPSocketWrap'] ?? 0,
    timers: kinds['Timeout'] ?? 0,
    ownedBytes: heapBytes + externalBytes,
    waiting,
    waitingMostBytes,
    cpuMs: (user + system) / 1000,
  };
}

async function obey(order: Order): Promise<Reply> {
  if (order.type === 'start') return start(order);
  if (order.type === 'figures') return { type: 'figures', figures: figures(order.isCollected) };
  await gateway?.close();
  return { type: 'closed' };
}

process.on('message', (order: Order) => {
  void obey(order).then((reply) => process.send?.(reply));
});
// The test has ended or was killed; nobody else would end this.
process.on('disconnect', () => process.exit(0));
