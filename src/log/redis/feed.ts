/**
 * The live path from the log to this node: sharded subscriptions on two channels per room (all nodes, this node), at
 * the server that has the room. A `redis/line` is one connection; `redis/servers` knows which server has which room.
 *
 * - `follow` settles once both subscriptions are confirmed.
 * - A subscription is lost with its connection, its server or its slot. The feed then subscribes the room again at its
 *   present server, and after that notifies the room's follower. Followers of other rooms are not notified.
 *
 * A room is in one of these states:
 * - **idle**: its server is unavailable, or the room backs off after a refusal.
 * - **asking**: its subscription is requested.
 * - **held**: its subscription is confirmed.
 */

import { backoffMs } from '../../backoff.ts';
import type { Clock, Timer } from '../../clock.ts';
import type { RoomId } from '../../model.ts';
import { placeOf, type ServerName } from '../../redis/address.ts';
import { type LinkLogger, unavailable, within } from '../../redis/client.ts';
import { RedisLine } from '../../redis/line.ts';
import type { RedisServers } from '../../redis/servers.ts';
import { readRedirection } from '../../redis/slots.ts';
import type { RedisWarnings } from '../../redis/warnings.ts';
import type { Settings } from '../../settings.ts';
import type { LogMessage, Subscriber } from '../room-log.ts';
import { decodeMessage, LogTextError } from './entry-text.ts';
import type { RoomKeys } from './keys.ts';

/** The least time between two log lines about unreadable messages: garbage must not flood the log. */
const garbageToldMs = 1000;
/** Backoff of a room whose subscription is refused. */
const restBounds = { firstMs: 20, longestMs: 1000 };

interface Followed {
  readonly subscriber: Subscriber;
  readonly channels: readonly [string, string];
  state: 'idle' | 'asking' | 'held';
  /** The line that holds the room, or that was asked last. */
  line: RedisLine | null;
  rest: Timer | null;
  refusals: number;
  /** Set until `follow` has settled. After that, the follower handles a break. */
  confirm: { settled: () => void; refused: () => void } | null;
}

export interface FeedNeeds {
  readonly settings: Settings;
  readonly nodeId: string;
  readonly keys: RoomKeys;
  readonly servers: RedisServers;
  readonly clock: Clock;
  readonly logger: LinkLogger;
  readonly warnings: RedisWarnings;
}

export class RedisFeed {
  readonly #keys: RoomKeys;
  readonly #warnings: RedisWarnings;
  readonly #servers: RedisServers;
  readonly #nodeId: string;
  readonly #clock: Clock;
  readonly #logger: LinkLogger;
  readonly #deadlineMs: number;
  readonly #lines = new Map<ServerName, RedisLine>();
  readonly #rooms = new Map<RoomId, Followed>();
  readonly #byChannel = new Map<string, Followed>();
  #opening: Promise<void>[] | null = [];
  #version = -1;
  #garbageToldMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor({ settings, nodeId, keys, servers, clock, logger, warnings }: FeedNeeds) {
    this.#keys = keys;
    this.#warnings = warnings;
    this.#servers = servers;
    this.#nodeId = nodeId;
    this.#clock = clock;
    this.#logger = logger;
    this.#deadlineMs = settings.logDeadlineMs;
    servers.onAnswer(() => this.#adjust());
  }

  /** Settles after the first attempt to connect to each server. Open the servers first. */
  async open(): Promise<void> {
    this.#adjust();
    const opening = this.#opening ?? [];
    this.#opening = null;
    await Promise.all(opening);
  }

