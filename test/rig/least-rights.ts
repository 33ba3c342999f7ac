/** The least rights of a gateway's user in Redis, as docs/operations.md tells operators, and a Redis that grants them. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RedisOptions, type RedisServer, startRedis } from './redis.ts';

const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');

const cell = (where: string): string =>
  new RegExp(`^\\| ${where}[^|]*\\| \`(.+)\` \\|$`, 'm').exec(page)?.[1]?.replaceAll('\\|', '|') ??
  assert.fail(`the page says nothing of ${where}`);

const plain = /^user ringside on >PASSWORD (.+)$/m.exec(page)?.[1] ?? assert.fail('the page has no ACL');

/** What comes after the password. */
export const leastRights = plain;
export const databaseRights = cell('a database other than 0');
export const clusterRights = cell('a cluster');

export interface GuardedRedis extends RedisServer {
  /** With a login of the user `some`, who has the rights that were given; `cli` has all of them. */
  readonly guardedUrl: string;
  /** Gives the user these rights and no others. */
  setRights(rights: string): Promise<void>;
}

/** A Redis with a user of few rights, who is still there after a restart. */
export async function startGuardedRedis(rights: string, options: RedisOptions = {}): Promise<GuardedRedis> {
  const home = await mkdtemp(join(tmpdir(), 'ringside-acl-'));
  const users = join(home, 'users.acl');
  await writeFile(users, `user default on nopass ~* &* +@all\nuser some on >pw ${rights}\n`);
  const server = await startRedis({ ...options, lines: [...(options.lines ?? []), `aclfile ${users}`] });
  return {
    ...server,
    guardedUrl: server.url.replace('unix://', 'unix://some:pw@'),
    async setRights(now) {
      assert.equal(await server.cli('acl', 'setuser', 'some', 'reset', 'on', '>pw', ...now.split(' ')), 'OK');
    },
    async stop() {
      await server.stop();
      await rm(home, { recursive: true, force: true });
    },
  };
}
