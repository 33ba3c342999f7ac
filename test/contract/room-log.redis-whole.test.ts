/**
 * A step on Redis is whole or it did not happen, whatever makes it fail: a right that is taken away at any moment, or
 * a field or key that holds what no gateway wrote. Redis takes no write of a failed function back.
 */

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { Refusal } from '../../src/errors.ts';
import type { Position } from '../../src/log/position.ts';
import { keysIn } from '../../src/log/redis/keys.ts';
import type { Appended, Change, Rate, Write } from '../../src/log/room-log.ts';
import type { RoomId, UserId } from '../../src/model.ts';
import type { NodeLog } from '../rig/joined.ts';
import { leastRights } from '../rig/least-rights.ts';
import { type RedisServer, startRedis } from '../rig/redis.ts';
import { waitFor } from '../rig/wait-for.ts';
import { anna, ben, closeAll, comment, kept, newRoom, open, refusedCode, writeOf } from './redis-stage.ts';

const { log: logKey, meta, state, nodes, rules, rate: rateKey } = keysIn('rs');
const rate: Rate = { name: 'any', burst: 1000, perSecond: 1000, cost: 1 };
const direct: Change = { type: 'event', kind: 'direct', lane: 'must', audience: [ben], body: '{}' };
const ruleOf = (seconds: number | null): Change => ({
  type: 'rule',
  kind: seconds === null ? 'unmute' : 'mute',
  rule: 'mute',
  user: ben,
  seconds,
  body: '{}',
});

/** Every kind of write, and how many entries one makes in a room that was prepared. */
const writes: readonly (readonly [name: string, entries: number, change: (target: Position) => Change])[] = [
  ['a comment', 1, () => comment()],
  ['a direct', 1, () => direct],
  ['a state part', 1, () => ({ type: 'put', part: 'title', value: '"new"', ifVersion: null })],
  ['a removal', 1, () => ({ type: 'remove', part: 'title', ifVersion: null })],
  ['a like', 0, () => ({ type: 'count', counter: 'likes', by: 1 })],
  ['a like that becomes state', 1, () => ({ type: 'count', counter: 'fresh', by: 1 })],
  [
    'a gift',
    2,
    () => ({
      type: 'tally',
      kind: 'gift',
      body: '{}',
      counter: 'likes',
      by: 1,
      receipt: { to: ben, body: '{}' },
    }),
  ],
  ['a retraction', 1, (target) => ({ type: 'retract', target, body: '{}' })],
  ['a mute', 1, () => ruleOf(60)],
  ['an unmute', 1, () => ruleOf(null)],
  ['the end', 2, () => ({ type: 'end', body: '{}' })],
];

/** A room with a bit of everything, and a first entry that can be retracted. */
async function prepare(log: NodeLog): Promise<{ room: RoomId; target: Position }> {
  const room = newRoom();
  const { position: target } = await kept(log.append(writeOf(room)));
  await log.enter(room, ben);
  for (const change of [
    { type: 'put', part: 'title', value: '"old"', ifVersion: null },
    { type: 'count', counter: 'likes', by: 1 },
    // Too soon to become state, so the end has to settle it.
    { type: 'count', counter: 'likes', by: 1 },
    ruleOf(60),
  ] as const) {
    await kept(log.append(writeOf(room, change)));
  }
  return { room, target };
}

const offsetOf = async (log: NodeLog, room: RoomId): Promise<number> => (await log.readState(room)).tail.offset;
const answered = async (answer: Promise<Appended>): Promise<Appended | string> => {
  try {
    return await answer;
  } catch (error) {
    assert(error instanceof Refusal, String(error));
    return error.code;
  }
};

