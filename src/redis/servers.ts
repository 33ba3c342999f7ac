/**
 * Knows which server has which room: the named one, the one that the sentinels name, or by the slot map of a cluster. It
 * queries the topology on its own connection every `askMs`, and at once in case of doubt. Each doubt goes to the next
 * server that may know.
 *
 * It knows of no calls and no subscriptions: `redis/link` and `log/redis/feed` are told whenever an answer came.
 */

import type { Redis } from 'ioredis';
import { backoffMs, jittered } from '../backoff.ts';
import type { Clock, Timer } from '../clock.ts';
import { SettingsError } from '../settings.ts';
import { placeOf, type RedisAddress, readAddress, type ServerName } from './address.ts';
import { createRedis, createScout, disconnected, type LinkLogger, within } from './client.ts';
import { questionFor, readPrimary, readSlots, type SlotMap, slotOf } from './slots.ts';

/** How often it is asked while nobody doubts, and how long an answer may take. */
const askMs = 1000;
const answerMsMax = 1000;
/** The pauses before a doubt is looked into; they grow with doubts that nothing came of. */
const doubtBounds = { firstMs: 20, longestMs: 250 };
/** How long a server's word that a slot has moved holds against maps of others, who may hear of it later. */
const movedMs = 2000;
/** Servers that are remembered as those that may know. */
const knownMax = 1000;
/** Names that are tried for a room in one of a server's slots: enough for a server that has one slot of all. */
const namesMax = 200_000;

export class RedisServers {
  readonly address: RedisAddress;
  readonly #clock: Clock;
  readonly #logger: LinkLogger;
  readonly #listeners: (() => void)[] = [];
  readonly #moved = new Map<number, { server: ServerName; untilMs: number }>();
  #map: SlotMap;
  #owners: ReadonlySet<ServerName> = new Set();
  #known: readonly ServerName[];
  #next = 0;
  #scout: { redis: Redis; server: ServerName } | null = null;
  #timer: Timer | null = null;
  #asking: Promise<void> | null = null;
  #version = 0;
  #isDoubted = false;
  #doubts = 0;
  #isSilent = false;
  #silence = 'none queried yet';
  #isClosed = false;

  /** @throws {SettingsError} where the address is none. */
  constructor(redisUrl: string, clock: Clock, logger: LinkLogger) {
    this.address = readAddress(redisUrl);
    this.#clock = clock;
    this.#logger = logger;
    this.#known = this.address.seeds;
    this.#map = [this.isFixed ? (this.address.seeds[0] ?? null) : null];
    this.#owners = ownersIn(this.#map);
  }

  /** One server, for ever. */
  get isFixed(): boolean {
    return this.address.kind === 'single';
  }

  /** All servers that have rooms. */
  get owners(): ReadonlySet<ServerName> {
    return this.#owners;
  }

  /** Another number after each change. */
  get version(): number {
    return this.#version;
  }

