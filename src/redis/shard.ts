/**
 * One connection for calls to one server that has rooms. Owns: the connection and how it is found dead, that the library
 * is loaded before anything is sent, and that the server lets a gateway do what it must: that is tried
 * out when the connection opens, every `lookMs` from then on, and soon again while something is wrong. What becomes of
 * a call whose reply was lost is `redis/link`'s business.
 *
 * Modes. `fresh`: not connected yet, and nothing has failed. `away`: the connection was lost, or could not be made.
 * `looking`: connected, the library is being loaded and the rights are tried out. `denied`: connected, but a right is
 * missing, so nothing is sent. `ready`: calls may be sent. `closed`.
 */

import type { Redis } from 'ioredis';
import { jittered } from '../backoff.ts';
import type { Clock, Timer } from '../clock.ts';
import type { ServerName } from './address.ts';
import { disconnected, keepAsking, type LinkLogger } from './client.ts';
import { type Finding, nothingFound, select } from './finding.ts';
import { isDenial, isNoLibrary, isOfARoom, isOfASlot } from './replies.ts';
import type { RedisWarnings } from './warnings.ts';

/** How often the server is looked at while all is well, and while something is wrong. */
const lookMs = 5000;
const lookAgainMs = 1000;
/** With any other `maxmemory-policy` Redis may delete our keys: all of them expire, so `volatile-…` means them too. */
const keepingPolicy = 'noeviction';

/** The functions that are called, and how a server that has them is tried out. */
export interface FunctionLibrary {
  /** For FUNCTION LOAD. */
  readonly source: string;
  /** The name by which FCALL knows a function. */
  nameOf(short: string): string;
  /** Whether it matters if a call of it happened. */
  isWrite(short: string): boolean;
  /**
   * What a slot shows of the server, by a name in that slot that nothing else has; what it does not show is left out. The
   * library must have been loaded, else the refusal is that it is not there. Rejects only if the connection is lost.
   */
  tryOut(redis: Redis, slotName: string, isCluster: boolean): Promise<Partial<Finding>>;
}

export interface Question {
  readonly name: string;
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
}

export interface ShardNeeds {
  readonly server: ServerName;
  readonly redis: Redis;
  readonly database: number;
  readonly library: FunctionLibrary;
  readonly clock: Clock;
  readonly logger: LinkLogger;
  readonly warnings: RedisWarnings;
  readonly isCluster: boolean;
  /** A name in one of the server's slots that nobody else has; null if the server has no slot. */
  readonly nameInSlot: () => string | null;
  readonly onReady: () => void;
  /** Called each time that the connection was lost or could not be made. */
  readonly onAway: (shard: RedisShard) => void;
}

type Mode = 'fresh' | 'away' | 'looking' | 'denied' | 'ready' | 'closed';

export class RedisShard {
  readonly server: ServerName;
  readonly #needs: ShardNeeds;
  readonly #redis: Redis;
  readonly #asking: Timer;
  #mode: Mode = 'fresh';
  #closings = 0;
  #connections = 0;
  #loading: Promise<string | null> | null = null;
  #looking: Promise<void> | null = null;
  #lookTimer: Timer | null = null;
  #lookedMs = 0;
  /** Why the library was not loaded the last time; null if it is there. */
  #unloaded: string | null = null;
  #found: Finding = nothingFound;
  #failure: string | null = null;
  #isTooOld = false;
  /** Calls that were sent and are owed an answer. */
  owed = 0;
  /** Calls that were meant for this server when they began, kept by `redis/link`. */
  calls = 0;

