/** What the loss of one key of a room does, be it by hand or by eviction: nothing is opened, nothing is lost silently. */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { judge } from '../../src/log/position.ts';
import { leaseMs, type Renewed } from '../../src/log/presence.ts';
import type { Change } from '../../src/log/room-log.ts';
import type { RoomId, UserId } from '../../src/model.ts';
import type { NodeLog } from '../rig/joined.ts';
import { audienceKey, logKey, metaKey, nodesKey, rulesKey, stateKey, whereKey } from '../rig/keys.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { waitFor } from '../rig/wait-for.ts';
import { age, anna, ben, closeAll, comment, kept, newRoom, once, open, writeOf } from './redis-stage.ts';
import { Ear } from './stage.ts';

let server: RedisServer;
before(async () => {
  server = await startRedis();
});
after(() => server.stop());
afterEach(closeAll);

const keys = { audienceKey, logKey, metaKey, nodesKey, rulesKey, stateKey, whereKey };
const lose = (key: (room: RoomId) => string, room: RoomId) => server.cli('del', key(room));
const rule = (name: 'ban' | 'mute', seconds: number | null = 0): Change => ({
  type: 'rule',
  kind: name,
  rule: name,
  user: anna,
  seconds,
  body: '{"user":"anna"}',
});
const put = (part: string, value = '1'): Change => ({ type: 'put', part, value, ifVersion: null });
const count = (by: number): Change => ({ type: 'count', counter: 'likes', by });
const direct = (...to: UserId[]): Change => ({
  type: 'event',
  kind: 'direct',
  lane: 'must',
  audience: to,
  body: '{"type":"a"}',
});
const answerOf = async (log: NodeLog, room: RoomId, change = comment(), by = anna) => {
  const answer = await log.append(writeOf(room, change, { by }));
  return answer.outcome === 'kept' ? 'kept' : answer.code;
};

describe('what was closed', () => {
  for (const [name, key] of Object.entries(keys)) {
    test(`stays closed when ${name} is lost: a ban, a mute, the end`, async () => {
      const log = await open(server.url);
      const [room, muted, ended] = [newRoom(), newRoom(), newRoom()];
      await kept(log.append(writeOf(room, rule('ban'), { by: ben })));
      await kept(log.append(writeOf(muted, rule('mute', 3600), { by: ben })));
      await kept(log.append(writeOf(ended, { type: 'end', body: '{}' }, { by: ben })));
      for (const one of [room, muted, ended]) await lose(key, one);
      assert.equal(await answerOf(log, room), 'banned');
      assert.equal(await answerOf(log, room, comment(), ben), 'kept');
      assert.equal((await log.enter(room, anna)).banned, true);
      assert.equal((await log.readState(room, { id: anna, role: 'viewer' })).banned, true);
      assert.equal(await answerOf(log, muted), 'muted');
      assert.equal(await answerOf(log, ended), 'room-ended');
      assert.equal((await log.enter(ended, ben)).ended, true);
      await kept(log.append(writeOf(room, rule('ban', null), { by: ben })));
      await lose(key, room);
      assert.equal(await answerOf(log, room), 'kept');
    });
  }

  test('stays closed when first one and, after a renewal, the other of the two keys that hold it is lost', async () => {
    const log = await open(server.url);
    for (const [first, second] of [[rulesKey, metaKey] as const, [metaKey, rulesKey] as const]) {
      const [room, ended] = [newRoom(), newRoom()];
      for (let n = 0; n < 1200; n += 1) {
        const user = `user-${n}` as UserId;
        if (n % 10 === 0) await kept(log.append(writeOf(room, { ...rule('ban'), user } as Change, { by: ben })));
      }
      await kept(log.append(writeOf(ended, { type: 'end', body: '{}' }, { by: ben })));
      for (const one of [room, ended]) {
        await lose(first, one);
        await log.renew(one);
        await lose(second, one);
      }
      for (const user of ['user-0', 'user-600', 'user-1190']) {
        assert.equal(await answerOf(log, room, comment(), user as UserId), 'banned');
      }
      assert.equal(await answerOf(log, room, comment(), 'user-1' as UserId), 'kept');
      assert.equal(await answerOf(log, ended), 'room-ended');
    }
  });

  test('is not closed longer for it: a rule ends when it would have', async () => {
    const log = await open(server.url);
    const room = newRoom();
    await kept(log.append(writeOf(room, rule('ban', 60), { by: ben })));
    await lose(rulesKey, room);
    assert.equal(await answerOf(log, room), 'banned');
    await lose(metaKey, room);
    assert.equal(await answerOf(log, room), 'banned');
    await age(server, 61_000);
    assert.equal(await answerOf(log, room), 'kept');
  });

  test('a retracted comment is served to nobody, whichever key is lost', async () => {
    const log = await open(server.url);
    for (const key of Object.values(keys)) {
      const room = newRoom();
      const { position } = await kept(log.append(writeOf(room, comment('{"text":"never again"}'))));
      await kept(log.append(writeOf(room, { type: 'retract', target: position, body: '{}' })));
      await lose(key, room);
      const { tail } = await log.renew(room);
      for (const epoch of [position.epoch, tail.epoch]) {
        const { entries } = await log.read(room, { epoch, offset: 0 }, 10);
        assert.ok(!JSON.stringify(entries).includes('never again'), key(room));
      }
    }
  });
});

