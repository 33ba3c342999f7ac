/**
 * A real Redis Cluster for a test: some primaries, each with a replica where asked for, on ports of loopback. It is put
 * together by its own commands, and so are its slots moved, as `redis-cli --cluster` does it but without its pauses.
 */

import assert from 'node:assert/strict';
import { freePorts } from './ports.ts';
import { type RedisServer, startRedis } from './redis.ts';
import { waitFor } from './wait-for.ts';

export interface RedisClusterOptions {
  readonly primaries?: number;
  readonly hasReplicas?: boolean;
  /** More lines of each node's configuration. */
  readonly lines?: readonly string[];
  readonly cliArgs?: readonly string[];
  readonly isTls?: boolean;
  /** Before the hosts: scheme and who enters. */
  readonly prefix?: string;
  /** After the hosts. */
  readonly suffix?: string;
}

interface ClusterShard {
  readonly primary: RedisServer;
  /** Absent where the cluster has no replicas. */
  readonly replica: RedisServer | undefined;
}

export interface RedisCluster {
  /** Names two of the nodes only: the others must be found. */
  readonly url: string;
  /** As they were when it began. */
  readonly shards: readonly ClusterShard[];
  readonly nodes: readonly RedisServer[];
  /** Follows redirections. */
  cli(...args: string[]): Promise<string>;
  /** The shard, as it was when it began, that has this room. */
  shardOf(room: string): Promise<number>;
  /** Moves the keys of a room's slot, while anybody may use it. The slot is still the old owner's: `give` changes that. */
  moveKeys(room: string, from: RedisServer, to: RedisServer): Promise<{ give(): Promise<void> }>;
  /** Both. */
  moveSlot(room: string, from: RedisServer, to: RedisServer): Promise<void>;
  stop(): Promise<void>;
}

const slots = 16_384;
const nodeTimeoutMs = 1000;

