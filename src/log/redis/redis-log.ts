/**
 * The room's log on Redis 7 or later: the contract of `room-log`, each call one function in Redis. This file owns what
 * goes into the functions and what comes out; `redis/link` owns the calls, `log/redis/feed` the live path, `scripts/` the
 * rules. It keeps nothing about rooms or users itself.
 */

import { randomUUID } from 'node:crypto';
import { type Clock, systemClock } from '../../clock.ts';
import { type Epoch, type Grant, type Role, type RoomId, rankOf, type StatePart, type UserId } from '../../model.ts';
import { type LinkLogger, unavailable } from '../../redis/client.ts';
import { RedisLink } from '../../redis/link.ts';
import { RedisServers } from '../../redis/servers.ts';
import { RedisWarnings } from '../../redis/warnings.ts';
import type { Settings } from '../../settings.ts';
import type { Position, Tail } from '../position.ts';
import {
  type Appended,
  type Entered,
  type LogHealth,
  leaseMs,
  onceTtlMs,
  type Reader,
  type Reading,
  type Renewed,
  type RoomLog,
  type RoomState,
  type Rule,
  type Subscriber,
  type ViewerCount,
  type Write,
} from '../room-log.ts';
import { describeChange } from './change.ts';
import {
  decodeTail,
  decodeViewerCount,
  encodeGrant,
  encodeViewerCount,
  LogTextError,
  readNumber,
} from './entry-text.ts';
import { type FeedNeeds, RedisFeed } from './feed.ts';
import { keySpace, keysIn, type RoomKeys } from './keys.ts';
import type { LibraryFunction } from './library.ts';
import { type Attended, PresenceBatch, type Step } from './presence-batch.ts';
import { toReading } from './reading.ts';
import { libraryOf } from './rights.ts';
import { readRules } from './rules.ts';

/** How long the answer to a write without a key is kept for our own repetition; longer than a call can last. */
const sentTtlMs = 60_000;

const noLogger: LinkLogger = { warn: () => undefined, error: () => undefined };

/**
 * Connects and gives the log, also when Redis is unavailable for now: then `isReady` is false and calls are refused until it
 * is back.
 * @throws {Error} where the server is older than Redis 7, or may delete keys (`maxmemory-policy`).
 */
export async function openRedisLog(
  settings: Settings,
  nodeId: string,
  { clock = systemClock, logger = noLogger }: { readonly clock?: Clock; readonly logger?: LinkLogger } = {},
): Promise<RoomLog> {
  const servers = new RedisServers(settings.redisUrl ?? 'redis://127.0.0.1:6379', clock, logger);
  const keys = keysIn(keySpace(settings.redisPrefix, servers.address.database));
  const needs = { settings, nodeId, keys, servers, clock, logger, warnings: new RedisWarnings(clock, logger) };
  const link = new RedisLink({ ...needs, library: libraryOf(keys) });
  const feed = new RedisFeed(needs);
  const close = async () => void (await Promise.all([servers.close(), link.close(), feed.close()]));
  try {
    await servers.open();
    await Promise.all([link.open(), feed.open()]);
  } catch (error) {
    await close();
    throw error;
  }
  return new RedisLog(needs, link, feed, close);
}

class RedisLog implements RoomLog {
  readonly #settings: Settings;
  readonly #nodeId: string;
  readonly #keys: RoomKeys;
  readonly #servers: RedisServers;
  readonly #link: RedisLink;
  readonly #feed: RedisFeed;
  readonly #close: () => Promise<void>;
  readonly #presenceBatch: PresenceBatch;
  readonly #logger: LinkLogger;
  readonly #sentTtlMs: number;

  constructor(needs: FeedNeeds, link: RedisLink, feed: RedisFeed, close: () => Promise<void>) {
    const { settings, clock, logger } = needs;
    this.#settings = settings;
    this.#nodeId = needs.nodeId;
    this.#keys = needs.keys;
    this.#servers = needs.servers;
    this.#link = link;
    this.#feed = feed;
    this.#close = close;
    const attend = (room: RoomId, steps: readonly Step[]) => this.#attend(room, steps);
    this.#presenceBatch = new PresenceBatch({ attend, clock, deadlineMs: settings.logDeadlineMs });
    this.#logger = logger;
    this.#sentTtlMs = Math.max(sentTtlMs, 2 * settings.logDeadlineMs);
  }

