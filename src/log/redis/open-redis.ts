/** Opens the back end on Redis 7 or later: the connections, and the log and the presence that share them. */

import { type Clock, systemClock } from '../../clock.ts';
import type { LinkLogger } from '../../redis/client.ts';
import { RedisLink } from '../../redis/link.ts';
import { RedisServers } from '../../redis/servers.ts';
import { RedisWarnings } from '../../redis/warnings.ts';
import type { Settings } from '../../settings.ts';
import type { Backend } from '../backend.ts';
import { RedisFeed } from './feed.ts';
import { keySpace, keysIn } from './keys.ts';
import { RedisLog } from './redis-log.ts';
import { RedisPresence } from './redis-presence.ts';
import { libraryOf } from './rights.ts';
import { RoomCalls } from './room-calls.ts';

const noLogger: LinkLogger = { warn: () => undefined, error: () => undefined };

/**
 * Connects. It also opens if Redis is unavailable: the log's `isReady` is then false, and calls are refused until Redis
 * is back.
 * @throws {Error} if the server is older than Redis 7, or may evict keys (`maxmemory-policy`).
 */
export async function openRedis(
  settings: Settings,
  nodeId: string,
  { clock = systemClock, logger = noLogger }: { readonly clock?: Clock; readonly logger?: LinkLogger } = {},
): Promise<Backend> {
  const servers = new RedisServers(settings.redisUrl ?? 'redis://127.0.0.1:6379', clock, logger);
  const keys = keysIn(keySpace(settings.redisPrefix, servers.address.database));
  const needs = { settings, nodeId, keys, servers, clock, logger, warnings: new RedisWarnings(clock, logger) };
  const link = new RedisLink({ ...needs, library: libraryOf(keys) });
  const feed = new RedisFeed(needs);
  const calls = new RoomCalls(needs, link);
  const presence = new RedisPresence(calls, nodeId, clock);
  const close = async () => {
    presence.close();
    await Promise.all([servers.close(), link.close(), feed.close()]);
  };
  try {
    await servers.open();
    await Promise.all([link.open(), feed.open()]);
  } catch (error) {
    await close();
    throw error;
  }
  return { log: new RedisLog(calls, { servers, link, feed, close }), presence };
}
