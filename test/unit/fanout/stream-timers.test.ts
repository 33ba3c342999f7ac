import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StreamTimers } from '../../../src/fanout/stream-timers.ts';
import type { UserId } from '../../../src/model.ts';
import { Piece } from '../../../src/stream/piece.ts';
import { Viewer } from '../../../src/stream/viewer.ts';
import { FakeClock } from '../../rig/fake-clock.ts';
import { FakeSocket } from '../../rig/fake-socket.ts';
import { surroundingsOf } from '../../rig/stream-context.ts';

const startMs = 1_700_000_000_000;

function build() {
  const clock = new FakeClock({ startMs });
  const streamTimers = new StreamTimers(clock, { heartbeatMs: 5_000, viewerStuckMs: 3_000 });
  const endings: string[] = [];
  const add = (name: string, expiresAtMs = Number.POSITIVE_INFINITY) => {
    const socket = new FakeSocket();
    const listener = {
      onDrained: () => undefined,
      onGone: (viewer: Viewer, cause: string) => {
        streamTimers.remove(viewer);
        endings.push(`${name} ${cause} ${clock.now() - startMs}`);
      },
    };
    const identity = { id: name as UserId, name: null, role: 'viewer' as const, tags: [], expiresAtMs };
    const viewer = new Viewer(identity, surroundingsOf(clock), listener);
    viewer.open(socket.asSocket, 'identity');
    streamTimers.add(viewer);
    return { socket, viewer };
  };
  return { clock, streamTimers, endings, add };
}

test('a quiet stream gets a heartbeat, and a busy one none', () => {
  const { clock, add } = build();
  const [quiet, busy] = [add('ann'), add('bob')];
  for (let second = 0; second < 10; second += 1) {
    clock.advance(1_000);
    busy.viewer.send(Piece.private('.'));
  }
  assert.equal(`${quiet.socket.take()}`, ':\n\n:\n\n');
  assert.equal(`${busy.socket.take()}`, '..........');
});

test('a viewer that reads nothing for too long is ended as stuck', () => {
  const { clock, add, endings } = build();
  const { socket, viewer } = add('ann');
  socket.stall();
  viewer.send(Piece.private('.'));
  clock.advance(2_999);
  assert.deepEqual(endings, []);
  clock.advance(1);
  assert.deepEqual(endings, ['ann stuck 3000']);
});

test('a stream ends in the second in which its token does, and not before', () => {
  const { clock, add, endings } = build();
  add('ann', startMs + 2_000);
  add('bob', startMs + 2_000);
  add('cat', startMs + 4_000);
  clock.advance(1_999);
  assert.deepEqual(endings, []);
  clock.advance(1);
  assert.deepEqual(endings, ['ann expired 2000', 'bob expired 2000']);
  clock.advance(10_000);
  assert.equal(endings.at(-1), 'cat expired 4000');
});

test('a stream ends to the millisecond where its token names a fraction of a second', () => {
  const { clock, streamTimers, add, endings } = build();
  add('ann', startMs + 2_050);
  add('bob', startMs + 2_050);
  add('cat', startMs + 950);
  clock.advance(949);
  assert.deepEqual(endings, []);
  clock.advance(1);
  assert.deepEqual(endings, ['cat expired 950']);
  clock.advance(1_099);
  // Comes in the second in which it ends, and one that leaves takes its timer along.
  const { viewer } = add('dan', startMs + 2_700);
  const { viewer: gone } = add('eve', startMs + 2_800);
  const timers = clock.timers;
  streamTimers.remove(gone);
  assert.equal(clock.timers, timers - 1);
  streamTimers.prolong(viewer, startMs + 2_750);
  clock.advance(1);
  assert.deepEqual(endings.slice(1), ['ann expired 2050', 'bob expired 2050']);
  clock.advance(700);
  assert.equal(endings.at(-1), 'dan expired 2750');
  add('fay', clock.now() + 10);
  streamTimers.close();
  clock.advance(10_000);
  assert.equal(endings.at(-1), 'dan expired 2750', 'a closed one ends nobody');
});

test('turns fall on full seconds also where the wheel began between two', () => {
  const clock = new FakeClock({ startMs: startMs + 637 });
  const streamTimers = new StreamTimers(clock, { heartbeatMs: 5_000, viewerStuckMs: 3_000 });
  const identity = { id: null, name: null, role: 'viewer' as const, tags: [], expiresAtMs: startMs + 1_000 };
  const listener = { onDrained: () => undefined, onGone: () => undefined };
  const viewer = new Viewer(identity, surroundingsOf(clock), listener);
  viewer.open(new FakeSocket().asSocket, 'identity');
  streamTimers.add(viewer);
  clock.advance(363);
  assert.equal(viewer.isGone, true);
});

test('a newer token prolongs a stream, and an older one does not cut it short', () => {
  const { clock, streamTimers, add, endings } = build();
  const { viewer } = add('ann', startMs + 2_000);
  streamTimers.prolong(viewer, startMs + 6_000);
  streamTimers.prolong(viewer, startMs + 1_000);
  clock.advance(5_999);
  assert.deepEqual(endings, []);
  clock.advance(1);
  assert.deepEqual(endings, ['ann expired 6000']);
});

test('a viewer that was taken off is left alone', () => {
  const { clock, streamTimers, add, endings } = build();
  const { viewer, socket } = add('ann', startMs + 2_000);
  streamTimers.remove(viewer);
  clock.advance(20_000);
  assert.deepEqual(endings, []);
  assert.equal(socket.take().length, 0);
  assert.equal(streamTimers.size, 0);
});

test('a wheel without viewers, or closed, waits for nothing', () => {
  const { clock, streamTimers, add } = build();
  assert.equal(clock.timers, 0);
  const { viewer } = add('ann');
  assert.equal(clock.timers, 1);
  streamTimers.remove(viewer);
  clock.advance(1_000);
  assert.equal(clock.timers, 0);
  add('bob');
  streamTimers.close();
  assert.equal(clock.timers, 0);
});