  /** Why rooms receive nothing; null if they do. One unavailable server of several affects its own rooms only. */
  trouble(): string | null {
    const lines = [...this.#servers.owners].flatMap((server) => this.#lines.get(server) ?? []);
    const lack = lines.find((line) => line.lack !== null)?.lack ?? null;
    if (lack !== null || lines.some((line) => line.isReady())) return lack;
    return lines[0]?.trouble ?? 'no Redis node found yet';
  }

  async follow(room: RoomId, subscriber: Subscriber): Promise<void> {
    if (this.#rooms.has(room)) throw new Error(`Room ${room} has a follower already.`);
    const channels = this.#channelsOf(room);
    const followed: Followed = {
      subscriber,
      channels,
      state: 'idle',
      line: null,
      rest: null,
      refusals: 0,
      confirm: null,
    };
    const confirmed = new Promise<void>((settled, refuse) => {
      followed.confirm = { settled, refused: () => refuse(unavailable()) };
    });
    this.#rooms.set(room, followed);
    for (const channel of channels) this.#byChannel.set(channel, followed);
    this.#tend(followed);
    try {
      await within(confirmed, this.#deadlineMs, this.#clock);
    } catch {
      if (this.#rooms.get(room) === followed) await this.unfollow(room);
      throw unavailable();
    }
    // Unfollowed before it was confirmed: no subscriber is left.
    if (this.#rooms.get(room) !== followed) throw unavailable();
  }

  /** Takes effect at once: nothing more is delivered, whatever becomes of the subscription. */
  async unfollow(room: RoomId): Promise<void> {
    const followed = this.#rooms.get(room);
    if (!followed) return;
    this.#rooms.delete(room);
    for (const channel of followed.channels) this.#byChannel.delete(channel);
    followed.rest?.cancel();
    followed.confirm?.refused();
    if (followed.state !== 'idle') await followed.line?.unsubscribe(followed.channels);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const { rest, confirm } of this.#rooms.values()) {
      rest?.cancel();
      confirm?.refused();
    }
    this.#rooms.clear();
    this.#byChannel.clear();
    await Promise.all([...this.#lines.values()].map((line) => line.close()));
  }

  /** Subscribes the room at its present server, if that is possible now. Idempotent. */
  #tend(followed: Followed): void {
    if (!this.#isFollowed(followed) || followed.state === 'asking' || followed.rest !== null) return;
    const server = this.#servers.ownerOf(followed.channels[0]);
    const line = server === null ? undefined : this.#lines.get(server);
    if (followed.state === 'held' && followed.line === line) return;
    if (line === undefined || !line.isReady()) {
      // The old server may still deliver until the new one can be asked.
      if (line?.isAway()) followed.confirm?.refused();
      return;
    }
    const before = followed.state === 'held' ? followed.line : null;
    followed.state = 'asking';
    followed.line = line;
    void before?.unsubscribe(followed.channels);
    line.subscribe(followed.channels).then(
      () => this.#confirmed(followed, line),
      (error: Error) => this.#refused(followed, line, error),
    );
  }

  #confirmed(followed: Followed, line: RedisLine): void {
    if (!this.#isFollowed(followed) || followed.state !== 'asking' || followed.line !== line) return;
    followed.state = 'held';
    followed.refusals = 0;
    if (followed.confirm === null) followed.subscriber.resumed();
    else followed.confirm.settled();
    followed.confirm = null;
    // The room may have moved in the meantime.
    this.#tend(followed);
  }

  #refused(followed: Followed, line: RedisLine, error: Error): void {
    if (!this.#isFollowed(followed) || followed.state !== 'asking' || followed.line !== line) return;
    followed.state = 'idle';
    followed.line = null;
    const place = placeOf(line.server);
    const elsewhere = readRedirection(error.message, 'host' in place ? place.host : '');
    if (elsewhere === null) line.refused(error);
    if (elsewhere?.isMoved) this.#servers.moved(followed.channels[0], elsewhere.server);
    else this.#servers.doubt();
    followed.refusals += 1;
    followed.rest = this.#clock.after(backoffMs(followed.refusals, restBounds), () => {
      followed.rest = null;
      this.#tend(followed);
    });
  }

  #channelsOf(room: RoomId): readonly [string, string] {
    return [this.#keys.roomChannel(room), this.#keys.nodeChannel(room, this.#nodeId)];
  }

  #isFollowed(followed: Followed): boolean {
    return this.#byChannel.get(followed.channels[0]) === followed;
  }

  /** Opens a line to each server that has rooms. Closes any other line once it holds no room. */
  #adjust(): void {
    if (this.#isClosed) return;
    for (const server of this.#servers.owners) this.#lineAt(server);
    if (this.#version !== this.#servers.version) this.#tendAll();
    this.#version = this.#servers.version;
    const used = new Set<RedisLine | null>();
    for (const { line } of this.#rooms.values()) used.add(line);
    for (const [server, line] of this.#lines) {
      if (this.#servers.owners.has(server) || used.has(line)) continue;
      this.#lines.delete(server);
      void line.close();
    }
  }

  #lineAt(server: ServerName): void {
    if (this.#lines.has(server)) return;
    const redis = this.#servers.connect(server, false);
    const line = new RedisLine(server, redis, this.#deadlineMs, this.#clock, this.#logger, this.#warnings, {
      channelsToTry: (of) => {
        // No client can name this room.
        const room = this.#servers.nameInSlotOf(of) as RoomId | null;
        return room === null ? [] : this.#channelsOf(room);
      },
      onReady: () => this.#tendAll(),
      onAway: (gone) => this.#lose(gone, null),
      onDropped: (loser, held) => this.#lose(loser, held),
      onHeard: (channel, text) => this.#hear(channel, text),
    });
    this.#lines.set(server, line);
    const opened = line.open();
    this.#opening?.push(opened);
  }

  #tendAll(): void {
    for (const followed of this.#rooms.values()) this.#tend(followed);
  }

  /** Marks the rooms of a line as lost, except those whose channels are in `held`. Null: the connection is lost. */
  #lose(line: RedisLine, held: ReadonlySet<string> | null): void {
    let isAnyLost = false;
    for (const followed of this.#rooms.values()) {
      if (followed.line !== line || followed.state === 'idle') continue;
      // A lost connection loses its requests too. Otherwise their answers are still to come.
      const isKept = held !== null && (followed.state === 'asking' || followed.channels.every((one) => held.has(one)));
      if (isKept) continue;
      followed.state = 'idle';
      followed.line = null;
      isAnyLost = true;
    }
    if (held === null || isAnyLost) this.#servers.doubt();
    if (isAnyLost) this.#tendAll();
  }

  #hear(channel: string, text: string): void {
    const followed = this.#byChannel.get(channel);
    const message = followed && this.#decode(channel, text);
    if (message) followed.subscriber.heard(message);
  }

  /** Ignores what no gateway wrote. If it replaced an entry, the numbers of the next one reveal the loss. */
  #decode(channel: string, text: string): LogMessage | null {
    try {
      return decodeMessage(text);
    } catch (error) {
      if (!(error instanceof LogTextError)) throw error;
      const now = this.#clock.now();
      if (now - this.#garbageToldMs >= garbageToldMs) {
        this.#garbageToldMs = now;
        this.#logger.warn(
          { err: error, channel },
          'Redis message ignored: not written by a gateway; look for another writer on this channel',
        );
      }
      return null;
    }
  }
}
