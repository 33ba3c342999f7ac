/**
 * The room log on Redis 7 or later: the contract of `room-log`, one function in Redis per call. This file owns the
 * arguments and answers of the functions; `room-calls` owns the calls, `feed` the live path, `scripts/` the rules. It
 * keeps nothing about rooms or users.
 */

import { randomUUID } from 'node:crypto';
import { type Epoch, type RoomId, rankOf, type StatePart } from '../../model.ts';
import type { LinkLogger } from '../../redis/client.ts';
import type { RedisLink } from '../../redis/link.ts';
import type { RedisServers } from '../../redis/servers.ts';
import type { Settings } from '../../settings.ts';
import type { Position } from '../position.ts';
import {
  type Appended,
  type LogHealth,
  onceTtlMs,
  type Reader,
  type Reading,
  type RoomLog,
  type RoomState,
  type Rule,
  type Subscriber,
  type Write,
} from '../room-log.ts';
import { describeChange } from './change.ts';
import { readNumber } from './entry-text.ts';
import type { RedisFeed } from './feed.ts';
import type { RoomKeys } from './keys.ts';
import { toReading } from './reading.ts';
import type { RoomCalls } from './room-calls.ts';
import { readRules } from './rules.ts';

/** How long the answer to a write without a key is kept for the gateway's own retry; longer than a call can last. */
const sentTtlMs = 60_000;

/** The connections of a log on Redis. */
export interface Connections {
  readonly servers: Pick<RedisServers, 'trouble'>;
  readonly link: Pick<RedisLink, 'trouble' | 'risks'>;
  readonly feed: RedisFeed;
  /** Closes all of them. */
  readonly close: () => Promise<void>;
}

export class RedisLog implements RoomLog {
  readonly #calls: RoomCalls;
  readonly #keys: RoomKeys;
  readonly #settings: Settings;
  readonly #logger: LinkLogger;
  readonly #connections: Connections;
  readonly #sentTtlMs: number;

  constructor(calls: RoomCalls, connections: Connections) {
    this.#calls = calls;
    this.#keys = calls.keys;
    this.#settings = calls.settings;
    this.#logger = calls.logger;
    this.#connections = connections;
    this.#sentTtlMs = Math.max(sentTtlMs, 2 * calls.settings.logDeadlineMs);
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
    const reply = await this.#calls.call('append', room, keys, [...args, ...tokens, change.type, ...described]);
    return this.#calls.understand(room, () => readAppended(String(reply)));
  }

  async settle(room: RoomId, counter: string): Promise<number> {
    const waitMs = await this.#calls.call('settle', room, [], [counter]);
    return this.#calls.understand(room, () => readNumber(String(waitMs), 'settle'));
  }

  async read(room: RoomId, after: Position | null, limit: number): Promise<Reading> {
    const args = [after?.epoch ?? '', after?.offset ?? 0, limit];
    const [tail = '', newest, ...texts] = await this.#calls.ask('read', room, [], args);
    const retracted = this.#calls.understand(room, () => readNumber(newest, tail));
    const page = { tail: this.#calls.readTail(room, tail), retracted, texts, after, limit };
    return toReading(page, (from, upTo) =>
      this.#logger.error({ room, from, upTo }, 'log entries unreadable or missing; viewers get a gap'),
    );
  }

  async readState(room: RoomId, reader: Reader | null = null, known: Position | null = null): Promise<RoomState> {
    const asker = reader === null || reader.id === null ? '' : `${rankOf(reader.role)}${reader.id}`;
    const args = [asker, known?.epoch ?? '', known?.offset ?? 0];
    const answer = await this.#calls.ask('read_state', room, [this.#keys.rules(room)], args);
    const [tailText = '', total, banned, ended, ...cells] = answer;
    const tail = this.#calls.readTail(room, tailText);
    const parts = new Map<string, StatePart>();
    for (let i = 0; i + 1 < cells.length; i += 2) {
      const part = readCell(cells[i + 1] ?? '');
      if (part === null)
        this.#logger.error({ room, part: cells[i] }, 'state part unreadable; skipped; write the part again');
      else if (part.value !== null || part.version >= tail.first) parts.set(cells[i] ?? '', part);
    }
    const totalRead = this.#calls.understand(room, () => readNumber(total, tailText));
    const since = known?.epoch === tail.epoch ? { since: known.offset } : {};
    return { tail, total: totalRead, parts, banned: banned === '1', ended: ended === '1', ...since };
  }

  async readRules(room: RoomId): Promise<readonly Rule[]> {
    const answer = await this.#calls.ask('read_rules', room, [this.#keys.rules(room)], []);
    return readRules(answer, (field) =>
      this.#logger.error({ room, field }, 'rule unreadable; skipped; set the ban or mute again'),
    );
  }

  follow(room: RoomId, subscriber: Subscriber): Promise<void> {
    return this.#connections.feed.follow(room, subscriber);
  }

  unfollow(room: RoomId): Promise<void> {
    return this.#connections.feed.unfollow(room);
  }

  isReady(): boolean {
    return this.health().trouble === null;
  }

  health(): LogHealth {
    const { servers, link, feed } = this.#connections;
    return { trouble: servers.trouble ?? link.trouble() ?? feed.trouble(), risks: link.risks() };
  }

  close(): Promise<void> {
    return this.#connections.close();
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

/** Null if the text is no cell. */
function readCell(cell: string): StatePart | null {
  const match = /^([0-9]{1,15})(?: (.+))?$/s.exec(cell);
  return match && { version: Number(match[1]), value: match[2] ?? null };
}
