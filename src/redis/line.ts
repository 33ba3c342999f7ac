/**
 * One connection to one server for sharded subscriptions only. Owns: how it is found dead, which channels the server
 * counts as subscribed, and whether the user may subscribe, which it tests when the connection opens, periodically, and
 * soon again after a denial. One kind of subscription, because the driver mixes up the counts of different kinds
 * (ioredis #2196).
 */

import type { Redis } from 'ioredis';
import { jittered } from '../backoff.ts';
import type { Clock, Timer } from '../clock.ts';
import type { ServerName } from './address.ts';
import { disconnected, keepAsking, type LinkLogger, within } from './client.ts';
import { isDenial } from './replies.ts';
import type { RedisWarnings } from './warnings.ts';

/** How often it is tried out whether the user may subscribe: usually, and while that is denied. */
const tryMs = 5000;
const tryAgainMs = 1000;

export interface LineListener {
  /** Channels that may be subscribed for a try, of a room that nobody else can name. */
  channelsToTry(server: ServerName): readonly string[];
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
  readonly #listener: LineListener;
  readonly #asking: Timer;
  #look: Timer | null = null;
  readonly #warnings: RedisWarnings;
  #isOpen = false;
  #lack: string | null = null;
  #failure: string | null = null;
  #again: Timer | null = null;
  #trying: Promise<void> | null = null;
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
    warnings: RedisWarnings,
    listener: LineListener,
  ) {
    this.server = server;
    this.#redis = redis;
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
    this.#listener = listener;
    this.#warnings = warnings;
    this.#asking = keepAsking(redis, clock);
    redis.on('smessage', (channel: string, text: string) => listener.onHeard(channel, text));
    // The driver's word for a subscription that was ended without being asked.
    redis.on('moved', () => {
      this.#drops += 1;
      this.#lookSoon();
    });
    redis.on('ready', () => {
      if (this.#isClosed) return;
      this.#isQuiet = false;
      this.#isAway = false;
      void this.#tryOut();
    });
    redis.on('close', () => {
      this.#isOpen = false;
      this.#again?.cancel();
      if (this.#isClosed) return;
      this.#isAway = true;
      listener.onAway(this);
    });
    redis.on('error', (error: Error) => {
      if (!this.#isQuiet && !this.#isClosed)
        logger.warn({ err: error, server }, 'Redis subscription connection failed; reconnecting');
      this.#isQuiet = true;
      this.#failure = error.message;
    });
  }

  /** Settled at the first try to connect; a failed one is repeated for ever. */
  async open(): Promise<void> {
    await this.#redis.connect().catch(() => undefined);
    await this.#trying;
  }

  isReady(): boolean {
    return this.#isOpen && this.#lack === null && this.#redis.status === 'ready';
  }

  /** What is denied although a gateway needs it, with Redis' own word. */
  get lack(): string | null {
    return this.#lack === null ? null : `Redis ${this.server} denies a command that a gateway needs: ${this.#lack}`;
  }

  /** Why nothing can be subscribed now; null if it can. */
  get trouble(): string | null {
    if (this.#lack !== null || this.isReady()) return this.lack;
    return `Redis ${this.server} is unreachable for subscriptions: ${this.#failure ?? 'not connected yet'}`;
  }

  /** A subscription was refused with this. */
  refused(error: Error): void {
    if (error.name !== 'ReplyError') return;
    this.#warnings.refused(error, { server: this.server });
    if (isDenial(error.message) && this.#lack === null) void this.#tryOut();
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
    if (this.#redis.status !== 'ready') return;
    await within(this.#redis.sunsubscribe(...channels), this.#deadlineMs, this.#clock).catch(() => undefined);
    // While this was under way, the driver took any end of a subscription for the one that was asked for.
    this.#lookSoon();
  }

  close(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    this.#isClosed = true;
    this.#asking.cancel();
    this.#look?.cancel();
    this.#again?.cancel();
    return disconnected(this.#redis, this.#clock);
  }

  /** Single flight. What fails for another reason than rights says nothing against the line. */
  #tryOut(): Promise<void> {
    this.#trying ??= this.#denial().then((denial) => {
      this.#trying = null;
      if (this.#isClosed || this.#redis.status !== 'ready') return;
      const wasReady = this.isReady();
      this.#isOpen = true;
      this.#lack = denial;
      if (this.lack !== null) this.#warnings.warned(this.lack);
      this.#again?.cancel();
      const ms = jittered(denial === null ? tryMs : tryAgainMs);
      this.#again = this.#clock.after(ms, () => void this.#tryOut());
      if (denial === null && !wasReady) this.#listener.onReady(this);
    });
    return this.#trying;
  }

  async #denial(): Promise<string | null> {
    const channels = this.#listener.channelsToTry(this.server);
    if (channels.length === 0) return null;
    let name = 'SSUBSCRIBE';
    try {
      await this.#redis.ssubscribe(...channels);
      name = 'SUNSUBSCRIBE';
      await this.#redis.sunsubscribe(...channels);
    } catch (error) {
      const { message } = error as Error;
      return isDenial(message) ? `${name} ${channels.join(' ').replace(/\{[^}]*\}/g, '*')}: ${message}` : null;
    }
    return null;
  }

  /** Once for all that is dropped together. */
  #lookSoon(): void {
    if (this.#isClosed) return;
    this.#look ??= this.#clock.soon(() => {
      this.#look = null;
      if (this.#redis.status === 'ready') this.#listener.onDropped(this, this.#held());
    });
  }

  #held(): ReadonlySet<string> {
    const held = this.#redis.condition?.subscriber;
    return new Set(held ? held.channels('ssubscribe') : []);
  }
}
