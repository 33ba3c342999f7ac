/**
 * One connection for calls to one server that has rooms. Owns: the connection and how it is found dead, and that the
 * library is loaded before anything is sent. What becomes of a call whose reply was lost is `redis-link`'s business.
 *
 * Modes. `fresh`: not connected yet, and nothing has failed. `away`: the connection was lost, or could not be made.
 * `loading`: connected, the library is being loaded. `ready`: calls may be sent. `closed`.
 */

import type { Redis } from 'ioredis';
import type { Clock, Timer } from '../clock.ts';
import type { ServerName } from './redis-address.ts';
import { disconnected, keepAsking, type LinkLogger } from './redis-client.ts';
import { functionName, type LibraryFunction, librarySource } from './redis-library.ts';

export interface Question {
  readonly name: LibraryFunction;
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
}

export interface ShardKeeper {
  onReady(shard: RedisShard): void;
  /** Each time that the connection was lost or could not be made. */
  onAway(shard: RedisShard): void;
}

export class RedisShard {
  readonly server: ServerName;
  readonly #redis: Redis;
  readonly #logger: LinkLogger;
  readonly #clock: Clock;
  readonly #keeper: ShardKeeper;
  readonly #asking: Timer;
  #mode: 'fresh' | 'away' | 'loading' | 'ready' | 'closed' = 'fresh';
  #closings = 0;
  #loading: Promise<void> | null = null;
  #isTooOld = false;
  /** Calls that were sent and are owed an answer. */
  owed = 0;
  /** Calls that were meant for this server when they began, kept by `redis-link`. */
  calls = 0;

  constructor(server: ServerName, redis: Redis, clock: Clock, logger: LinkLogger, keeper: ShardKeeper) {
    this.server = server;
    this.#redis = redis;
    this.#clock = clock;
    this.#logger = logger;
    this.#keeper = keeper;
    this.#asking = keepAsking(redis, clock);
    redis.on('ready', () => void this.#becomeReady());
    redis.on('close', () => this.#becomeAway());
    redis.on('error', (error: Error) => {
      if (this.#closings === 0 && this.#mode !== 'closed')
        this.#logger.warn({ err: error, server }, 'the connection to Redis failed');
    });
  }

  get mode(): 'fresh' | 'away' | 'loading' | 'ready' | 'closed' {
    return this.#mode;
  }

  /** Connections that were lost, or could not be made, since it was last ready. */
  get closings(): number {
    return this.#closings;
  }

  /** The server knows no functions. */
  get isTooOld(): boolean {
    return this.#isTooOld;
  }

  /** Settled at the first try to connect; a failed one is repeated for ever. */
  async open(): Promise<void> {
    await this.#redis.connect().catch(() => undefined);
    await this.#loading;
  }

  /** Whether what was just lost may be sent at once: the next connection has come already. */
  isUsable(): boolean {
    return this.#mode === 'ready' && this.#redis.status === 'ready';
  }

  async send({ name, keys, args }: Question): Promise<unknown> {
    this.owed += 1;
    try {
      return await this.#redis.fcall(functionName(name), keys.length, ...keys, ...args);
    } finally {
      this.owed -= 1;
    }
  }

  /** The same on a server that is only just taking the slot over: it answers who asks in this way. */
  sendAsking(question: Question): Promise<unknown> {
    // It holds for the next command only. Both are added to the same batch in one turn, so nothing comes between.
    this.#redis.asking().catch(() => undefined);
    return this.send(question);
  }

  /** Single flight. Where loading is refused, the library may be there all the same: the next call will tell. */
  load(): Promise<void> {
    this.#loading ??= this.#redis
      .call('FUNCTION', 'LOAD', librarySource)
      .then(
        () => undefined,
        (error: Error) => {
          this.#isTooOld = /unknown command/i.test(error.message);
          if (!/already exists|^READONLY|^MOVED/.test(error.message) && this.#mode !== 'closed')
            this.#logger.warn({ err: error, server: this.server }, 'the library was not loaded');
        },
      )
      .finally(() => {
        this.#loading = null;
      });
    return this.#loading;
  }

  close(): Promise<void> {
    if (this.#mode === 'closed') return Promise.resolve();
    this.#mode = 'closed';
    this.#asking.cancel();
    return disconnected(this.#redis, this.#clock);
  }

  #becomeAway(): void {
    if (this.#mode === 'closed') return;
    this.#mode = 'away';
    this.#closings += 1;
    this.#keeper.onAway(this);
  }

  async #becomeReady(): Promise<void> {
    if (this.#mode === 'closed') return;
    this.#mode = 'loading';
    await this.load();
    if (this.#mode !== 'loading' || this.#redis.status !== 'ready') return;
    this.#mode = 'ready';
    this.#closings = 0;
    this.#keeper.onReady(this);
  }
}
