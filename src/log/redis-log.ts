/**
 * The room's log on Redis 7 or later: the contract of `room-log`, each call one function in Redis. This file owns what
 * goes into the functions and what comes out; `redis-link` owns the calls, `redis-feed` the live path, `scripts/` the
 * rules. It keeps nothing about rooms or users itself.
 */

import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../clock.ts';
import type { Settings } from '../settings.ts';
import type { Epoch, RoomId, StatePart, UserId } from '../signal.ts';
import { decodeEntry, decodeTail, encodeContent, readNumber } from './entry-text.ts';
import {
  logKey,
  metaKey,
  nodesKey,
  rateKey,
  roomChannel,
  rulesKey,
  seenKey,
  sentKey,
  stateKey,
  whereKey,
} from './keys.ts';
import type { Position } from './position.ts';
import { RedisFeed } from './redis-feed.ts';
import type { LibraryFunction } from './redis-library.ts';
import { type LinkLogger, RedisLink } from './redis-link.ts';
import {
  type Appended,
  type Change,
  type Entered,
  type Follower,
  leaseMs,
  onceTtlMs,
  type Reading,
  type Renewed,
  type RoomLog,
  type RoomState,
  type Write,
} from './room-log.ts';

/** How long the answer to a write without a key is kept for our own repetition; longer than a call can last. */
const sentTtlMs = 60_000;

const noLogger: LinkLogger = { warn: () => undefined, error: () => undefined };

/**
 * Connects and gives the log, also when Redis is away for now: then `isReady` is false and calls are refused until it
 * is back.
 * @throws {Error} where the server is older than Redis 7.
 */
export async function openRedisLog(
  settings: Settings,
  nodeId: string,
  { clock = systemClock, logger = noLogger }: { readonly clock?: Clock; readonly logger?: LinkLogger } = {},
): Promise<RoomLog> {
  const link = new RedisLink(settings, clock, logger);
  const feed = new RedisFeed(settings, nodeId, clock, logger);
  try {
    await Promise.all([link.open(), feed.open()]);
  } catch (error) {
    await Promise.all([link.close(), feed.close()]);
    throw error;
  }
  return new RedisLog(settings, nodeId, link, feed);
}

class RedisLog implements RoomLog {
  readonly #settings: Settings;
  readonly #nodeId: string;
  readonly #link: RedisLink;
  readonly #feed: RedisFeed;
  readonly #sentTtlMs: number;

  constructor(settings: Settings, nodeId: string, link: RedisLink, feed: RedisFeed) {
    this.#settings = settings;
    this.#nodeId = nodeId;
    this.#link = link;
    this.#feed = feed;
    this.#sentTtlMs = Math.max(sentTtlMs, 2 * settings.logDeadlineMs);
  }

