/**
 * The one place that makes clients. Each one detects a dead connection, the driver neither resends nor queues anything,
 * and closing ends in bounded time. A client is one connection to one server; `redis/servers` knows the servers.
 */

import { Redis, type RedisOptions } from 'ioredis';
import { backoffMs } from '../backoff.ts';
import type { Clock, Timer } from '../clock.ts';
import { Refusal } from '../errors.ts';
import { type Login, placeOf, type RedisAddress, type ServerName } from './address.ts';

export interface LinkLogger {
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** How often a connection is pinged, and how long an answer may take before the connection counts as dead. */
const pingMs = 1000;
const silentMsMax = 2500;
/** How long closing waits for the other side. */
const closeMsMax = 500;
/** The pauses before a connection is tried again. */
const reconnectBounds = { firstMs: 50, longestMs: 1000 };

export const unavailable = (): Refusal => new Refusal('log-unavailable', 'The room log is unreachable.');

/** A connection to a server, not open yet, that reconnects whenever it is lost. It uses database 0. */
export function createRedis(address: RedisAddress, server: ServerName, isForCalls: boolean): Redis {
  return new Redis({
    ...common(address, server, address.login),
    connectTimeout: silentMsMax,
    socketTimeout: silentMsMax,
    enableAutoPipelining: isForCalls,
    retryStrategy: (times: number) => backoffMs(times, reconnectBounds),
    // A primary that became a replica: the address may lead to another server by now.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  });
}

/** A connection for a few queries that does not reconnect: the caller goes to the next server instead. */
export function createScout(address: RedisAddress, server: ServerName, timeoutMs: number): Redis {
  return new Redis({
    ...common(address, server, address.kind === 'sentinel' ? address.sentinelLogin : address.login),
    connectTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    // A sentinel loads nothing, and a loading node knows the map already.
    enableReadyCheck: false,
    retryStrategy: () => null,
  });
}

function common({ tls }: RedisAddress, server: ServerName, login: Login) {
  return {
    ...placeOf(server),
    ...login,
    ...(tls === null ? {} : { tls: { ...tls } }),
    enableOfflineQueue: false,
    // It would require further rights and is of no use.
    disableClientInfo: true,
    // Pending calls of a lost connection are rejected at once; the caller decides whether to retry.
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    lazyConnect: true,
  } satisfies RedisOptions;
}

/** Pings repeatedly, so that the socket timeout ends a half-open connection. */
export function keepAsking(redis: Redis, clock: Clock): Timer {
  let timer: Timer;
  const ask = () => {
    if (redis.status === 'ready') redis.ping().catch(() => undefined);
    timer = clock.after(pingMs, ask);
  };
  timer = clock.after(pingMs, ask);
  return { cancel: () => timer.cancel() };
}

/** Rejects when the deadline comes first. */
export function within<T>(promise: Promise<T>, deadlineMs: number, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(deadlineMs, () => reject(unavailable()));
    promise.then(resolve, reject).finally(() => timer.cancel());
  });
}

/** Settled once the socket is gone and no reconnection is planned. */
export function disconnected(redis: Redis, clock: Clock): Promise<void> {
  if (redis.status === 'end') return Promise.resolve();
  return new Promise((resolve) => {
    const isBetween = redis.status === 'reconnecting' || redis.status === 'wait' || redis.status === 'close';
    // On a half-open connection the polite end is never answered.
    const timer = clock.after(closeMsMax, () => {
      redis.stream?.destroy();
      resolve();
    });
    redis.once('end', () => {
      timer.cancel();
      resolve();
    });
    redis.disconnect();
    if (!isBetween) return;
    // Between two connections there is no socket whose end could be announced.
    timer.cancel();
    resolve();
  });
}