describe('the state', () => {
  test('without its meta stays as it is, in a new epoch, and its versions go on rising', async () => {
    const log = await open(server.url);
    const room = newRoom();
    await kept(log.append(writeOf(room)));
    const old = (await kept(log.append(writeOf(room, put('title', '"Final"'))))).position;
    await kept(log.append(writeOf(room, count(7))));
    await lose(metaKey, room);
    const { tail, parts, total } = await log.readState(room);
    assert.equal(judge(old, tail).verdict, 'reset');
    assert.deepEqual(
      [parts.get('title'), parts.get('likes')?.value],
      [{ version: 2, value: '"Final"' }, '{"total":7}'],
    );
    assert.deepEqual([total, tail.offset, tail.first], [3, 3, 4]);
    assert.equal((await kept(log.append(writeOf(room, count(1))))).total, 8);
    assert.equal((await kept(log.append(writeOf(room, put('title', '"Over"'))))).position.offset, 5);
    for (const key of [metaKey, stateKey, logKey]) assert(Number(await server.cli('ttl', key(room))) > 600_000);
  });

  for (const [name, notice] of [
    ['is read', (log: NodeLog, room: RoomId) => log.readState(room)],
    ['is renewed', (log: NodeLog, room: RoomId) => log.renew(room)],
    ['gets another part', (log: NodeLog, room: RoomId) => log.append(writeOf(room, put('other')))],
    [
      'is rid of a part',
      (log: NodeLog, room: RoomId) => log.append(writeOf(room, { type: 'remove', part: 'title', ifVersion: null })),
    ],
    ['is counted in', (log: NodeLog, room: RoomId) => log.append(writeOf(room, count(1)))],
    ['is settled', (log: NodeLog, room: RoomId) => log.settle(room, 'likes')],
    ['ends', (log: NodeLog, room: RoomId) => log.append(writeOf(room, { type: 'end', body: '{}' }))],
  ] as const) {
    test(`is a declared loss when it is gone and the room ${name}; sums of counters outlive it`, async () => {
      const log = await open(server.url);
      const room = newRoom();
      await kept(log.append(writeOf(room, put('title'))));
      await kept(log.append(writeOf(room, count(3))));
      const { position } = await kept(log.append(writeOf(room, count(4))));
      await lose(stateKey, room);
      await notice(log, room);
      const { tail, parts } = await log.readState(room);
      assert.equal(judge(position, tail).verdict, 'reset');
      assert.equal(parts.has('title'), false);
      assert.match(parts.get('likes')?.value ?? '', /^\{"total":[78]\}$/);
      const { epoch } = (await log.renew(room)).tail;
      assert.equal(epoch, tail.epoch, 'it is declared once');
    });
  }

  test('of a room that never had one is not missed', async () => {
    const log = await open(server.url);
    const room = newRoom();
    const { position } = await kept(log.append(writeOf(room)));
    await log.append(writeOf(room, { type: 'remove', part: 'x', ifVersion: null }));
    await log.renew(room);
    assert.equal((await log.readState(room)).tail.epoch, position.epoch);
    await kept(log.append(writeOf(room, put('a'))));
    await kept(log.append(writeOf(room, { type: 'remove', part: 'a', ifVersion: null })));
    assert.equal((await log.readState(room)).tail.epoch, position.epoch);
  });

  test('goes with its room when that is forgotten', async () => {
    const log = await open(server.url, 'node-1', { roomTtlS: 100 });
    const room = newRoom();
    await kept(log.append(writeOf(room)));
    await age(server, 5_000);
    await kept(log.append(writeOf(room, put('late'))));
    await age(server, 106_000);
    const { parts, tail } = await log.readState(room);
    assert.deepEqual([parts.size, tail.offset], [0, 0]);
  });
});

