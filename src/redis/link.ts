/**
 * Calls of our functions, each to the server that has the room. Owns: the deadline of every call, retries, redirections,
 * and what an error means for the caller. A `redis/shard` is one connection; `redis/servers` knows which server has which
 * room.
 *
 * A call is always in one of these modes: **sent**, its answer is pending; **parked**, until a connection is ready or
 * another server has the room; **resting**, until a short backoff is over. Its deadline ends it in any of them.
 *
 * This file, not the driver, retries a call whose reply was lost, because here the call's deadline ends it: a write that is
 * sent again much later would find its once key expired, and be a second write. On a promoted replica it finds the key if
 * the write was replicated; otherwise it is the only write.
 */

import { backoffMs } from '../backoff.ts';
import type { Clock, Timer } from '../clock.ts';
import { Refusal } from '../errors.ts';
import { type Settings, SettingsError } from '../settings.ts';
import { placeOf, type ServerName } from './address.ts';
import { type LinkLogger, unavailable } from './client.ts';
import { isNoLibrary, isPassing, isWithoutTrace } from './replies.ts';
import type { RedisServers } from './servers.ts';
import { type FunctionLibrary, type Question, RedisShard } from './shard.ts';
import { readRedirection } from './slots.ts';
import type { RedisWarnings } from './warnings.ts';

/** Pending calls of one server's rooms; further ones are refused. */
export const callsMax = 20_000;
/** Attempts of one call, so that a server that forgets its functions at once does not loop for ever. */
const attemptsMax = 4;
/** Redirections that a call follows at once; then it backs off before each further one. */
const redirectionsMax = 3;
/** The rests of a call that nobody can take just now. */
const restBounds = { firstMs: 10, longestMs: 200 };

interface Call extends Question {
  /** The shard whose calls it counts among. */
  readonly began: RedisShard;
  readonly resolve: (reply: unknown) => void;
  readonly reject: (error: Error) => void;
  timer: Timer | null;
  rest: Timer | null;
  rests: number;
  redirections: number;
  attempts: number;
  isParked: boolean;
  /** Whether bytes may have reached a server that took them. */
  wasSent: boolean;
}

export interface LinkNeeds {
  readonly settings: Pick<Settings, 'logDeadlineMs'>;
  readonly library: FunctionLibrary;
  readonly servers: RedisServers;
  readonly clock: Clock;
  readonly logger: LinkLogger;
  readonly warnings: RedisWarnings;
}

export class RedisLink {
  readonly #library: FunctionLibrary;
  readonly #warnings: RedisWarnings;
  readonly #servers: RedisServers;
  readonly #clock: Clock;
  readonly #logger: LinkLogger;
  readonly #deadlineMs: number;
  readonly #shards = new Map<ServerName, RedisShard>();
  readonly #calls = new Set<Call>();
  #opening: Promise<void>[] | null = [];
  #isMisledTold = false;
  #isClosed = false;

