/** What only Redis has of retractions: fields beside the stream, of which there must not be more and more. */

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import type { Position } from '../../src/log/position.ts';
import type { Change } from '../../src/log/room-log.ts';
import type { RoomId } from '../../src/model.ts';
import type { NodeLog } from '../rig/joined.ts';
import { logKey, metaKey } from '../rig/keys.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { closeAll, kept, newRoom, open, writeOf } from './redis-stage.ts';

let server: RedisServer;
before(async () => {
  server = await startRedis();
});
after(() => server.stop());
afterEach(closeAll);

const retract = (target: Position): Change => ({ type: 'retract', target, body: '{}' });
async function writeAndRetract(log: NodeLog, room: RoomId): Promise<Position> {
  const { position } = await kept(log.append(writeOf(room)));
  await kept(log.append(writeOf(room, retract(position))));
  return position;
}

/** The fields of a room that are about retractions. */
const fieldsOf = async (room: RoomId): Promise<readonly string[]> =>
  (await server.cli('hkeys', metaKey(room))).split('\n').filter((field) => /^(?:retracted$|r:)/.test(field));

test('a room without retractions has no field for them', async () => {
  const log = await open(server.url);
  const room = newRoom();
  const { position } = await kept(log.append(writeOf(room)));
  await log.read(room, { ...position, offset: 0 }, 10);
  assert.deepEqual(await fieldsOf(room), []);
});

test('what is known of retractions is swept with the log that they are of', async () => {
  const log = await open(server.url, 'node-1', { logEntriesMax: 100 });
  const room = newRoom();
  for (let n = 0; n < 600; n += 1) await writeAndRetract(log, room);
  const known = (await fieldsOf(room)).length;
  assert.ok(known > 50 && known <= 1 + 256 + 50, `${known} are known`);
});

test('a page of thousands of entries is read with its tombstones', async () => {
  const log = await open(server.url);
  const room = newRoom();
  const tombstones: number[] = [];
  for (let n = 0; n < 3; n += 1) {
    tombstones.push((await writeAndRetract(log, room)).offset);
    for (let written = 0; written < 600; written += 100)
      await Promise.all(Array.from({ length: 100 }, () => log.append(writeOf(room))));
  }
  const { epoch } = (await log.read(room, null, 0)).tail;
  const { entries } = await log.read(room, { epoch, offset: 0 }, 5000);
  assert.equal(entries.length, 1806);
  assert.deepEqual(
    entries.filter(({ status }) => status === 'tombstone').map(({ offset }) => offset),
    tombstones,
  );
});

test('where the entry cannot be read, nothing is retracted and nothing is told', async () => {
  const log = await open(server.url);
  const room = newRoom();
  const { position } = await kept(log.append(writeOf(room)));
  await server.cli('del', logKey(room));
  await server.cli('xadd', logKey(room), `${position.offset}-0`, 'e', 'what no gateway wrote');
  const answer = await log.append(writeOf(room, retract(position)));
  assert.equal(answer.outcome === 'refused' && answer.code, 'not-found');
  assert.equal((await log.read(room, null, 0)).tail.offset, 1);
  assert.deepEqual(await fieldsOf(room), []);
});
