/**
 * What the log publishes to this node: one connection that holds sharded subscriptions and nothing else, two channels a
 * room (all nodes, this node). Promises: `follow` settles once both are confirmed; when the connection was lost, every
 * room is subscribed again and its follower told, in this order. One kind of subscription, because the driver mixes the
 * counts of different kinds up (ioredis #2196).
 */

import type { Redis } from 'ioredis';
import type { Clock, Timer } from '../clock.ts';
import type { Settings } from '../settings.ts';
import type { RoomId } from '../signal.ts';
import { decodeHeard, LogTextError } from './entry-text.ts';
import { nodeChannel, roomChannel } from './keys.ts';
import { createRedis, disconnected, keepAsking, type LinkLogger, unavailable } from './redis-link.ts';
import type { Follower, Heard } from './room-log.ts';

/** The least time between two log lines about what cannot be read: a flood of garbage must not become one of lines. */
const garbageToldMs = 1000;

interface Followed {
  readonly follower: Follower;
  readonly channels: readonly [string, string];
  /** Whether `follow` has settled: from then on, a break is the follower's business. */
  isSettled: boolean;
}

export class RedisFeed {
  readonly #redis: Redis;
  readonly #nodeId: string;
  readonly #clock: Clock;
  readonly #logger: LinkLogger;
  readonly #deadlineMs: number;
  readonly #asking: Timer;
  readonly #rooms = new Map<RoomId, Followed>();
  readonly #byChannel = new Map<string, Followed>();
  #garbageToldMs = Number.NEGATIVE_INFINITY;
  #isQuiet = false;
  #isClosed = false;

  constructor(settings: Settings, nodeId: string, clock: Clock, logger: LinkLogger) {
    this.#nodeId = nodeId;
    this.#clock = clock;
    this.#logger = logger;
    this.#deadlineMs = settings.logDeadlineMs;
    this.#redis = createRedis(settings, false);
    this.#asking = keepAsking(this.#redis, clock);
    this.#redis.on('smessage', (channel: string, text: string) => this.#hear(channel, text));
    this.#redis.on('ready', () => this.#resume());
    this.#redis.on('error', (error: Error) => {
      if (!this.#isQuiet) this.#logger.warn({ err: error }, 'the subscriptions to Redis failed');
      this.#isQuiet = true;
    });
  }

  async open(): Promise<void> {
    await this.#redis.connect().catch(() => undefined);
  }

  isReady(): boolean {
    return this.#redis.status === 'ready';
  }

  async follow(room: RoomId, follower: Follower): Promise<void> {
    if (this.#rooms.has(room)) throw new Error(`Room ${room} has a follower already.`);
    const channels = [roomChannel(room), nodeChannel(room, this.#nodeId)] as const;
    const followed: Followed = { follower, channels, isSettled: false };
    this.#rooms.set(room, followed);
    for (const channel of channels) this.#byChannel.set(channel, followed);
    try {
      await this.#subscribe(followed);
      followed.isSettled = true;
    } catch {
      if (this.#rooms.get(room) === followed) await this.unfollow(room);
      throw unavailable();
    }
    // Unfollowed while it was being confirmed: there is nobody to whom messages could flow.
    if (this.#rooms.get(room) !== followed) throw unavailable();
  }

  /** Settled at once for the caller's purposes: nothing more is heard, whatever becomes of the subscription. */
  async unfollow(room: RoomId): Promise<void> {
    const followed = this.#rooms.get(room);
    if (!followed) return;
    this.#rooms.delete(room);
    for (const channel of followed.channels) this.#byChannel.delete(channel);
    // A connection that cannot be told is a connection that forgets by itself.
    if (this.isReady())
      await within(this.#redis.sunsubscribe(...followed.channels), this.#deadlineMs, this.#clock).catch(
        () => undefined,
      );
  }

  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isClosed = true;
    this.#asking.cancel();
    this.#rooms.clear();
    this.#byChannel.clear();
    return disconnected(this.#redis, this.#clock);
  }

  #subscribe(followed: Followed): Promise<unknown> {
    return within(this.#redis.ssubscribe(...followed.channels), this.#deadlineMs, this.#clock);
  }

  #hear(channel: string, text: string): void {
    const followed = this.#byChannel.get(channel);
    const message = followed && this.#decode(channel, text);
    if (message) followed.follower.heard(message);
  }

  /** What nobody of us published is left out. If it stands for an entry, the next one's numbers show that it is missing. */
  #decode(channel: string, text: string): Heard | null {
    try {
      return decodeHeard(text);
    } catch (error) {
      if (!(error instanceof LogTextError)) throw error;
      const now = this.#clock.now();
      if (now - this.#garbageToldMs >= garbageToldMs) {
        this.#garbageToldMs = now;
        this.#logger.warn({ err: error, channel }, 'Redis published what no gateway wrote');
      }
      return null;
    }
  }

  /** A failure here means that this connection is gone too, and the next one begins again. */
  #resume(): void {
    this.#isQuiet = false;
    for (const [room, followed] of this.#rooms) {
      if (!followed.isSettled) continue;
      this.#redis.ssubscribe(...followed.channels).then(
        () => {
          if (this.#rooms.get(room) === followed) followed.follower.resumed();
        },
        (error: Error) => {
          if (this.isReady() && error.name === 'ReplyError') this.#redis.disconnect(true);
        },
      );
    }
  }
}

/** Rejects when the deadline comes first. */
function within<T>(promise: Promise<T>, deadlineMs: number, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(deadlineMs, () => reject(unavailable()));
    promise.then(resolve, reject).finally(() => timer.cancel());
  });
}
