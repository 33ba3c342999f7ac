/**
 * A real primary with a replica and three sentinels for a test, on ports of loopback. Servers and sentinels have
 * passwords, different ones, as they should have.
 */

import assert from 'node:assert/strict';
import { freePorts } from './ports.ts';
import { type RedisServer, startRedis } from './redis.ts';
import { waitFor } from './wait-for.ts';

export interface SentinelStage {
  readonly url: string;
  /** As they were when it began. */
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: readonly RedisServer[];
  /** Asks whoever is the primary now by the word of the first sentinel. */
  cli(...args: string[]): Promise<string>;
  /** The port of the primary, by the word of every sentinel; null while they differ. */
  agreedPort(): Promise<number | null>;
  stop(): Promise<void>;
}

export const primaryName = 'stage';
const password = 'open sesame/1';
const sentinelPassword = 'who goes there?';
const downAfterMs = 700;

export async function startSentinelStage(): Promise<SentinelStage> {
  const ports = await freePorts(5);
  const [primaryPort = 0, replicaPort = 0, ...sentinelPorts] = ports;
  const own = [`requirepass "${password}"`, `masterauth "${password}"`, 'appendonly yes', 'appendfsync no'];
  const lines = [...own, 'repl-diskless-sync-delay 0', 'repl-ping-replica-period 1'];
  const cliArgs = ['-a', password];
  const [primary, replica] = await Promise.all([
    startRedis({ port: primaryPort, cliArgs, lines }),
    startRedis({ port: replicaPort, cliArgs, lines: [...lines, `replicaof 127.0.0.1 ${primaryPort}`] }),
  ]);
  await waitFor(async () => (await replica.cli('info', 'replication')).includes('master_link_status:up'), {
    what: 'the replica to follow',
    timeoutMs: 20_000,
  });
  const sentinels = await Promise.all(
    sentinelPorts.map((port) =>
      startRedis({
        port,
        isSentinel: true,
        cliArgs: ['-a', sentinelPassword],
        lines: sentinelLines(primaryPort),
      }),
    ),
  );
  // How often they look, and how long they let a stale primary be: otherwise seconds, which prove nothing more.
  for (const sentinel of sentinels)
    assert.equal(await sentinel.cli('sentinel', 'debug', 'info-period', '300', 'publish-period', '300'), 'OK');
  await waitFor(async () => (await Promise.all(sentinels.map(isInformed))).every(Boolean), {
    what: 'the sentinels to know each other and the replica',
    timeoutMs: 20_000,
  });

  const portBy = async (sentinel: RedisServer): Promise<number> =>
    Number((await sentinel.cli('sentinel', 'get-master-addr-by-name', primaryName)).split('\n')[1]);
  const all = [primary, replica, ...sentinels];
  const hosts = sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',');
  const word = encodeURIComponent;
  return {
    url: `redis+sentinel://:${word(password)}@${hosts}/${primaryName}?sentinel_password=${word(sentinelPassword)}`,
    primary,
    replica,
    sentinels,
    async cli(...args) {
      const port = await portBy(sentinels[0] ?? assert.fail());
      return (port === primary.port ? primary : replica).cli(...args);
    },
    async agreedPort() {
      const heard = new Set(await Promise.all(sentinels.map(portBy)));
      return heard.size === 1 ? ([...heard][0] ?? null) : null;
    },
    async stop() {
      await Promise.all(all.map((one) => one.stop()));
    },
  };
}

const sentinelLines = (primaryPort: number): string[] => [
  'bind 127.0.0.1',
  `requirepass "${sentinelPassword}"`,
  `sentinel sentinel-pass "${sentinelPassword}"`,
  `sentinel monitor ${primaryName} 127.0.0.1 ${primaryPort} 2`,
  `sentinel auth-pass ${primaryName} "${password}"`,
  `sentinel down-after-milliseconds ${primaryName} ${downAfterMs}`,
  `sentinel failover-timeout ${primaryName} 2000`,
];

async function isInformed(sentinel: RedisServer): Promise<boolean> {
  const words = (await sentinel.cli('sentinel', 'master', primaryName)).split('\n');
  const numberOf = (name: string) => Number(words[words.indexOf(name) + 1]);
  return numberOf('num-other-sentinels') === 2 && numberOf('num-slaves') === 1;
}
