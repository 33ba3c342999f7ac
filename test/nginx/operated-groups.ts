/** `ringside groups` on a real nginx, before gateways that stand in: what its tests stand on. Nothing of it is left over. */

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach } from 'node:test';
import { runGroups } from '../../src/groups/command.ts';
import type { RoomId } from '../../src/model.ts';
import { buildAdmin } from '../../src/ops/admin.ts';
import type { Drain } from '../../src/ops/admin-rooms.ts';
import { type Nginx, startNginx, startUpstream, type Upstream } from '../rig/nginx.ts';

interface Order {
  readonly node: string;
  readonly room: string | null;
  readonly moving: number;
  readonly overMs: number;
  readonly at: number;
}

/** The admin port of a gateway, with viewers that are only numbers: who is moved is gone. */
interface Node {
  readonly admin: string;
  readonly viewers: Map<string, number>;
  /** What `/readyz` says against it. */
  whyNotReady: string | null;
  /** As if it had been told to before. */
  drain(): void;
  /** Closes the admin port. */
  close(): Promise<void>;
}

export let home: string;
export const orders: Order[] = [];
export const toClose: (() => Promise<unknown>)[] = [];

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'ringside-command-'));
});
after(() => rm(home, { recursive: true, force: true }));
beforeEach(() => {
  orders.length = 0;
});
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close();
});

export async function startNode(name: string, viewers: Record<string, number> = {}): Promise<Node> {
  const counts = new Map(Object.entries(viewers));
  let isDraining = false;
  const take = (where: string | null, moving: number, overMs: number): number => {
    orders.push({ node: name, room: where, moving, overMs, at: performance.now() });
    return moving;
  };
  const drain: Drain = {
    roomList: () => [...counts].map(([one, many]) => ({ room: one as RoomId, viewers: many })),
    move(where, share, overMs) {
      const moving = Math.round((counts.get(where) ?? 0) * share);
      counts.set(where, (counts.get(where) ?? 0) - moving);
      return take(where, moving, overMs);
    },
    drain(overMs) {
      isDraining = true;
      const moving = [...counts.values()].reduce((sum, some) => sum + some, 0);
      counts.clear();
      return take(null, moving, overMs);
    },
    undrain() {
      isDraining = false;
      return true;
    },
    get isDraining() {
      return isDraining;
    },
    misrouted: 0,
  };
  const whyNotReady = (): string | null => node.whyNotReady;
  const admin = buildAdmin({ whyNotReady, drain, nodeId: name, group: name.split('-')[0] ?? '' });
  await admin.listen({ host: '127.0.0.1', port: 0 });
  const node: Node = {
    admin: `http://127.0.0.1:${(admin.server.address() as AddressInfo).port}`,
    viewers: counts,
    whyNotReady: null,
    drain() {
      isDraining = true;
    },
    close: () => admin.close(),
  };
  toClose.push(node.close);
  return node;
}

const upstreams = new Map<string, Upstream>();
async function upstreamOf(name: string): Promise<void> {
  const upstream = await startUpstream(name, home);
  upstreams.set(name, upstream);
  toClose.push(upstream.close);
}
/** Ends what nginx reaches of a gateway; its admin port goes on. */
export const stop = async (name: string): Promise<void> => upstreams.get(name)?.close();

export interface Stage {
  readonly nginx: Nginx;
  readonly nodes: Readonly<Record<string, Node>>;
  /** The groups of these servers, as a file says it. */
  groups(names: readonly string[], more?: Readonly<Record<string, object>>): Record<string, { servers: object[] }>;
}

/** Gateways that stand in, and an nginx that routes to the first of them. */
export async function stage(names: readonly string[], running: readonly string[]): Promise<Stage> {
  const nodes: Record<string, Node> = {};
  for (const name of names) {
    await upstreamOf(name);
    nodes[name] = await startNode(name);
  }
  const groups: Stage['groups'] = (chosen, more = {}) => {
    const made: Record<string, { servers: object[] }> = {};
    for (const name of chosen) {
      const group = name.split('-')[0] ?? '';
      made[group] ??= { servers: [] };
      const address = `unix:${join(home, `${name}.sock`)}`;
      made[group].servers.push({ name, address, admin: nodes[name]?.admin, ...more[name] });
    }
    return made;
  };
  const nginx = await startNginx({ groups: groups(running) });
  toClose.push(nginx.stop);
  return { nginx, nodes, groups };
}

export interface Told {
  readonly code: number;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

/** Where `answer` is given there is somebody to ask, who says no. */
export type Operated = Nginx & { readonly answer?: (question: string) => void };

export async function ringside(nginx: Operated, command: string, ...words: string[]): Promise<Told> {
  const lines: string[] = [];
  const { answer } = nginx;
  const ask = async (question: string): Promise<string> => {
    answer?.(question);
    return 'n';
  };
  const terminal = { print: (line: string) => void lines.push(line), ask: answer ? ask : null };
  const called = nginx.words.map((word) => (word.includes(' ') ? `"${word}"` : word)).join(' ');
  const code = await runGroups([command, '--file', nginx.file, '--nginx', called, ...words], terminal);
  const text = lines.join('\n');
  return { code, text, json: words.includes('--json') ? JSON.parse(text) : {} };
}

export const conf = (nginx: Nginx): Promise<string> => readFile(join(nginx.folder, 'groups.conf'), 'utf8');
export const digestOf = async (nginx: Nginx): Promise<string> =>
  ((await (await fetch(`${nginx.url}/ringside-groups`)).json()) as { digest: string }).digest;
