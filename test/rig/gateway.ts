/**
 * A real gateway for a test: in this process on a port of its own, or as the process that an operator starts. Closing
 * the former also looks for what it left behind: connections, timers, viewers and rooms.
 */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildGateway, type Gateway } from '../../src/app.ts';
import { type Clock, systemClock, type Timer } from '../../src/clock.ts';
import { readSettings } from '../../src/settings.ts';
import { type StartedProcess, startProcess } from './process.ts';
import { programArgs } from './program.ts';
import { makeToken, secret } from './tokens.ts';
import { waitFor } from './wait-for.ts';

export const room = 'match-7';

export interface StartOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly redisUrl?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body where it is a JSON object; else empty. */
  readonly json: Record<string, unknown>;
}

interface PostOptions {
  /** A token. Absent: a host's. */
  readonly as?: string;
  readonly room?: string;
  readonly key?: string;
}

export interface RunningGateway {
  readonly gateway: Gateway;
  readonly url: string;
  readonly port: number;
  /** What was logged so far. */
  readonly lines: readonly string[];
  token(sub: string, role?: string, more?: Readonly<Record<string, unknown>>): string;
  ask(path: string, init?: RequestInit): Promise<Answer>;
  /** Takes an action. Fails the test where it is refused. */
  post(kind: string, body: unknown, options?: PostOptions): Promise<string>;
  /** The same, and a refusal is an answer too. */
  tryPost(kind: string, body: unknown, options?: PostOptions): Promise<Answer>;
  /** Sets a state part, or removes it where the value is undefined. */
  put(part: string, value: unknown): Promise<Answer>;
  /** Sets the gateway's clock forward. */
  skip(ms: number): void;
  /** Connections that are open now. */
  connections(): number;
  /** Ends it and fails the test where it leaves anything behind. Harmless to repeat. */
  close(): Promise<void>;
}

export function tokenOf(sub: string, role = 'viewer', more: Readonly<Record<string, unknown>> = {}): string {
  return makeToken({ claims: { sub, rooms: { [room]: role }, ...more } });
}

/** The system's clock, which a test may set forward. Knows how many of its timers are still to come. */
class CountingClock implements Clock {
  readonly #pending = new Map<object, { readonly dueMs: number; readonly run: () => void }>();
  #skippedMs = 0;

  get timers(): number {
    return this.#pending.size;
  }

