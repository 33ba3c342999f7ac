/**
 * The whole picture for a test: one Redis, gateways in groups as processes on unix sockets, and nginx before them with
 * the configuration of this repository and a groups file made for these gateways. Gateways are stopped, killed and
 * started again by name, and `ringside groups` is run as an operator runs it. Nothing is left when it is closed.
 */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runGroups } from '../../src/groups/command.ts';
import { readGroups } from '../../src/groups/groups-file.ts';
import { placesOf } from '../../src/groups/slots.ts';
import type { RoomId } from '../../src/model.ts';
import { type GatewayProcess, startGatewayProcess } from './gateway.ts';
import { type GroupsText, type Nginx, startNginx } from './nginx.ts';
import { freePorts } from './ports.ts';
import { type RedisServer, startRedis } from './redis.ts';
import { secret } from './tokens.ts';
import { waitFor } from './wait-for.ts';

/** What a gateway's admin port says of its rooms. */
export interface RoomList {
  readonly node: string;
  readonly group: string;
  readonly isDraining: boolean;
  readonly misrouted: number;
  readonly rooms: readonly { readonly room: string; readonly viewers: number }[];
}

export interface Told {
  readonly code: number;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

export interface FleetOptions {
  /** Gateways that are started, by name: `blue-1` is one of the group `blue`. */
  readonly nodes: readonly string[];
  /** For all of them. */
  readonly environment?: Readonly<Record<string, string>>;
}

type Environment = Readonly<Record<string, string>>;

/** A test has few connections, and after some reloads many workers, each with memory for all that it may have. */
const fewConnections = (configuration: string): string =>
  configuration.replace('worker_connections 65536;', 'worker_connections 8192;');
/** What bounds writes and joins has tests of its own. */
const usualEnvironment = { LOG_LEVEL: 'warn', TOKEN_SECRET: secret, RATE_SCALE: '100000', CHAT_PER_SECOND: '0' };
const startedWithinMs = 60_000;
const namesTried = 2000;
export const groupOf = (name: string): string => name.split('-')[0] ?? '';

/** Rooms that this groups file sends to one group. */
export function roomsOn(group: string, file: GroupsText, count: number): readonly string[] {
  const places = placesOf(readGroups(JSON.stringify(file)));
  const all = Array.from({ length: namesTried }, (_, at) => `show-${at}` as RoomId);
  const found = all.filter((room) => places.of(room).join() === group).slice(0, count);
  assert.equal(found.length, count, `${group} has too few rooms`);
  return found;
}

export class Fleet {
  readonly redis: RedisServer;
  readonly #home: string;
  readonly #environment: Environment;
  readonly #processes = new Map<string, GatewayProcess>();
  readonly #adminPorts = new Map<string, number>();
  #nginx: Nginx | null = null;

  constructor(redis: RedisServer, home: string, environment: Environment) {
    this.redis = redis;
    this.#home = home;
    this.#environment = environment;
  }