  /** The server that has a key; null where nobody is known to. */
  ownerOf(key: string): ServerName | null {
    return (this.address.kind === 'cluster' ? this.#map[slotOf(key)] : this.#map[0]) ?? null;
  }

  /** A name in a slot of this server, `~` and a number, another one each time; null if it has no slot. */
  nameInSlotOf(server: ServerName): string | null {
    if (!this.#owners.has(server)) return null;
    const first = Math.floor(Math.random() * namesMax);
    for (let n = first; n < first + namesMax; n += 1) {
      const name = `~${n}`;
      if (this.ownerOf(`{${name}}`) === server) return name;
    }
    return null;
  }

  /** Why no server is known to have rooms; null if some are. */
  get trouble(): string | null {
    return this.#owners.size > 0 ? null : `no Redis node answered the topology query: ${this.#silence}`;
  }

  /** Calls `task` after each answer, whether anything changed or not. */
  onAnswer(task: () => void): void {
    this.#listeners.push(task);
  }

  connect(server: ServerName, isForCalls: boolean): Redis {
    return createRedis(this.address, server, isForCalls);
  }

  /** Settled once everybody was asked in vain or one has answered.
   * @throws {SettingsError} where the one who answers knows no such primary, or is no cluster. */
  async open(): Promise<void> {
    if (this.isFixed) return;
    await this.#ask();
    this.#schedule(askMs);
  }

  /** A server said that another one has this key's slot now. */
  moved(key: string, server: ServerName): void {
    if (this.address.kind !== 'cluster' || this.#isClosed) return;
    const slot = slotOf(key);
    this.doubt();
    if (this.#moved.get(slot)?.server === server && this.#map[slot] === server) return;
    this.#moved.set(slot, { server, untilMs: this.#clock.now() + movedMs });
    this.#take(this.#map);
  }

  /** What is known does not fit what was met. */
  doubt(): void {
    if (this.isFixed || this.#isClosed || this.#isDoubted) return;
    this.#isDoubted = true;
    this.#doubts += 1;
    this.#schedule(backoffMs(this.#doubts, doubtBounds));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#dismiss();
    await this.#asking?.catch(() => undefined);
  }

  #schedule(ms: number): void {
    this.#timer?.cancel();
    if (this.#isClosed) return;
    this.#timer = this.#clock.after(ms, () => {
      this.#asking ??= this.#askAgain().finally(() => {
        this.#asking = null;
        this.#schedule(this.#isDoubted ? backoffMs(this.#doubts + 1, doubtBounds) : jittered(askMs));
      });
    });
  }

  async #askAgain(): Promise<void> {
    // Whoever gave the answer that is doubted may not know better now.
    if (this.#isDoubted) await this.#dismiss();
    else this.#doubts = 0;
    this.#isDoubted = false;
    await this.#ask().catch((error: unknown) => this.#fellSilent(error));
  }

  /** Asks one after the other until one answers. */
  async #ask(): Promise<void> {
    for (let tries = this.#known.length; tries > 0 && !this.#isClosed; tries -= 1) {
      try {
        this.#scout ??= await this.#send();
        const { redis, server } = this.#scout;
        const reply: unknown = await within(redis.call(...questionFor(this.address)), answerMsMax, this.#clock);
        this.#understand(reply, server);
        this.#isSilent = false;
        return;
      } catch (error) {
        await this.#dismiss();
        if (error instanceof SettingsError) throw error;
        if (/^ERR This instance has cluster support disabled/.test(String((error as Error).message)))
          throw new SettingsError('REDIS_URL begins with redis+cluster, but the server is no Redis Cluster.');
        if (tries === 1) this.#fellSilent(error);
      }
    }
  }

  async #send(): Promise<{ redis: Redis; server: ServerName }> {
    const server = this.#known[this.#next % this.#known.length] ?? '';
    this.#next += 1;
    const redis = createScout(this.address, server, answerMsMax);
    let failure: Error | null = null;
    redis.on('error', (error: Error) => {
      failure = error;
    });
    try {
      await within(redis.connect(), answerMsMax, this.#clock);
    } catch (error) {
      await disconnected(redis, this.#clock);
      throw failure ?? error;
    }
    return { redis, server };
  }

  async #dismiss(): Promise<void> {
    const scout = this.#scout;
    this.#scout = null;
    if (scout) await disconnected(scout.redis, this.#clock);
  }

  #fellSilent(error: unknown): void {
    if (!this.#isSilent && !this.#isClosed)
      this.#logger.warn({ err: error }, 'no Redis node answered the topology query');
    this.#isSilent = true;
    this.#silence = error instanceof Error ? error.message : String(error);
  }

  #understand(reply: unknown, server: ServerName): void {
    if (this.address.kind === 'sentinel') {
      const primary = readPrimary(reply);
      if (primary === null)
        throw new SettingsError('REDIS_URL must end with the name of a primary that the sentinels know.');
      this.#take([primary]);
      return;
    }
    const place = placeOf(server);
    const slots = readSlots(reply, 'host' in place ? place.host : '');
    // A node that knows of no slots was taken out of the cluster, or is not in it yet.
    if (slots === null || slots.servers.size === 0) throw new Error('The node has no slot map.');
    const owners = ownersIn(slots.map);
    const others = [...slots.servers, ...this.address.seeds].filter((name) => !owners.has(name));
    this.#known = [...new Set([...owners, ...others])].slice(0, knownMax);
    this.#take(slots.map);
  }

  #take(map: SlotMap): void {
    const now = this.#clock.now();
    const next = [...map];
    for (const [slot, { server, untilMs }] of this.#moved) {
      if (untilMs <= now) this.#moved.delete(slot);
      else next[slot] = server;
    }
    if (next.some((server, slot) => server !== this.#map[slot])) {
      this.#doubts = 0;
      this.#version += 1;
    }
    this.#map = next;
    this.#owners = ownersIn(next);
    for (const listener of this.#listeners) listener();
  }
}

function ownersIn(map: SlotMap): Set<ServerName> {
  const owners = new Set<ServerName>();
  for (const server of map) if (server !== null) owners.add(server);
  return owners;
}