  /** Timers that fall due run now; the others do not notice. */
  skip(ms: number): void {
    this.#skippedMs += ms;
    const due = [...this.#pending.values()].filter(({ dueMs }) => dueMs <= this.steady());
    for (const { run } of due.sort((a, b) => a.dueMs - b.dueMs)) run();
  }

  now(): number {
    return systemClock.now() + this.#skippedMs;
  }

  steady(): number {
    return systemClock.steady() + this.#skippedMs;
  }

  after(ms: number, task: () => void): Timer {
    return this.#count((run) => systemClock.after(ms, run), task, this.steady() + ms);
  }

  soon(task: () => void): Timer {
    return this.#count((run) => systemClock.soon(run), task, Infinity);
  }

  #count(set: (run: () => void) => Timer, task: () => void, dueMs: number): Timer {
    const mark = {};
    const run = (): void => {
      if (this.#pending.delete(mark)) task();
    };
    this.#pending.set(mark, { dueMs, run });
    const timer = set(run);
    return {
      cancel: () => {
        this.#pending.delete(mark);
        timer.cancel();
      },
    };
  }
}

const keyPattern = /^TOKEN_(?:SECRET|PUBLIC_KEY|JWKS_URL)/;

export async function startGateway({ environment = {}, redisUrl }: StartOptions = {}): Promise<RunningGateway> {
  const hasKey = Object.keys(environment).some((name) => keyPattern.test(name));
  const settings = readSettings({
    LOG_LEVEL: 'warn',
    // The rates have tests of their own; here they would only be in the way.
    RATE_SCALE: '100000',
    CHAT_PER_SECOND: '0',
    ...(hasKey ? {} : { TOKEN_SECRET: secret }),
    ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }),
    ...environment,
  });
  const clock = new CountingClock();
  const lines: string[] = [];
  const logTarget = { write: (line: string) => void lines.push(line) };
  const gateway = await buildGateway({ settings, clock, ownSecret: secret, logTarget });
  const sockets = new Set<Socket>();
  gateway.app.server.on('connection', (socket) => void sockets.add(socket));
  // A socket that became a stream has lost the listeners that it had, so each is asked instead.
  const connections = (): number => {
    for (const socket of sockets) if (socket.destroyed) sockets.delete(socket);
    return sockets.size;
  };
  await gateway.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = gateway.app.server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  let closing: Promise<void> | null = null;

  const ask: RunningGateway['ask'] = async (path, init = {}) => {
    const answer = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(40_000), ...init });
    const text = await answer.text();
    const isJson = /^application\/(?:problem\+)?json/.test(answer.headers.get('content-type') ?? '');
    return { status: answer.status, headers: answer.headers, text, json: isJson ? JSON.parse(text) : {} };
  };
  const tryPost: RunningGateway['tryPost'] = (kind, body, options = {}) =>
    ask(`/rooms/${options.room ?? room}/actions/${kind}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${options.as ?? tokenOf('hanna', 'host')}`,
        'content-type': 'application/json',
        ...(options.key === undefined ? {} : { 'idempotency-key': options.key }),
      },
      body: JSON.stringify(body),
    });
  const close = async (): Promise<void> => {
    await gateway.close();
    await waitFor(() => connections() === 0, { what: 'every connection of the gateway to end' });
    assert.equal(gateway.hub.viewers, 0, 'a closed gateway has no viewers');
    assert.equal(gateway.hub.rooms, 0, 'a closed gateway follows no rooms');
    await waitFor(() => clock.timers === 0, { what: 'a closed gateway to have no timers', timeoutMs: 2000 });
  };
  return {
    gateway,
    url,
    port,
    lines,
    token: tokenOf,
    ask,
    tryPost,
    async post(kind, body, options) {
      const { status, text, json } = await tryPost(kind, body, options);
      assert.equal(status, 202, `${kind} was refused: ${text}`);
      return String(json['id']);
    },
    put: (part, value) =>
      ask(`/rooms/${room}/state/${part}`, {
        method: value === undefined ? 'DELETE' : 'PUT',
        headers: { authorization: `Bearer ${tokenOf('hanna', 'host')}`, 'content-type': 'application/json' },
        ...(value === undefined ? {} : { body: JSON.stringify(value) }),
      }),
    skip: (ms) => clock.skip(ms),
    connections,
    close() {
      closing ??= close();
      return closing;
    },
  };
}

export interface GatewayProcess extends Pick<StartedProcess, 'pid' | 'exited' | 'stdout' | 'stderr'> {
  /** The first match in what it prints. */
  prints(pattern: RegExp): Promise<RegExpExecArray>;
  kill(signal: NodeJS.Signals): void;
  /** Ends it, whatever it is doing, and removes its folder. */
  close(): Promise<void>;
}

/** The gateway as an operator starts it: with this environment and no other, in an empty folder. */
export async function startGatewayProcess(environment: Readonly<Record<string, string>> = {}): Promise<GatewayProcess> {
  const home = await mkdtemp(join(tmpdir(), 'ringside-gateway-'));
  const gateway = startProcess({
    command: process.execPath,
    args: programArgs('main'),
    cwd: home,
    environment: { PORT: '0', ADMIN_PORT: '0', ...environment },
  });
  const { pid, exited, stdout, stderr } = gateway;
  return {
    pid,
    exited,
    stdout,
    stderr,
    prints: (pattern) =>
      waitFor(
        () => {
          const found = pattern.exec(stdout());
          if (found === null && !gateway.isAlive()) throw new Error(`it ended: ${stderr()}`);
          return found;
        },
        { what: `the gateway to print ${pattern}; it printed: ${stdout()} ${stderr()}`, timeoutMs: 20_000 },
      ),
    kill: (signal) => void gateway.child.kill(signal),
    async close() {
      await gateway.end();
      await rm(home, { recursive: true, force: true });
    },
  };
}
