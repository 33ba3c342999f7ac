import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { Redis } from 'ioredis';
import type { RoomId } from '../../src/model.ts';
import { type RunningGateway, startGateway, tokenOf } from '../rig/gateway.ts';
import { nodeChannel, roomChannel } from '../rig/keys.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { type StreamReader, watch } from '../rig/stream-reader.ts';
import { waitFor } from '../rig/wait-for.ts';

const nodes = Array.from({ length: 8 }, (_, n) => `node-${n + 1}`);
const room = 'derby' as RoomId;
const token = (sub: string, role = 'viewer'): string => tokenOf(sub, role, { rooms: { [room]: role } });

let redis: RedisServer;
let gateways: readonly RunningGateway[];
let spy: Redis;
let readers: readonly StreamReader[];
/** What was published in the room, by channel. */
const published: string[] = [];

before(async () => {
  redis = await startRedis();
  gateways = await Promise.all(
    nodes.map((nodeId) => startGateway({ redisUrl: redis.url, environment: { NODE_ID: nodeId } })),
  );
  // On every node somebody watches the room, and one of them is named below.
  readers = await Promise.all(gateways.map(({ url }, at) => watch(url, { room, token: token(`user-${at + 1}`) })));
  spy = new Redis({ path: redis.socketPath });
  spy.on('smessage', (channel: string) => void published.push(channel));
  await spy.ssubscribe(roomChannel(room), ...nodes.map((node) => nodeChannel(room, node)));
});
after(async () => {
  spy?.disconnect();
  for (const reader of readers ?? []) reader.close();
  await Promise.all((gateways ?? []).map((gateway) => gateway.close()));
  await redis?.stop();
});

it('a direct to one user in a room on eight nodes reaches one node, and what is for all reaches each once', async () => {
  const [first] = gateways;
  assert.ok(first !== undefined);
  const target = readers[4];
  const as = token('hanna', 'host');
  published.length = 0;
  const direct = { to: ['user-5'], type: 'prize', data: { seat: 12 } };
  const answer = await first.tryPost('direct', direct, { room, as });
  assert.deepEqual([answer.status, answer.json['connected']], [202, 1], answer.text);
  await waitFor(() => target?.named('direct').length === 1, { what: 'the one who was named to hear it' });
  await first.post('signal', { type: 'beat', data: {} }, { room, as });
  await waitFor(() => readers.every((reader) => reader.named('beat').length === 1), { what: 'all to hear the beat' });
  await waitFor(() => published.length >= 2, { what: 'what was published' });
  assert.deepEqual(published, [nodeChannel(room, 'node-5'), roomChannel(room)]);
  // The node of the one who was named is the only one that listens there, beside the spy.
  const heardBy = await redis.cli('pubsub', 'shardnumsub', nodeChannel(room, 'node-5'), roomChannel(room));
  assert.deepEqual(heardBy.split('\n'), [nodeChannel(room, 'node-5'), '2', roomChannel(room), '9']);
  assert.ok(readers.every((reader) => reader === target || reader.named('direct').length === 0));
});