  get nginx(): Nginx {
    assert.ok(this.#nginx !== null, 'nginx was not started');
    return this.#nginx;
  }

  get url(): string {
    return this.nginx.url;
  }

  get names(): readonly string[] {
    return [...this.#processes.keys()].sort();
  }

  /** `groups` of a groups file: these gateways, each in its group, with more fields for a server or a group by name. */
  groupsOf(names: readonly string[], more: Readonly<Record<string, object>> = {}): GroupsText {
    const groups: Record<string, { servers: object[] }> = {};
    for (const name of names) {
      const group = groupOf(name);
      groups[group] ??= { servers: [], ...more[group] };
      const address = `unix:${this.#socketOf(name)}`;
      groups[group].servers.push({ name, address, admin: this.adminOf(name), ...more[name] });
    }
    return groups;
  }

  adminOf(name: string): string {
    return `http://127.0.0.1:${this.#adminPorts.get(name)}`;
  }

  async openNginx(groups: GroupsText): Promise<void> {
    // Every viewer of a test has the same address.
    this.#nginx = await startNginx({ unlimited: ['127.0.0.1'], ...groups }, { change: fewConnections });
  }

  /** Starts a gateway, also one that was there before. Settles when it is ready. */
  async start(name: string, more: Environment = {}): Promise<void> {
    const [found] = this.#adminPorts.has(name) ? [this.#adminPorts.get(name)] : await freePorts(1);
    const port = Number(found);
    this.#adminPorts.set(name, port);
    const gateway = await startGatewayProcess({
      ...usualEnvironment,
      NODE_ID: name,
      GROUP: groupOf(name),
      TRUSTED_PROXIES: 'unix',
      LISTEN_SOCKET: this.#socketOf(name),
      ADMIN_PORT: String(port),
      REDIS_URL: this.redis.url,
      ...this.#environment,
      ...more,
    });
    this.#processes.set(name, gateway);
    await waitFor(
      async () => {
        assert.equal(gateway.stderr(), '');
        return (await fetch(`${this.adminOf(name)}/readyz`)).ok;
      },
      { what: `${name} to be ready; it printed: ${gateway.stderr()}`, timeoutMs: startedWithinMs },
    );
    // The admin port opens first.
    await waitFor(() => this.#answers(name), { what: `${name} to listen`, timeoutMs: startedWithinMs });
  }

  /** As an operator's signal does: it hands its viewers over and ends by itself. Settles with its exit code. */
  async stop(name: string): Promise<number | null> {
    const gateway = this.#take(name);
    gateway.kill('SIGTERM');
    const code = await gateway.exited;
    await gateway.close();
    return code;
  }

  async kill(name: string): Promise<void> {
    await this.#take(name).close();
  }

  /** Stops it where it stands (SIGSTOP), or has it go on (SIGCONT). */
  signal(name: string, signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#processes.get(name)?.kill(signal);
  }

  async roomList(name: string): Promise<RoomList> {
    const answer = await fetch(`${this.adminOf(name)}/ops/rooms`);
    assert.equal(answer.status, 200);
    return (await answer.json()) as RoomList;
  }

  /** Viewers of a room by gateway, of those that run. */
  async viewersOf(room: string): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>();
    for (const name of this.names) {
      const { rooms } = await this.roomList(name);
      found.set(name, rooms.find((one) => one.room === room)?.viewers ?? 0);
    }
    return found;
  }

  /** `ringside groups`, in the operator's folder. */
  async ringside(command: string, ...words: string[]): Promise<Told> {
    const lines: string[] = [];
    const terminal = { print: (line: string) => void lines.push(line), ask: null };
    const called = this.nginx.words.map((word) => (word.includes(' ') ? `"${word}"` : word)).join(' ');
    const all = [command, '--file', this.nginx.file, '--nginx', called, '--json', ...words];
    const code = await runGroups(all, terminal);
    const text = lines.join('\n');
    return { code, text, json: JSON.parse(text) };
  }

  /** Harmless to repeat. */
  async close(): Promise<void> {
    await this.#nginx?.stop();
    await Promise.all([...this.#processes.values()].map((gateway) => gateway.close()));
    await this.redis.stop();
    await rm(this.#home, { recursive: true, force: true });
  }

  #take(name: string): GatewayProcess {
    const gateway = this.#processes.get(name);
    assert.ok(gateway !== undefined, `${name} does not run`);
    this.#processes.delete(name);
    return gateway;
  }

  #socketOf(name: string): string {
    return join(this.#home, `${name}.sock`);
  }

  #answers(name: string): Promise<boolean> {
    return new Promise((resolve) => {
      const asked = get({ socketPath: this.#socketOf(name), path: '/openapi.json', agent: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode === 200);
      });
      asked.on('error', () => resolve(false));
    });
  }
}

export async function startFleet({ nodes, environment = {} }: FleetOptions): Promise<Fleet> {
  const [redis, home] = await Promise.all([
    startRedis({ appendOnly: true }),
    mkdtemp(join(tmpdir(), 'ringside-fleet-')),
  ]);
  const fleet = new Fleet(redis, home, environment);
  try {
    await Promise.all(nodes.map((name) => fleet.start(name)));
    await fleet.openNginx({ groups: fleet.groupsOf(nodes) });
    return fleet;
  } catch (error) {
    await fleet.close();
    throw error;
  }
}