export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { primaries = 3, hasReplicas = true, prefix = 'redis+cluster://', suffix = '' } = options;
  const nodes = await startNodes(hasReplicas ? 2 * primaries : primaries, options);
  const shards = Array.from({ length: primaries }, (_, index) => ({
    primary: nodes[index] ?? assert.fail(),
    replica: nodes[primaries + index],
  }));
  const ids = new Map(await Promise.all(nodes.map(async (node) => [node, await node.cli('cluster', 'myid')] as const)));
  const idOf = (node: RedisServer): string => ids.get(node) ?? assert.fail('a node of another cluster');
  await join(nodes, shards, idOf, options.isTls === true);

  const first = nodes[0] ?? assert.fail();
  const slotOf = async (room: string) => Number(await first.cli('cluster', 'keyslot', `{${room}}`));
  const moveSlotKeys: RedisCluster['moveKeys'] = async (room, from, to) => {
    const slot = String(await slotOf(room));
    await ok(to.cli('cluster', 'setslot', slot, 'importing', idOf(from)));
    await ok(from.cli('cluster', 'setslot', slot, 'migrating', idOf(to)));
    await moveKeys(slot, from, to);
    return {
      async give() {
        for (const node of [to, from]) await ok(node.cli('cluster', 'setslot', slot, 'node', idOf(to)));
      },
    };
  };
  return {
    url: `${prefix}${nodes
      .slice(0, 2)
      .map(({ port }) => `127.0.0.1:${port}`)
      .join(',')}${suffix}`,
    shards,
    nodes,
    async cli(...args) {
      for (const node of nodes) {
        const answer = await node.cli('-c', ...args).catch(() => null);
        if (answer !== null && !/^(CLUSTERDOWN|LOADING|Could not connect)/.test(answer)) return answer;
      }
      return assert.fail('no node answers');
    },
    shardOf: async (room) => Math.floor((await slotOf(room)) / Math.ceil(slots / primaries)),
    moveKeys: moveSlotKeys,
    async moveSlot(room, from, to) {
      await (await moveSlotKeys(room, from, to)).give();
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

async function startNodes(count: number, { lines = [], cliArgs = [], isTls }: RedisClusterOptions) {
  const ports = await freePorts(2 * count);
  return Promise.all(
    Array.from({ length: count }, (_, index) => {
      const port = ports[index] ?? assert.fail();
      const own = [
        'appendonly yes',
        'appendfsync no',
        'cluster-enabled yes',
        `cluster-port ${ports[count + index]}`,
        `cluster-node-timeout ${nodeTimeoutMs}`,
        'cluster-replica-validity-factor 0',
        // The rooms of the others must not stand still while one shard has no primary.
        'cluster-require-full-coverage no',
        'repl-diskless-sync-delay 0',
        'repl-ping-replica-period 1',
        ...(isTls ? [`tls-port ${port}`] : []),
      ];
      return startRedis({ port, cliArgs, lines: [...own, ...lines] });
    }),
  );
}

async function join(
  nodes: readonly RedisServer[],
  shards: readonly ClusterShard[],
  idOf: (node: RedisServer) => string,
  isTls: boolean,
): Promise<void> {
  const share = Math.ceil(slots / shards.length);
  for (const [index, { primary }] of shards.entries()) {
    await ok(primary.cli('cluster', 'set-config-epoch', String(index + 1)));
    const last = Math.min((index + 1) * share, slots) - 1;
    await ok(primary.cli('cluster', 'addslotsrange', String(index * share), String(last)));
  }
  const [first, ...others] = nodes;
  assert(first);
  for (const node of others) {
    const busPort = await node.cli('config', 'get', 'cluster-port');
    await ok(first.cli('cluster', 'meet', '127.0.0.1', String(node.port), busPort.split('\n')[1] ?? ''));
  }
  await waitFor(() => each(nodes, async (node) => (await knownOf(node)) === nodes.length), {
    what: `the nodes to know each other${isTls ? ' over TLS' : ''}`,
    timeoutMs: 20_000,
  });
  for (const { primary, replica } of shards) if (replica) await ok(replica.cli('cluster', 'replicate', idOf(primary)));
  await waitFor(() => each(nodes, isWell), { what: 'the cluster to be well', timeoutMs: 20_000 });
  for (const { replica } of shards) {
    if (!replica) continue;
    await waitFor(async () => (await replica.cli('info', 'replication')).includes('master_link_status:up'), {
      what: 'a replica to follow',
      timeoutMs: 20_000,
    });
    await waitFor(() => each(nodes, async (node) => (await node.cli('cluster', 'slots')).includes(idOf(replica))), {
      what: 'everybody to know the replica',
      timeoutMs: 20_000,
    });
  }
}

async function knownOf(node: RedisServer): Promise<number> {
  const lines = (await node.cli('cluster', 'nodes')).split('\n');
  return lines.filter((line) => line.includes(' connected') && !line.includes('handshake')).length;
}

async function isWell(node: RedisServer): Promise<boolean> {
  const state = await node.cli('cluster', 'info');
  return state.includes('cluster_state:ok') && state.includes(`cluster_slots_ok:${slots}`);
}

async function each(nodes: readonly RedisServer[], isSo: (node: RedisServer) => Promise<boolean>): Promise<boolean> {
  return (await Promise.all(nodes.map(isSo))).every(Boolean);
}

/** A few first, so that the slot lies in two halves for a while, then many at a time. */
async function moveKeys(slot: string, from: RedisServer, to: RedisServer): Promise<void> {
  for (let count = 10; ; count = 1000) {
    const keys = (await from.cli('cluster', 'getkeysinslot', slot, String(count)))
      .split('\n')
      .filter((key) => key !== '');
    if (keys.length === 0) return;
    const answer = await from.cli('migrate', '127.0.0.1', String(to.port), '', '0', '5000', 'keys', ...keys);
    assert.match(answer, /^(OK|NOKEY)/);
  }
}

async function ok(answer: Promise<string>): Promise<void> {
  assert.equal(await answer, 'OK');
}
