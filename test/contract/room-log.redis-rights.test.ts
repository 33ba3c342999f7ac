/** The contract on a real Redis whose user may do what docs/operations.md grants, and nothing else. */

import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import type { RoomLog } from '../../src/log/room-log.ts';
import { type GuardedRedis, leastRights, startGuardedRedis } from '../helpers/least-rights.ts';
import { waitFor } from '../helpers/wait-for.ts';
import { age, durable, open } from './redis-stage.ts';
import { roomLogContract } from './room-log.contract.ts';

describe('redis-log', () => {
  let server: GuardedRedis;
  before(async () => {
    server = await startGuardedRedis(leastRights, durable);
  });
  after(async () => {
    const denied = await server.cli('acl', 'log');
    await server.stop();
    assert.equal(denied, '', 'Redis has denied something');
  });

  roomLogContract('redis-log with the least rights', async (settings) => {
    const nodes = new Map<string, Promise<RoomLog>>();
    return {
      node(id) {
        const log = nodes.get(id) ?? open(server.guardedUrl, id, { logDeadlineMs: 2000, ...settings });
        nodes.set(id, log);
        return log;
      },
      async restart() {
        await server.restart();
        for (const log of nodes.values())
          await waitFor(async () => (await log).isReady(), { what: 'the links', timeoutMs: 10_000 });
      },
      forget: () => server.flush(),
      tick: (ms) => age(server, ms),
      async close() {
        for (const log of nodes.values()) await (await log).close();
      },
    };
  });
});
