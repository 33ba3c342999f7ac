/**
 * One connection to Redis for calls of our functions. Owns: how connections are made, how a dead one is found, the
 * deadline of every call, loading the library, sending again, and what an error means for the caller.
 *
 * Modes. `away`: no connection; new calls are refused at once, calls that were already made wait for the first
 * reconnection. `loading`: connected, the library is being loaded; calls wait. `ready`: calls are sent. `closed`.
 *
 * A call whose reply was lost is sent again here and not by the driver, because here it ends with the call's deadline:
 * a write that is sent again much later would meet a once key that has gone, and be a second write.
 */

import { Redis, type RedisOptions } from 'ioredis';
import type { Clock, Timer } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { Settings } from '../settings.ts';
import { functionName, type LibraryFunction, librarySource } from './redis-library.ts';

export interface LinkLogger {
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** How often a connection is asked whether it lives, and how long it may owe an answer before it counts as dead. */
export const pingMs = 1000;
export const silentMsMax = 2500;
/** How long closing waits for the other side. */
const closeMsMax = 500;
/** Calls that may wait for an answer at a time; one more is refused. */
export const callsMax = 20_000;
/** Attempts of one call, so that a server that forgets its functions at once is not asked for ever. */
const attemptsMax = 4;

/** The one place where clients are made. */
export function createRedis(settings: Settings, isForCalls: boolean): Redis {
  const options = {
    connectTimeout: silentMsMax,
    socketTimeout: silentMsMax,
    enableOfflineQueue: false,
    // What a lost connection owes is rejected at once; whether to send it again is decided by who knows what it was.
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    enableAutoPipelining: isForCalls,
    retryStrategy: (times: number) => Math.min(1000, 25 * 2 ** Math.min(times, 6)) * (0.5 + Math.random()),
    // A primary that became a replica: the address may lead to another server by now.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
    lazyConnect: true,
  } satisfies RedisOptions;
  const address = new URL(settings.redisUrl ?? 'redis://127.0.0.1:6379');
  if (address.protocol !== 'unix:') return new Redis(address.href, options);
  return new Redis({
    ...options,
    path: decodeURIComponent(address.pathname),
    ...(address.password ? { password: decodeURIComponent(address.password) } : {}),
    ...(address.username ? { username: decodeURIComponent(address.username) } : {}),
  });
}

/** Asks again and again, so that a half-open connection owes an answer and the socket timeout ends it. */
export function keepAsking(redis: Redis, clock: Clock): Timer {
  let timer: Timer;
  const ask = () => {
    if (redis.status === 'ready') redis.ping().catch(() => undefined);
    timer = clock.after(pingMs, ask);
  };
  timer = clock.after(pingMs, ask);
  return { cancel: () => timer.cancel() };
}

interface Call {
  readonly name: LibraryFunction;
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: Error) => void;
  timer: Timer | null;
  attempts: number;
  /** Whether bytes may have reached the server. */
  wasSent: boolean;
}

export const unavailable = (): Refusal => new Refusal('log-unavailable', 'The log cannot be reached.');

export class RedisLink {
  readonly #redis: Redis;
  readonly #clock: Clock;
  readonly #logger: LinkLogger;
  readonly #deadlineMs: number;
  readonly #asking: Timer;
  readonly #calls = new Set<Call>();
  #mode: 'away' | 'loading' | 'ready' | 'closed' = 'away';
  #closings = 0;
  #loading: Promise<void> | null = null;
  #isTooOld = false;