  async append(write: Write): Promise<Appended> {
    const { room, by, once, rate, change } = write;
    const keys = [
      once ? this.#keys.seen(room, by, once.key) : this.#keys.sent(room, randomUUID()),
      this.#keys.where(room),
      this.#keys.nodes(room),
      this.#keys.rules(room),
    ];
    if (rate) keys.push(this.#keys.rate(room, by, rate.name));
    const bound = `${rankOf(write.role)}${write.mutable ? 'm' : ''}`;
    const args = [by, once?.digest ?? '', once ? onceTtlMs : this.#sentTtlMs, bound];
    const tokens = rate ? [1000 / rate.perSecond, rate.burst, rate.cost] : ['', '', ''];
    const described = describeChange(change, this.#settings);
    const reply = await this.#call('append', room, keys, [...args, ...tokens, change.type, ...described]);
    return this.#understand(room, () => readAppended(String(reply)));
  }

  async settle(room: RoomId, counter: string): Promise<number> {
    const waitMs = await this.#call('settle', room, [], [counter]);
    return this.#understand(room, () => readNumber(String(waitMs), 'settle'));
  }

  async read(room: RoomId, after: Position | null, limit: number): Promise<Reading> {
    const args = [after?.epoch ?? '', after?.offset ?? 0, limit];
    const [tail = '', newest, ...texts] = await this.#ask('read', room, [], args);
    const retracted = this.#understand(room, () => readNumber(newest, tail));
    const page = { tail: this.#readTail(room, tail), retracted, texts, after, limit };
    return toReading(page, (from, upTo) =>
      this.#logger.error({ room, from, upTo }, 'log entries unreadable or missing; viewers get a gap'),
    );
  }

  async readState(room: RoomId, reader: Reader | null = null, known: Position | null = null): Promise<RoomState> {
    const asker = reader === null || reader.id === null ? '' : `${rankOf(reader.role)}${reader.id}`;
    const args = [asker, known?.epoch ?? '', known?.offset ?? 0];
    const answer = await this.#ask('read_state', room, [this.#keys.rules(room)], args);
    const [tailText = '', total, banned, ended, ...cells] = answer;
    const tail = this.#readTail(room, tailText);
    const parts = new Map<string, StatePart>();
    for (let i = 0; i + 1 < cells.length; i += 2) {
      const part = readCell(cells[i + 1] ?? '');
      if (part === null)
        this.#logger.error({ room, part: cells[i] }, 'state part unreadable; skipped; write the part again');
      else if (part.value !== null || part.version >= tail.first) parts.set(cells[i] ?? '', part);
    }
    const totalRead = this.#understand(room, () => readNumber(total, tailText));
    const since = known?.epoch === tail.epoch ? { since: known.offset } : {};
    return { tail, total: totalRead, parts, banned: banned === '1', ended: ended === '1', ...since };
  }

  async readRules(room: RoomId): Promise<readonly Rule[]> {
    const answer = await this.#ask('read_rules', room, [this.#keys.rules(room)], []);
    return readRules(answer, (field) =>
      this.#logger.error({ room, field }, 'rule unreadable; skipped; set the ban or mute again'),
    );
  }

  follow(room: RoomId, subscriber: Subscriber): Promise<void> {
    return this.#feed.follow(room, subscriber);
  }

  unfollow(room: RoomId): Promise<void> {
    return this.#feed.unfollow(room);
  }

  enter(room: RoomId, user: UserId | null, role: Role = 'viewer'): Promise<Entered> {
    return this.#presenceBatch.enter(room, user, role);
  }

  leave(room: RoomId, user: UserId): Promise<void> {
    return this.#presenceBatch.leave(room, user);
  }

  async prolong(room: RoomId, user: UserId, grant: Grant | null): Promise<void> {
    const args = [this.#keys.roomChannel(room), user, encodeGrant(user, grant)];
    await this.#link.call('prolong', [this.#keys.where(room), this.#keys.nodes(room)], args);
  }

  async renew(
    room: RoomId,
    viewers = 0,
    seen: Position | null = null,
    shown: ViewerCount | null = null,
  ): Promise<Renewed> {
    const { where, nodes, audience, rules } = this.#keys;
    const keys = [where(room), nodes(room), audience(room), rules(room)];
    const args = [this.#nodeId, leaseMs, viewers, seen?.epoch ?? '', seen?.offset ?? 0, encodeViewerCount(shown)];
    const [tail = '', lapsed, sum = '', known = '', againMs] = await this.#ask('renew', room, keys, args);
    return this.#understand(room, () => ({
      tail: decodeTail(tail),
      ...readLapsed(lapsed),
      sum: decodeViewerCount(sum),
      shown: known === '' ? null : decodeViewerCount(known),
      againMs: readNumber(againMs, tail),
    }));
  }

  isReady(): boolean {
    return this.health().trouble === null;
  }

  health(): LogHealth {
    const trouble = this.#servers.trouble ?? this.#link.trouble() ?? this.#feed.trouble();
    return { trouble, risks: this.#link.risks() };
  }

  close(): Promise<void> {
    this.#presenceBatch.close();
    return this.#close();
  }

  async #attend(room: RoomId, steps: readonly Step[]): Promise<Attended> {
    const marked = steps.map(({ user, comes, role }) => `${comes ? `+${rankOf(role)}` : '-'}${user}`);
    const keys = [this.#keys.where(room), this.#keys.nodes(room), this.#keys.rules(room)];
    const [tail = '', ended, lapsed, ...banned] = await this.#ask('presence', room, keys, [
      this.#nodeId,
      leaseMs,
      ...marked,
    ]);
    return {
      tail: this.#readTail(room, tail),
      ended: ended === '1',
      ...readLapsed(lapsed),
      banned: new Set(banned.flatMap((number) => steps[Number(number) - 1] ?? [])),
    };
  }

  #readTail(room: RoomId, text: string): Tail {
    return this.#understand(room, () => decodeTail(text));
  }

  /** What somebody else put into the room's keys makes this one room unavailable, and is no internal error. */
  #understand<Value>(room: RoomId, decode: () => Value): Value {
    try {
      return decode();
    } catch (error) {
      if (!(error instanceof LogTextError)) throw error;
      this.#logger.error(
        { err: error, room },
        'room keys unreadable: not written by a gateway; look for another writer on this prefix',
      );
      throw unavailable();
    }
  }

  #call(
    name: LibraryFunction,
    room: RoomId,
    keys: readonly string[],
    args: readonly (string | number)[],
  ): Promise<unknown> {
    const { logEntriesMax, logBytesMax, logTtlS, roomTtlS, rulesTtlS } = this.#settings;
    // The last part of a random UUID: 48 bits, and drawing them costs less than asking whether they are needed.
    const epoch = randomUUID().slice(-12);
    return this.#link.call(
      name,
      [this.#keys.log(room), this.#keys.meta(room), this.#keys.state(room), ...keys],
      [
        this.#keys.roomChannel(room),
        epoch,
        `${logEntriesMax} ${logBytesMax}`,
        logTtlS * 1000,
        `${roomTtlS} ${rulesTtlS}`,
        ...args,
      ],
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

/** See lapsed_flag in directory.lua. */
const readLapsed = (flag: string | undefined): { readonly lapsed: boolean; readonly covered: boolean } => ({
  lapsed: flag !== '0',
  covered: flag === '2',
});

/** Null where this is no cell. */
function readCell(cell: string): StatePart | null {
  const match = /^([0-9]{1,15})(?: (.+))?$/s.exec(cell);
  return match && { version: Number(match[1]), value: match[2] ?? null };
}