  constructor(needs: ShardNeeds) {
    const { server, redis, clock, logger } = needs;
    this.server = server;
    this.#needs = needs;
    this.#redis = redis;
    this.#asking = keepAsking(redis, clock);
    redis.on('ready', () => this.#becomeConnected());
    redis.on('close', () => this.#becomeAway());
    redis.on('error', (error: Error) => {
      this.#failure = error.message;
      this.#found = { ...this.#found, refusal: null };
      if (this.#closings === 0 && this.#mode !== 'closed')
        logger.warn({ err: error, server }, 'Redis connection failed; reconnecting');
    });
  }

  get mode(): Mode {
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

  /** What is denied although a gateway needs it. Nothing is sent until it is granted. */
  get lack(): string | null {
    return this.#mode === 'denied'
      ? `Redis ${this.server} denies a command that a gateway needs: ${this.#found.lack}`
      : null;
  }

  /** Why calls cannot be expected to succeed now; null if they can. */
  get trouble(): string | null {
    if (this.#mode === 'denied') return this.lack;
    const { refusal } = this.#found;
    if (refusal !== null) return `Redis ${this.server} refuses writes: ${refusal}`;
    if (this.#mode === 'ready') return null;
    return `Redis ${this.server} is unreachable: ${this.#failure ?? 'not connected yet'}`;
  }

  /** The server may delete what it was told to keep. */
  get risk(): string | null {
    const { policy } = this.#found;
    if (policy === null || policy === keepingPolicy) return null;
    return `maxmemory-policy of Redis ${this.server} is ${policy} and may evict bans, state and direct signals; set ${keepingPolicy}`;
  }

  /** Settled at the first try to connect; a failed one is repeated for ever. */
  async open(): Promise<void> {
    await this.#redis.connect().catch(() => undefined);
    await this.#looking;
  }

  /** Whether what was just lost may be sent at once: the next connection has come already. */
  isUsable(): boolean {
    return this.#mode === 'ready' && this.#redis.status === 'ready';
  }

  async send({ name, keys, args }: Question): Promise<unknown> {
    this.owed += 1;
    try {
      return await this.#redis.fcall(this.#needs.library.nameOf(name), keys.length, ...keys, ...args);
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

  /** Functions that the server has forgotten are loaded again. */
  async reload(): Promise<void> {
    const lack = await this.#load();
    if (lack !== null) this.#take({ ...this.#found, lack });
  }

  /** The server refused a call with this. If that concerns more than one room, it is looked at. */
  refused(error: Error): void {
    this.#needs.warnings.refused(error, { server: this.server });
    if (isOfARoom(error.message) || isOfASlot(error.message) || this.#found.refusal !== null || this.#mode !== 'ready')
      return;
    if (!isDenial(error.message)) this.#found = { ...this.#found, refusal: error.message };
    this.#lookIn(Math.max(0, this.#lookedMs + lookAgainMs - this.#needs.clock.now()));
  }

  close(): Promise<void> {
    if (this.#mode === 'closed') return Promise.resolve();
    this.#mode = 'closed';
    this.#asking.cancel();
    this.#lookTimer?.cancel();
    return disconnected(this.#redis, this.#needs.clock);
  }

  #becomeAway(): void {
    this.#lookTimer?.cancel();
    if (this.#mode === 'closed') return;
    this.#mode = 'away';
    this.#closings += 1;
    this.#needs.onAway(this);
  }

  #becomeConnected(): void {
    if (this.#mode === 'closed') return;
    this.#mode = 'looking';
    this.#connections += 1;
    this.#looking = null;
    this.#look();
  }

  /** Single flight for each connection. */
  #look(): void {
    if (this.#mode === 'closed' || this.#looking !== null) return;
    this.#lookTimer?.cancel();
    this.#lookedMs = this.#needs.clock.now();
    const connection = this.#connections;
    const looking = this.#find().then(
      (found) => {
        if (this.#connections === connection) this.#take(found);
      },
      // The connection was lost, and the next one looks anew.
      () => undefined,
    );
    this.#looking = looking.then(() => {
      if (this.#connections === connection) this.#looking = null;
    });
  }

  async #find(): Promise<Finding> {
    const { redis, database } = this.#needs;
    const isNew = this.#mode !== 'ready';
    // Before anything else: what is sent to another database would be written there.
    let lack = isNew && database !== 0 ? await select(redis, database) : null;
    if (isNew) lack ??= await this.#load();
    if (lack !== null) return { ...this.#found, lack };
    let shown = await this.#tryOut();
    if (isNoLibrary(shown.refusal ?? '')) {
      lack = await this.#load();
      if (lack === null) shown = this.#unloaded === null ? await this.#tryOut() : { refusal: this.#unloaded };
      else shown = { lack };
    }
    // A server that says nothing of rights has not granted what it denied before.
    return { ...this.#found, refusal: null, ...shown };
  }

  async #tryOut(): Promise<Partial<Finding>> {
    const { redis, library, isCluster, nameInSlot } = this.#needs;
    const name = nameInSlot();
    return name === null ? nothingFound : library.tryOut(redis, name, isCluster);
  }

  #take(found: Finding): void {
    const { warnings, onReady } = this.#needs;
    const wasReady = this.#mode === 'ready';
    this.#found = { ...found, policy: found.policy ?? this.#found.policy };
    // The driver leaves a server that answers READONLY.
    if (this.#mode === 'closed' || this.#redis.status !== 'ready') return;
    this.#mode = found.lack === null ? 'ready' : 'denied';
    const { lack, risk, trouble } = this;
    for (const message of [lack, risk]) if (message !== null) warnings.warned(message);
    this.#lookIn(jittered(trouble === null ? lookMs : lookAgainMs));
    if (wasReady || lack !== null) return;
    this.#closings = 0;
    onReady();
  }

  #lookIn(ms: number): void {
    this.#lookTimer?.cancel();
    this.#lookTimer = this.#needs.clock.after(ms, () => this.#look());
  }

  /** Single flight. Answers what is denied; if it is refused otherwise, the library may be there all the same. */
  #load(): Promise<string | null> {
    this.#loading ??= this.#redis
      .call('FUNCTION', 'LOAD', this.#needs.library.source)
      .then(
        () => {
          this.#unloaded = null;
          return null;
        },
        (error: Error) => this.#notLoaded(error),
      )
      .finally(() => {
        this.#loading = null;
      });
    return this.#loading;
  }

  #notLoaded(error: Error): string | null {
    const { message } = error;
    this.#isTooOld = /unknown command/i.test(message);
    if (this.#isTooOld || isDenial(message)) return `FUNCTION LOAD: ${message}`;
    this.#unloaded = /already exists/.test(message) ? null : message;
    // A replica gets the library from its primary.
    if (this.#unloaded !== null && !message.startsWith('READONLY') && this.#mode !== 'closed')
      this.#needs.warnings.refused(error, { server: this.server, call: 'FUNCTION LOAD' });
    return null;
  }
}