describe('a step on Redis', () => {
  let server: RedisServer;
  let admin: NodeLog;
  before(async () => {
    server = await startRedis();
  });
  after(() => server.stop());
  afterEach(closeAll);

  const commands = leastRights.split(' ').filter((word) => /^\+(?!ping|fcall|function|ssub|sunsub)/.test(word));

  for (const [name, entries, changeOf] of writes) {
    test(`${name} is kept whole or not at all, whichever right is taken away before it`, async () => {
      admin = await open(server.url);
      await server.cli('acl', 'setuser', 'some', 'on', '>pw', 'reset');
      for (const command of [...commands, 'resetchannels']) {
        await server.cli('acl', 'setuser', 'some', 'reset', 'on', '>pw', ...leastRights.split(' '));
        const log = await open(server.url.replace('unix://', 'unix://some:pw@'), 'node-2', { countMs: 60_000 });
        const { room, target } = await prepare(admin);
        const before = await offsetOf(admin, room);
        const write: Write = writeOf(room, changeOf(target), { once: { key: 'k', digest: 'd' }, rate });
        await server.cli('acl', 'setuser', 'some', command.replace('+', '-'));
        const first = await answered(log.append(write));
        const made = (await offsetOf(admin, room)) - before;
        if (typeof first === 'string') {
          assert.deepEqual([first, made], ['log-unavailable', 0], `without ${command}`);
          await assertFirst(admin, write, before + entries);
        } else {
          assert.deepEqual([first.outcome, made], ['kept', entries], `without ${command}`);
          // Without SET the answer cannot be remembered, but it was given.
          if (command !== '+set') assert.deepEqual(await kept(admin.append(write)), { ...first, repeated: true });
        }
        await log.close();
      }
    });
  }

  /** A write that has left no trace is done by its repeat, once. */
  async function assertFirst(log: NodeLog, write: Write, offset: number): Promise<void> {
    const again = await kept(log.append(write));
    assert.equal(again.repeated, false);
    assert.equal(await offsetOf(log, write.room), offset);
  }

  const poisons: readonly (readonly [name: string, spoil: (room: RoomId) => readonly (readonly string[])[]])[] = [
    ...[
      'epoch',
      'offset',
      'published',
      'touched',
      'count_at',
      'total',
      'chat',
      'retracted',
      'lineage',
      'c:likes',
      't:likes',
    ].map((field) => [`${field} in the meta`, (room: RoomId) => [['hset', meta(room), field, 'po ison']]] as const),
    ['a lease', (room) => [['hset', nodes(room), 'node-1', 'po ison']]],
    ['a rule', (room) => [['hset', rules(room), 'mute:ben', 'po ison']]],
    ['a state part', (room) => [['hset', state(room), 'title', 'po ison']]],
    ['the rate', (room) => [['set', rateKey(room, anna, 'any'), 'po ison']]],
    [
      'an entry with the greatest number',
      (room) => [['xadd', logKey(room), '18446744073709551615-18446744073709551615', 'a', 'b']],
    ],
    ...(['log', 'meta', 'state', 'where', 'nodes', 'rules'] as const).map(
      (kind) =>
        [
          `another type of ${kind}`,
          (room: RoomId) => [
            ['del', keysIn('rs')[kind](room)],
            ['set', keysIn('rs')[kind](room), 'poison'],
          ],
        ] as const,
    ),
  ];

  for (const [name, entries, changeOf] of writes) {
    test(`${name} is kept whole or not at all, whatever somebody else has put into the room's keys`, async () => {
      admin = await open(server.url, 'node-1', { countMs: 60_000 });
      for (const [what, spoil] of poisons) {
        const { room, target } = await prepare(admin);
        for (const command of spoil(room)) await server.cli(...command);
        const before = Number(await server.cli('hget', meta(room), 'offset').catch(() => '')) || 0;
        const write = writeOf(room, changeOf(target), { once: { key: 'k', digest: 'd' }, rate });
        const first = await answered(admin.append(write));
        const after = Number(await server.cli('hget', meta(room), 'offset').catch(() => '')) || 0;
        if (typeof first === 'string') assert.equal(after - before, 0, `${what}: ${first}, and yet written`);
        else if (first.outcome === 'kept') {
          assert(after - before >= (name === 'the end' ? 1 : entries), `${what}: only ${after - before} written`);
          const again = await answered(admin.append(write));
          assert.deepEqual(again, { ...first, repeated: true }, what);
        }
      }
    });
  }

  test('a room goes on after an entry with the greatest number of all', async () => {
    const log = await open(server.url);
    const room = newRoom();
    await kept(log.append(writeOf(room)));
    await server.cli('xadd', logKey(room), '18446744073709551615-18446744073709551615', 'a', 'b');
    assert.equal((await kept(log.append(writeOf(room)))).position.offset, 2);
  });

  test('a node whose renewal fails is told the next time that its lease had run out', async () => {
    const log = await open(server.url);
    const room = newRoom();
    await kept(log.append(writeOf(room)));
    await server.cli('rename', logKey(room), 'elsewhere');
    await server.cli('set', logKey(room), 'poison');
    assert.equal(await refusedCode(log.renew(room)), 'log-unavailable');
    await server.cli('rename', 'elsewhere', logKey(room));
    assert.equal((await log.renew(room)).lapsed, true);
    assert.equal((await log.renew(room)).lapsed, false);
  });

  test('a renewal that cannot count the viewers begins no epoch', async () => {
    const log = await open(server.url);
    const room = newRoom();
    const { position } = await kept(log.append(writeOf(room)));
    const { audience } = keysIn('rs');
    await server.cli('set', audience(room), 'poison');
    // The node has more than the log: by itself a reason to begin one.
    assert.equal(await refusedCode(log.renew(room, 0, { ...position, offset: 9 })), 'log-unavailable');
    assert.equal((await log.read(room, null, 0)).tail.epoch, position.epoch);
    await server.cli('del', audience(room));
    assert.notEqual((await log.renew(room, 0, { ...position, offset: 9 })).tail.epoch, position.epoch);
  });

  test('what makes no sense bans and mutes nobody less than before', async () => {
    const log = await open(server.url);
    const room = newRoom();
    await kept(log.append(writeOf(room, ruleOf(60))));
    await server.cli('hset', rules(room), 'mute:ben', 'poison');
    const answer = await log.append(writeOf(room, comment(), { by: ben as UserId }));
    assert(answer.outcome === 'refused' && answer.code === 'muted');
  });

  test('a count of viewers that nobody can have counted stops no report', async () => {
    const log = await open(server.url);
    const room = newRoom();
    await waitFor(() => log.isReady(), { what: 'the log' });
    const { audience, nodes } = keysIn('rs');
    for (const poison of ['99999999999999999999 1 1', '1e999', '7', '']) {
      const fields = ['sum', 'shown', 'pass', '@ghost', '@node-1'];
      await server.cli('hset', audience(room), ...fields.flatMap((field) => [field, poison]));
      await server.cli('hset', nodes(room), 'silent', '1');
      assert.deepEqual((await log.renew(room, 3)).sum, { viewers: 3, users: 0 });
    }
  });
});
