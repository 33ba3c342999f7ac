import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Drain } from '../../../src/hub/drain.ts';
import { Hub } from '../../../src/hub/hub.ts';
import { Join } from '../../../src/hub/join.ts';
import { MemoryStore } from '../../../src/log/memory/memory-log.ts';
import type { Presence } from '../../../src/log/presence.ts';
import type { Change } from '../../../src/log/room-log.ts';
import type { Identity, RoomId, UserId } from '../../../src/model.ts';
import { readSettings } from '../../../src/settings.ts';
import { FakeClock } from '../../rig/fake-clock.ts';
import { FakeSocket } from '../../rig/fake-socket.ts';
import { joined } from '../../rig/joined.ts';

const room = 'match-7' as RoomId;
const ann: Identity = {
  id: 'ann' as UserId,
  name: null,
  role: 'moderator',
  tags: [],
  expiresAtMs: Number.POSITIVE_INFINITY,
};

/** A hub on an embedded store, and a stream of which the log has taken note and not answered yet. */
async function build(identity: Identity = ann) {
  const clock = new FakeClock();
  const settings = readSettings({ USER_STREAMS_MAX: '1', LINGER_MS: '0', RENEW_MS: '1000' });
  const log = joined(new MemoryStore(settings, clock).open('node'));
  let answer = (): void => undefined;
  const answered = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const enter: Presence['enter'] = async (...asked) => {
    const entered = await log.enter(...asked);
    await answered;
    return entered;
  };
  const presence = new Proxy(log, {
    get: (_, name: keyof Presence) => (name === 'enter' ? enter : log[name]),
  });
  const hub = new Hub({ log, presence }, settings, clock, (error) => assert.fail(String(error)));
  const admitting = hub.admit({ room, identity, from: null, history: 0 });
  await clock.advanceGently(100);
  /** Everything that the stream says once the log has answered. */
  const opened = async (): Promise<string> => {
    answer();
    const join = await admitting;
    assert.ok(join instanceof Join);
    const socket = new FakeSocket();
    hub.open(join, socket.asSocket, 'identity', Buffer.alloc(0));
    await clock.advanceGently(100);
    return socket.take().toString();
  };
  return { clock, hub, log, answer, admitting, opened };
}

const end = (data: string): string => `event: end\ndata: ${data}\n\n`;

test('a ban that comes before the log has answered ends the stream, with its reason', async () => {
  const { log, opened, hub } = await build();
  const user = 'ann' as UserId;
  const body = JSON.stringify({ from: { id: 'hanna', role: 'host' }, user, reason: 'spam' });
  const change: Change = { type: 'rule', kind: 'ban', rule: 'ban', user, seconds: 0, body };
  await log.append({ room, by: 'hanna' as UserId, role: 'host', once: null, rate: null, mutable: false, change });
  assert.equal(await opened(), end('{"cause":"banned","comeBack":"no","reason":"spam"}'));
  assert.deepEqual([hub.viewers, hub.hubCounters.endings.banned], [0, 1]);
});

test('a token of other rights that comes before the log has answered ends the stream, and so does one given up', async () => {
  for (const grant of [{ role: 'viewer', tags: [], expiresAtMs: Number.POSITIVE_INFINITY } as const, null]) {
    const { log, opened } = await build();
    await log.prolong(room, 'ann' as UserId, grant);
    assert.equal(await opened(), end('{"cause":"reauthorized","comeBack":"yes"}'));
  }
});

test('a drain finds the streams on their way in, and tells each when to come back', async () => {
  const { hub, clock, opened } = await build();
  const drain = new Drain(hub, clock, 'main');
  assert.equal(drain.drain(0), 1);
  assert.match(await opened(), /^retry: \d+\n\nevent: move\ndata: \{"retryMs":\d+\}\n\n$/);
});

test('a stream whose token expires on the way in says so and nothing else', async () => {
  const { clock, opened } = await build({ ...ann, expiresAtMs: new FakeClock().now() + 2_000 });
  await clock.advanceGently(3_000);
  assert.equal(await opened(), end('{"cause":"expired","comeBack":"with-new-token"}'));
});

test('a stream that is released gives back its share, its room and its record, however often', async () => {
  const { hub, clock, answer, admitting } = await build();
  const request = { room, identity: ann, from: null, history: 0 };
  assert.equal((await hub.admit(request)).outcome, 'overloaded', 'its share is taken from the moment that it asks');
  answer();
  const join = await admitting;
  assert.ok(join instanceof Join);
  assert.deepEqual([hub.viewers, join.room.hasUsers(), join.room.size], [1, true, 0]);
  join.release();
  join.release();
  assert.deepEqual([hub.viewers, join.room.hasUsers(), [...join.room.viewers()]], [0, false, []]);
  // As long as its user has to wait for the next stream, too.
  await clock.advanceGently(10_000);
  assert.equal(hub.rooms, 0);
  assert.equal((await hub.admit(request)).outcome, 'admitted');
});
