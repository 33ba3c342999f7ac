/**
 * One connection to one server that holds sharded subscriptions and nothing else. Owns: how it is found dead, and which
 * channels the server counts as subscribed. One kind of subscription, because the driver mixes the counts of different
 * kinds up (ioredis #2196).
 */

import type { Redis } from 'ioredis';
import type { Clock, Timer } from '../clock.ts';
import type { ServerName } from './redis-address.ts';
import { disconnected, keepAsking, type LinkLogger, within } from './redis-client.ts';

export interface LineKeeper {
  onReady(line: RedisLine): void;
  onAway(line: RedisLine): void;
  /** The server may have ended subscriptions by itself, because it has lost a slot: these are left. */
  onDropped(line: RedisLine, held: ReadonlySet<string>): void;
  onHeard(channel: string, text: string): void;
}

export class RedisLine {
  readonly server: ServerName;
  readonly #redis: Redis;
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  readonly #keeper: LineKeeper;
  readonly #asking: Timer;
  #look: Timer | null = null;
  #drops = 0;
  #isQuiet = false;
  #isAway = false;
  #isClosed = false;

  constructor(
    server: ServerName,
    redis: Redis,
    deadlineMs: number,
    clock: Clock,
    logger: LinkLogger,
    keeper: LineKeeper,
  ) {
    this.server = server;
    this.#redis = redis;
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
    this.#keeper = keeper;
    this.#asking = keepAsking(redis, clock);
    redis.on('smessage', (channel: string, text: string) => keeper.onHeard(channel, text));
    // The driver's word for a subscription that was ended without being asked.
    redis.on('moved', () => {
      this.#drops += 1;
      this.#lookSoon();
    });
    redis.on('ready', () => {
      if (this.#isClosed) return;
      this.#isQuiet = false;
      this.#isAway = false;
      keeper.onReady(this);
    });
    redis.on('close', () => {
      if (this.#isClosed) return;
      this.#isAway = true;
      keeper.onAway(this);
    });
    redis.on('error', (error: Error) => {
      if (!this.#isQuiet && !this.#isClosed) logger.warn({ err: error, server }, 'the subscriptions to Redis failed');
      this.#isQuiet = true;
    });
  }

  /** Settled at the first try to connect; a failed one is repeated for ever. */
  async open(): Promise<void> {
    await this.#redis.connect().catch(() => undefined);
  }

  isReady(): boolean {
    return this.#redis.status === 'ready';
  }

  /** The connection was lost, or could not be made; waiting may take long. */
  isAway(): boolean {
    return this.#isAway;
  }

  /** Channels of one slot. Rejects with the server's error, or where they are not held in the end. */
  async subscribe(channels: readonly string[]): Promise<void> {
    const drops = this.#drops;
    await this.#redis.ssubscribe(...channels);
    // What was dropped in the same breath is not seen as dropped by anybody else.
    if (this.#drops === drops) return;
    const held = this.#held();
    if (!channels.every((channel) => held.has(channel))) throw new Error('The subscription was ended at once.');
  }

  /** Settled in bounded time, whatever becomes of it: a connection that cannot be told forgets by itself. */
  async unsubscribe(channels: readonly string[]): Promise<void> {
    if (!this.isReady()) return;
    await within(this.#redis.sunsubscribe(...channels), this.#deadlineMs, this.#clock).catch(() => undefined);
    // While this was under way, the driver took any end of a subscription for the one that was asked for.
    this.#lookSoon();
  }

  /** Begins with a new connection, where this one answers what it should not. */
  restart(): void {
    if (this.isReady()) this.#redis.disconnect(true);
  }

  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isClosed = true;
    this.#asking.cancel();
    this.#look?.cancel();
    return disconnected(this.#redis, this.#clock);
  }

  /** Once for all that is dropped together. */
  #lookSoon(): void {
    if (this.#isClosed) return;
    this.#look ??= this.#clock.soon(() => {
      this.#look = null;
      if (this.isReady()) this.#keeper.onDropped(this, this.#held());
    });
  }

  #held(): ReadonlySet<string> {
    const held = this.#redis.condition?.subscriber;
    return new Set(held ? held.channels('ssubscribe') : []);
  }
}