describe('the directory', () => {
  const lapseOf = ({ lapsed, covered }: Renewed) => ({ lapsed, covered });

  /** Anna is on node 1, Ben on node 2. */
  async function enterBoth() {
    const [one, two] = [await open(server.url, 'node-1'), await open(server.url, 'node-2')];
    const room = newRoom();
    const [near, far] = [new Ear(), new Ear()];
    await one.follow(room, near);
    await two.follow(room, far);
    await one.enter(room, anna);
    await two.enter(room, ben);
    for (const log of [one, two]) await log.renew(room, 1);
    return { one, two, room, near, far };
  }

  for (const [name, key] of Object.entries({ whereKey, nodesKey })) {
    test(`without ${name} loses no peer entry, and every node hears at its next renewal that it lapsed`, async () => {
      const { one, two, room, near, far } = await enterBoth();
      await lose(key, room);
      await kept(one.append(writeOf(room, direct(ben))));
      await waitFor(() => far.offsets.includes(1), { what: 'what was sent before anybody noticed' });
      assert.deepEqual(lapseOf(await one.renew(room, 1)), { lapsed: true, covered: true });
      await one.enter(room, anna);
      await kept(one.append(writeOf(room, direct(ben))));
      await waitFor(() => far.offsets.includes(2), { what: 'what was sent before the other node noticed' });
      assert.deepEqual(lapseOf(await two.renew(room, 1)), { lapsed: true, covered: true });
      await kept(one.append(writeOf(room, direct(ben))));
      await waitFor(() => far.offsets.includes(3), { what: 'what was sent before its users had entered' });
      await two.enter(room, ben);
      for (const log of [one, two]) assert.equal((await log.renew(room, 1)).lapsed, false);
      await age(server, leaseMs - 1000);
      for (const log of [one, two]) assert.equal((await log.renew(room, 1)).lapsed, false);
      await age(server, 1001);
      const heard = near.offsets.length;
      assert.equal((await kept(one.append(writeOf(room, direct(ben))))).connected, 1);
      await kept(one.append(writeOf(room)));
      await waitFor(() => near.offsets.includes(5) && far.offsets.includes(5), { what: 'the last entry' });
      assert.ok(far.offsets.includes(4));
      assert.equal(near.offsets.length, heard + 1, 'whole again, only the nodes of its targets hear a peer entry');
    });
  }

  test('without it, a gift and a newer token find their user too', async () => {
    const { one, two, room, far } = await enterBoth();
    await lose(whereKey, room);
    const receipt = { to: ben, body: '{"type":"gift"}' };
    await kept(
      one.append(writeOf(room, { type: 'tally', kind: 'gift', body: '{}', counter: 'gifts', by: 1, receipt })),
    );
    await one.prolong(room, ben, { role: 'viewer', tags: [], expiresAtMs: 1_900_000_000_000 });
    await waitFor(() => far.offsets.includes(2) && far.prolongs.length === 1, { what: 'both' });
    assert.equal((await two.enter(room, ben)).lapsed, true, 'noticed by who enters, too');
  });

  test('is no loss where it is as old as its leases, or where nobody was', async () => {
    const { one, room } = await enterBoth();
    assert.equal((await one.renew(room, 1)).lapsed, false);
    await one.leave(room, anna);
    assert.equal((await one.renew(room, 0)).lapsed, false, 'the last user of a node may leave');
    const quiet = newRoom();
    assert.deepEqual(lapseOf(await one.renew(quiet, 1)), { lapsed: true, covered: false }, 'the first renewal');
    assert.equal((await one.renew(quiet, 1)).lapsed, false, 'a room that is watched without names');
    await age(server, 2 * leaseMs + 1);
    const far = new Ear();
    await (await open(server.url, 'node-3')).follow(room, far);
    assert.equal((await kept(one.append(writeOf(room, direct(ben))))).connected, 0);
    await kept(one.append(writeOf(room)));
    await waitFor(() => far.offsets.length > 0, { what: 'the comment' });
    assert.deepEqual(far.offsets, [2]);
  });

  test('without its audience is whole again when every node has renewed', async () => {
    const { one, two, room } = await enterBoth();
    await one.renew(room, 3);
    const all = { viewers: 7, users: 2 };
    assert.deepEqual((await two.renew(room, 4)).sum, all);
    await lose(audienceKey, room);
    assert.deepEqual((await one.renew(room, 3)).sum, { viewers: 3, users: 2 });
    assert.deepEqual((await two.renew(room, 4)).sum, all);
  });
});

test('a repeat gets its first answer, whichever key is lost', async () => {
  const log = await open(server.url);
  for (const key of Object.values(keys)) {
    const room = newRoom();
    const { position } = await kept(log.append(writeOf(room, comment(), once('k'))));
    await lose(key, room);
    const again = await kept(log.append(writeOf(room, comment(), once('k'))));
    assert.deepEqual([again.repeated, again.position], [true, position]);
  }
});