  constructor({ settings, library, servers, clock, logger, warnings }: LinkNeeds) {
    this.#library = library;
    this.#warnings = warnings;
    this.#servers = servers;
    this.#clock = clock;
    this.#logger = logger;
    this.#deadlineMs = settings.logDeadlineMs;
    servers.onAnswer(() => this.#follow());
  }

  /**
   * Settles after the first attempt to connect to each server. A failed one is repeated for ever, and calls are refused
   * meanwhile. The servers must have been opened.
   * @throws {Error} if a server has no functions or may evict keys: waiting would not help.
   */
  async open(): Promise<void> {
    this.#follow();
    const opening = this.#opening ?? [];
    this.#opening = null;
    await Promise.all(opening);
    for (const { isTooOld, risk } of this.#shards.values()) {
      if (isTooOld) throw new Error('REDIS_URL must name a Redis 7 or later.');
      if (risk !== null) throw new SettingsError(`REDIS_URL must name a Redis that does not evict keys. The ${risk}.`);
    }
  }

  /**
   * Why calls cannot be expected to succeed. One unusable server of several affects its own rooms only, unless it denies a
   * right: that does not pass by itself.
   */
  trouble(): string | null {
    if (this.#isClosed) return 'closed';
    const owners = this.#owners();
    const lack = owners.find((shard) => shard.lack !== null)?.lack ?? null;
    if (lack !== null || owners.some((shard) => shard.trouble === null)) return lack;
    return owners[0]?.trouble ?? 'no Redis node found yet';
  }

  /** Risks while calls succeed. */
  risks(): string[] {
    const owners = this.#owners();
    const troubles = this.trouble() === null ? owners.flatMap((shard) => shard.trouble ?? []) : [];
    return [...troubles, ...owners.flatMap((shard) => shard.risk ?? [])];
  }

  #owners(): RedisShard[] {
    return [...this.#servers.owners].flatMap((server) => this.#shards.get(server) ?? []);
  }

  /** Rejects with a Refusal: `outcome-unknown` for a write that may have reached a server, else `log-unavailable`. */
  call(name: string, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown> {
    const shard = this.#isClosed ? undefined : this.#shardOf(keys);
    if (shard === undefined || !isOpenTo(shard.mode) || shard.calls >= callsMax) return Promise.reject(unavailable());
    return new Promise((resolve, reject) => {
      const call: Call = {
        name,
        keys,
        args,
        resolve,
        reject,
        began: shard,
        timer: null,
        rest: null,
        rests: 0,
        redirections: 0,
        attempts: 0,
        isParked: false,
        wasSent: false,
      };
      this.#calls.add(call);
      shard.calls += 1;
      call.timer = this.#clock.after(this.#deadlineMs, () => this.#giveUp(call));
      this.#dispatch(call);
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const call of this.#calls) this.#giveUp(call);
    await Promise.all([...this.#shards.values()].map((shard) => shard.close()));
  }

  #shardOf(keys: readonly string[]): RedisShard | undefined {
    const server = this.#servers.ownerOf(keys[0] ?? '');
    return server === null ? undefined : this.#shards.get(server);
  }

  /** To the server that has the room now, or parked until there is one. */
  #dispatch(call: Call): void {
    if (!this.#calls.has(call)) return;
    const shard = this.#shardOf(call.keys);
    call.isParked = shard?.mode !== 'ready';
    if (call.isParked || shard === undefined) return;
    this.#send(call, shard, (question) => shard.send(question));
  }

  #send(call: Call, shard: RedisShard, send: (question: Question) => Promise<unknown>): void {
    const couldBeSent = call.wasSent;
    call.wasSent = true;
    call.attempts += 1;
    send(call).then(
      (reply) => {
        if (this.#end(call)) call.resolve(reply);
      },
      (error: Error) => {
        // This attempt surely wrote nothing; an earlier one whose reply was lost may have.
        if (isWithoutTrace(error.message)) call.wasSent = couldBeSent;
        if (this.#calls.has(call)) this.#failed(call, shard, error);
      },
    );
  }

  #failed(call: Call, shard: RedisShard, error: Error): void {
    if (error.name !== 'ReplyError') {
      // The connection is lost: the call waits for the next one. If that is open already, nothing else sends it.
      if (shard.isUsable() || this.#shardOf(call.keys) !== shard) this.#retry(call);
      else call.isParked = true;
      return;
    }
    if (isNoLibrary(error.message)) {
      void shard.reload().then(() => this.#retry(call));
      return;
    }
    const place = placeOf(shard.server);
    const elsewhere = readRedirection(error.message, 'host' in place ? place.host : '');
    if (elsewhere !== null && !this.#servers.isFixed) this.#redirect(call, elsewhere);
    else if (elsewhere !== null) {
      this.#tellMisled();
      this.#giveUp(call);
    } else {
      if (isWithoutTrace(error.message)) shard.refused(error);
      else this.#warnings.failed(error, call.name);
      if (isPassing(error.message)) this.#rest(call);
      else this.#giveUp(call);
    }
  }

  #tellMisled(): void {
    if (!this.#isMisledTold)
      this.#logger.error({}, 'REDIS_URL names one node of a Redis Cluster; make it begin with redis+cluster');
    this.#isMisledTold = true;
  }

  #redirect(call: Call, { isMoved, server }: { isMoved: boolean; server: ServerName }): void {
    call.attempts -= 1;
    call.redirections += 1;
    if (isMoved) this.#servers.moved(call.keys[0] ?? '', server);
    if (call.redirections > redirectionsMax) {
      call.attempts += 1;
      this.#rest(call);
      return;
    }
    if (isMoved) {
      this.#dispatch(call);
      return;
    }
    const shard = this.#shardAt(server);
    if (shard.mode === 'ready') this.#send(call, shard, (question) => shard.sendAsking(question));
    else this.#rest(call);
  }

  /** No server accepts it now, and nothing was written: it backs off and is retried until its deadline. */
  #rest(call: Call): void {
    call.attempts -= 1;
    this.#servers.doubt();
    call.rests += 1;
    call.rest = this.#clock.after(backoffMs(call.rests, restBounds), () => {
      call.rest = null;
      call.redirections = 0;
      this.#dispatch(call);
    });
  }

  #retry(call: Call): void {
    if (!this.#calls.has(call)) return;
    if (call.attempts >= attemptsMax) this.#giveUp(call);
    else this.#dispatch(call);
  }

  #giveUp(call: Call): void {
    if (this.#end(call)) call.reject(lost(call, this.#library.isWrite(call.name)));
  }

  #end(call: Call): boolean {
    call.timer?.cancel();
    call.rest?.cancel();
    if (!this.#calls.delete(call)) return false;
    call.began.calls -= 1;
    return true;
  }

  #shardAt(server: ServerName): RedisShard {
    const known = this.#shards.get(server);
    if (known !== undefined) return known;
    const { address } = this.#servers;
    const shard = new RedisShard({
      server,
      redis: this.#servers.connect(server, true),
      database: address.database,
      library: this.#library,
      clock: this.#clock,
      logger: this.#logger,
      warnings: this.#warnings,
      isCluster: address.kind === 'cluster',
      nameInSlot: () => this.#servers.nameInSlotOf(server),
      onReady: () => this.#dispatchParked(),
      onAway: (gone) => this.#wentAway(gone),
    });
    this.#shards.set(server, shard);
    const opened = shard.open();
    this.#opening?.push(opened);
    return shard;
  }

  /** A connection to each server that has rooms, and to no other for longer than it owes something. */
  #follow(): void {
    if (this.#isClosed) return;
    for (const server of this.#servers.owners) this.#shardAt(server);
    for (const [server, shard] of this.#shards) {
      if (this.#servers.owners.has(server) || shard.owed > 0) continue;
      this.#shards.delete(server);
      void shard.close();
    }
    this.#dispatchParked();
  }

  #dispatchParked(): void {
    for (const call of this.#calls) if (call.isParked) this.#retry(call);
  }

  #wentAway(shard: RedisShard): void {
    this.#servers.doubt();
    // The first reconnection to the only server failed as well: the outage will outlast the waiting calls.
    if (!this.#servers.isFixed || shard.closings <= 1) return;
    for (const call of this.#calls) this.#giveUp(call);
  }
}

/** A call may be sent to the server, or wait for it. */
const isOpenTo = (mode: RedisShard['mode']): boolean => mode !== 'away' && mode !== 'denied';

/** Only for a write does it matter whether it happened; callers may repeat all others. */
function lost({ wasSent }: Call, isWrite: boolean): Refusal {
  if (!wasSent || !isWrite) return unavailable();
  return new Refusal('outcome-unknown', 'The room log did not answer. The write may have been logged.');
}