  async append(write: Write): Promise<Appended> {
    const { room, by, once, rate, change } = write;
    const keys = [
      once ? seenKey(room, by, once.key) : sentKey(room, randomUUID()),
      whereKey(room),
      nodesKey(room),
      rulesKey(room),
    ];
    if (rate) keys.push(rateKey(room, by, rate.name));
    const args = [by, once?.digest ?? '', once ? onceTtlMs : this.#sentTtlMs, write.mutable ? 1 : 0];
    const tokens = rate ? [1000 / rate.perSecond, rate.burst, rate.cost] : ['', '', ''];
    const reply = await this.#call('append', room, keys, [...args, ...tokens, change.type, ...this.#describe(change)]);
    return readAppended(String(reply));
  }

  async settle(room: RoomId, counter: string): Promise<void> {
    await this.#call('settle', room, [], [counter]);
  }

  async read(room: RoomId, after: Position | null, limit: number): Promise<Reading> {
    const args = [after?.epoch ?? '', after?.offset ?? 0, limit];
    const [tail = '', ...entries] = await this.#ask('read', room, [], args);
    return { tail: decodeTail(tail), entries: entries.map((text) => decodeEntry(text).entry) };
  }

  async readState(room: RoomId): Promise<RoomState> {
    const [tailText = '', total, ...cells] = await this.#ask('read_state', room, [], []);
    const tail = decodeTail(tailText);
    const parts = new Map<string, StatePart>();
    for (let i = 0; i + 1 < cells.length; i += 2) {
      const part = readCell(cells[i + 1] ?? '');
      if (part.value !== null || part.version >= tail.first) parts.set(cells[i] ?? '', part);
    }
    return { tail, total: readNumber(total, tailText), parts };
  }

  follow(room: RoomId, follower: Follower): Promise<void> {
    return this.#feed.follow(room, follower);
  }

  unfollow(room: RoomId): Promise<void> {
    return this.#feed.unfollow(room);
  }

  async enter(room: RoomId, user: UserId | null): Promise<Entered> {
    const keys = [whereKey(room), nodesKey(room), rulesKey(room)];
    const users = user === null ? [] : [user];
    const [tail = '', ended, banned, lapsed] = await this.#ask('enter', room, keys, [this.#nodeId, leaseMs, ...users]);
    return { tail: decodeTail(tail), ended: ended === '1', banned: banned === '1', lapsed: lapsed === '1' };
  }

  async leave(room: RoomId, user: UserId): Promise<void> {
    await this.#link.call('leave', [whereKey(room)], [this.#nodeId, user]);
  }

  async prolong(room: RoomId, user: UserId, expiresAtMs: number): Promise<void> {
    const args = [roomChannel(room), user, Math.floor(expiresAtMs)];
    await this.#link.call('prolong', [whereKey(room), nodesKey(room)], args);
  }

  async renew(room: RoomId): Promise<Renewed> {
    const keys = [whereKey(room), nodesKey(room)];
    const [tail = '', lapsed] = await this.#ask('renew', room, keys, [this.#nodeId, leaseMs]);
    return { tail: decodeTail(tail), lapsed: lapsed === '1' };
  }

  isReady(): boolean {
    return this.#link.isReady() && this.#feed.isReady();
  }

  async close(): Promise<void> {
    await Promise.all([this.#link.close(), this.#feed.close()]);
  }

  /** The entry's content and what else the type of the change needs; see append.lua. */
  #describe(change: Change): (string | number)[] {
    switch (change.type) {
      case 'event': {
        const { kind, lane, audience, body } = change;
        const targets = typeof audience === 'string' ? '' : audience.join(' ');
        return [encodeContent(kind, lane, audience, body), targets];
      }
      case 'put': {
        const content = stateContent(`{"part":${JSON.stringify(change.part)},"value":${change.value}}`);
        return [content, change.part, change.value, change.ifVersion ?? '', this.#settings.statePartsMax];
      }
      case 'remove':
        return [stateContent(JSON.stringify({ part: change.part })), change.part, change.ifVersion ?? ''];
      case 'count':
        return ['', change.counter, change.by, this.#settings.countMs];
      case 'rule': {
        const content = encodeContent(change.kind, 'must', 'all', change.body);
        return [content, `${change.rule}:${change.user}`, change.seconds ?? ''];
      }
      case 'end':
        return [encodeContent('end', 'must', 'all', change.body)];
    }
  }

  #call(
    name: LibraryFunction,
    room: RoomId,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const { logEntriesMax, logTtlS, roomTtlS } = this.#settings;
    // The first half of a random UUID: 48 bits, and drawing it costs less than asking whether it is needed.
    const epoch = randomUUID().replaceAll('-', '').slice(0, 12);
    return this.#link.call(
      name,
      [logKey(room), metaKey(room), stateKey(room), ...keys],
      [roomChannel(room), epoch, logEntriesMax, logTtlS * 1000, roomTtlS, ...args],
    );
  }

  async #ask(
    name: LibraryFunction,
    room: RoomId,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<string[]> {
    return (await this.#call(name, room, keys, args)) as string[];
  }
}

const stateContent = (body: string): string => encodeContent('state', 'must', 'all', body);

function readAppended(text: string): Appended {
  const words = text.split(' ');
  const number = (index: number): number => readNumber(words[index], text);
  if (words[0] === 'refused') {
    const code = words[1] as Extract<Appended, { outcome: 'refused' }>['code'];
    return { outcome: 'refused', code, retryAfterMs: number(2), version: number(3) };
  }
  return {
    outcome: 'kept',
    position: { epoch: words[1] as Epoch, offset: number(2) },
    at: number(3),
    connected: number(4),
    total: number(5),
    pending: words[6] === '1',
    repeated: words[0] === 'again',
  };
}

function readCell(cell: string): StatePart {
  const space = cell.indexOf(' ');
  if (space < 0) return { version: readNumber(cell, cell), value: null };
  return { version: readNumber(cell.slice(0, space), cell), value: cell.slice(space + 1) };
}
