/** The contract on a real Redis whose user may do what docs/operations.md grants, and nothing else. */

import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { type GuardedRedis, leastRights, startGuardedRedis } from '../rig/least-rights.ts';
import { durable, harnessOn } from './redis-stage.ts';
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

  roomLogContract('redis-log with the least rights', async (settings) =>
    harnessOn(server, server.guardedUrl, settings),
  );
});
