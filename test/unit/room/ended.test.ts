import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Hub } from '../../../src/hub/hub.ts';
import { MemoryStore } from '../../../src/log/memory/memory-log.ts';
import type { Presence } from '../../../src/log/presence.ts';
import type { Change } from '../../../src/log/room-log.ts';
import type { Identity, RoomId, UserId } from '../../../src/model.ts';
import { readSettings } from '../../../src/settings.ts';
import { FakeClock } from '../../rig/fake-clock.ts';
import { FakeSocket } from '../../rig/fake-socket.ts';
import { joined } from '../../rig/joined.ts';

const room = 'match-7' as RoomId;
const by = 'hanna' as UserId;
const end: Change = { type: 'end', body: '{"cause":"ended"}' };
const comment: Change = {
  type: 'event',
  kind: 'comment',
  lane: 'chat',
  audience: 'all',
  body: '{"text":"before"}',
};

/** A hub on an embedded store, whose answers on entering wait for `gate`. */
function open() {
  const clock = new FakeClock();
  const settings = readSettings({ LOG_TTL_S: '60', RENEW_MS: '1000' });
  const store = new MemoryStore(settings, clock);
  const node = joined(store.open('node'));
  const door = { gate: Promise.resolve() };
  const enter: Presence['enter'] = async (...asked) => {
    const entered = await node.enter(...asked);
    await door.gate;
    return entered;
  };
  const presence = new Proxy(node, {
    get: (_, name: keyof Presence) => (name === 'enter' ? enter : node[name]),
  });
  const hub = new Hub({ log: node, presence }, settings, clock, (error) => assert.fail(String(error)));
  const come = async (id: string): Promise<FakeSocket> => {
    const identity: Identity = {
      id: id as UserId,
      name: null,
      role: 'viewer',
      tags: [],
      expiresAtMs: Number.POSITIVE_INFINITY,
    };
    const admission = await hub.admit({ room, identity, from: null, history: 0 });
    assert.ok(admission.outcome === 'admitted', admission.outcome);
    const socket = new FakeSocket();
    hub.open(admission, socket.asSocket, 'identity', Buffer.alloc(0));
    return socket;
  };
  const write = (change: Change) =>
    node.append({ room, by, role: 'host', once: null, rate: null, mutable: false, change });
  return { clock, store, door, hub, come, write };
}

test('a viewer that was let in before the end and opened after it gets its end', async () => {
  const { clock, door, hub, come, write } = open();
  const early = await come('ann');
  await clock.advanceGently(100);
  let release = (): void => undefined;
  door.gate = new Promise((resolve) => {
    release = resolve;
  });
  const coming = come('bob');
  await clock.advanceGently(100);
  await write(comment);
  await write(end);
  await clock.advanceGently(1000);
  assert.match(early.take().toString(), /event: comment[\s\S]*event: end\ndata: {"cause":"ended"/);
  release();
  const late = await coming;
  await clock.advanceGently(1000);
  assert.match(late.take().toString(), /event: end\ndata: {"cause":"ended","comeBack":"no"}\n\n$/);
  await hub.close();
});

test('a viewer whose gap has swallowed the end gets the gap and its end', async () => {
  const { clock, store, hub, come, write } = open();
  const viewer = await come('ann');
  await write(comment);
  await clock.advanceGently(100);
  store.cut('node');
  store.fail('outcome-unknown');
  await write(comment).catch(() => undefined);
  await write(end).catch(() => undefined);
  await clock.advanceGently(61_000, 1000);
  store.fail(null);
  store.heal('node');
  await clock.advanceGently(10_000, 100);
  assert.match(
    viewer.take().toString(),
    /"cause":"trimmed"}[\s\S]*event: end\ndata: {"cause":"ended","comeBack":"no"}\n\n$/,
  );
  await hub.close();
});