  constructor(settings: Settings, clock: Clock, logger: LinkLogger) {
    this.#clock = clock;
    this.#logger = logger;
    this.#deadlineMs = settings.logDeadlineMs;
    this.#redis = createRedis(settings, true);
    this.#asking = keepAsking(this.#redis, clock);
    this.#redis.on('ready', () => void this.#becomeReady());
    this.#redis.on('close', () => this.#becomeAway());
    this.#redis.on('error', (error: Error) => {
      if (this.#closings === 0) this.#logger.warn({ err: error }, 'the connection to Redis failed');
    });
  }

  /**
   * Settled at the first try to connect; a failed one is repeated for ever, and calls are refused meanwhile.
   * @throws {Error} where the server has no functions: waiting would not help.
   */
  async open(): Promise<void> {
    await this.#redis.connect().catch(() => undefined);
    await this.#loading;
    if (this.#isTooOld) throw new Error('REDIS_URL must lead to Redis 7 or later.');
  }

  isReady(): boolean {
    return this.#mode === 'ready';
  }

  /** Rejects with a Refusal: `outcome-unknown` for a write that may have reached the server, else `log-unavailable`. */
  call(name: LibraryFunction, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    if (this.#mode === 'away' || this.#mode === 'closed' || this.#calls.size >= callsMax)
      return Promise.reject(unavailable());
    return new Promise((resolve, reject) => {
      const call: Call = { name, keys, args, resolve, reject, timer: null, attempts: 0, wasSent: false };
      this.#calls.add(call);
      call.timer = this.#clock.after(this.#deadlineMs, () => this.#giveUp(call));
      if (this.#mode === 'ready') this.#send(call);
    });
  }

  close(): Promise<void> {
    if (this.#mode === 'closed') return Promise.resolve();
    this.#mode = 'closed';
    this.#asking.cancel();
    for (const call of this.#calls) this.#giveUp(call);
    return disconnected(this.#redis, this.#clock);
  }

  #send(call: Call): void {
    const couldBeSent = call.wasSent;
    call.wasSent = true;
    call.attempts += 1;
    this.#redis.fcall(functionName(call.name), call.keys.length, ...call.keys, ...call.args).then(
      (reply) => {
        if (this.#end(call)) call.resolve(reply);
      },
      (error: Error) => {
        // Nothing came of this attempt for sure; what became of an earlier one whose reply was lost is another matter.
        if (isWithoutTrace.test(error.message)) call.wasSent = couldBeSent;
        this.#failed(call, error);
      },
    );
  }

  #failed(call: Call, error: Error): void {
    if (!this.#calls.has(call)) return;
    if (error.name !== 'ReplyError') {
      // The connection is gone: the call waits for the next one. If that has come already, nothing else sends it.
      if (this.#mode === 'ready' && this.#redis.status === 'ready') this.#retry(call);
      return;
    }
    if (error.message.startsWith('ERR Function not found')) {
      void this.#load().then(() => this.#retry(call));
      return;
    }
    if (!this.#end(call)) return;
    if (!isWithoutTrace.test(error.message))
      this.#logger.error({ err: error, call: call.name }, 'Redis answered what it should not');
    call.reject(lost(call));
  }

  #retry(call: Call): void {
    if (!this.#calls.has(call) || this.#mode !== 'ready') return;
    if (call.attempts >= attemptsMax) this.#giveUp(call);
    else this.#send(call);
  }

  #giveUp(call: Call): void {
    if (this.#end(call)) call.reject(lost(call));
  }

  #end(call: Call): boolean {
    call.timer?.cancel();
    return this.#calls.delete(call);
  }

  #becomeAway(): void {
    if (this.#mode === 'closed') return;
    this.#mode = 'away';
    this.#closings += 1;
    // The first reconnection failed as well: this will take longer than those who wait should.
    if (this.#closings > 1) for (const call of this.#calls) this.#giveUp(call);
  }

  async #becomeReady(): Promise<void> {
    if (this.#mode === 'closed') return;
    this.#mode = 'loading';
    await this.#load();
    if (this.#mode !== 'loading' || this.#redis.status !== 'ready') return;
    this.#mode = 'ready';
    this.#closings = 0;
    for (const call of this.#calls) this.#send(call);
  }

  /** Single flight. Where loading is refused, the library may be there all the same: the next call will tell. */
  #load(): Promise<void> {
    this.#loading ??= this.#redis
      .call('FUNCTION', 'LOAD', librarySource)
      .then(
        () => undefined,
        (error: Error) => {
          this.#isTooOld = /unknown command/i.test(error.message);
          if (!/already exists/.test(error.message)) this.#logger.warn({ err: error }, 'the library was not loaded');
        },
      )
      .finally(() => {
        this.#loading = null;
      });
    return this.#loading;
  }
}

/** Errors after which nothing was written. WRONGTYPE: somebody else uses our keys; see shared.lua. */
const isWithoutTrace =
  /^(OOM|READONLY|LOADING|NOREPLICAS|CLUSTERDOWN|MASTERDOWN|BUSY|NOSCRIPT|WRONGTYPE|MISCONF|NOAUTH|WRONGPASS|NOPERM|TRYAGAIN|MOVED|ASK|CROSSSLOT)\b|^ERR Function not found|^Stream isn't writeable/;

/** Only a write cares whether it happened; all the others may simply be asked again. */
function lost(call: Call): Refusal {
  if (!call.wasSent || call.name !== 'append') return unavailable();
  return new Refusal('outcome-unknown', 'The log did not answer; the write may or may not be in it.');
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
