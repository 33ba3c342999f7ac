import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Identity, UserId } from '../../../src/model.ts';
import { Piece } from '../../../src/stream/piece.ts';
import { lastBytesMs, Viewer } from '../../../src/stream/viewer.ts';
import { FakeClock } from '../../rig/fake-clock.ts';
import { FakeSocket } from '../../rig/fake-socket.ts';
import { surroundingsOf } from '../../rig/stream-context.ts';

const identity: Identity = { id: 'ann' as UserId, name: null, role: 'viewer', tags: [], expiresAtMs: Infinity };
const piece = (text: string): Piece => Piece.private(text);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function reserve() {
  const clock = new FakeClock();
  const socket = new FakeSocket();
  const told: string[] = [];
  const viewer = new Viewer(identity, surroundingsOf(clock), {
    onDrained: () => told.push('drained'),
    onGone: (_viewer, cause) => told.push(`gone: ${cause}`),
  });
  return { clock, socket, told, viewer };
}

function open() {
  const reserved = reserve();
  reserved.viewer.open(reserved.socket.asSocket, 'identity');
  return reserved;
}

test('a viewer that is ended before it has a socket says the first ending once it has one, and nothing else', () => {
  const { socket, viewer, told, clock } = reserve();
  viewer.send(piece('early'));
  viewer.end('moved', { retryMs: 70 });
  viewer.end('banned', { reason: 'spam' });
  clock.advance(60_000);
  viewer.beat();
  assert.deepEqual([told, viewer.isOpen, viewer.isGone], [[], false, false]);
  viewer.open(socket.asSocket, 'identity', Buffer.from('head '));
  viewer.send(piece('late'));
  assert.equal(`${socket.take()}`, 'head retry: 70\n\nevent: move\ndata: {"retryMs":70}\n\n');
  assert.deepEqual([told, viewer.isOpen, viewer.isGone], [['gone: moved'], true, true]);
});

test('a flowing viewer gets what it is sent at once and in order', () => {
  const { socket, viewer, clock } = open();
  clock.advance(5);
  viewer.send(piece('one '));
  viewer.send(piece('two'));
  assert.equal(`${socket.take()}`, 'one two');
  assert.equal(viewer.isWaiting, false);
  assert.equal(viewer.lastWriteMs, clock.now());
});

test('a viewer whose bytes are not taken is waiting, from the moment that they were not', () => {
  const { socket, viewer, clock } = open();
  socket.stall();
  viewer.send(piece('one'));
  const sinceMs = clock.now();
  clock.advance(50);
  assert.equal(viewer.isWaiting, true);
  assert.equal(viewer.waitingSinceMs, sinceMs);
});

test('a waiting viewer is sent no heartbeat', () => {
  const { socket, viewer } = open();
  viewer.beat();
  assert.equal(`${socket.take()}`, ':\n\n');
  socket.stall();
  viewer.send(piece('one'));
  const waiting = socket.writableLength;
  viewer.beat();
  assert.equal(socket.writableLength, waiting);
});

test('when the bytes have gone its keeper is told once, and it flows again', async () => {
  const { socket, viewer, told } = open();
  socket.stall();
  viewer.send(piece('one'));
  viewer.send(piece('two'));
  await turn();
  assert.deepEqual(told, []);
  socket.drain();
  await turn();
  await turn();
  assert.deepEqual(told, ['drained']);
  assert.equal(viewer.isWaiting, false);
  assert.equal(`${socket.take()}`, 'onetwo');
});

test('an ended viewer gets a last frame that says why and whether to come back, and nothing after it', async () => {
  const { socket, viewer, told, clock } = open();
  viewer.end('expired');
  viewer.send(piece('late'));
  viewer.beat();
  viewer.end('banned');
  await turn();
  assert.equal(`${socket.take()}`, 'event: end\ndata: {"cause":"expired","comeBack":"with-new-token"}\n\n');
  assert.deepEqual(told, ['gone: expired']);
  assert.equal(viewer.isGone, true);
  assert.equal(clock.timers, 0, 'the socket closed, so nothing waits for it');
});

test('a viewer that is stuck is closed without a word, and its bytes are let go', async () => {
  const { socket, viewer, told } = open();
  socket.stall();
  viewer.send(piece('one'));
  viewer.end('stuck');
  assert.equal(socket.destroyed, true);
  assert.equal(socket.writableLength, 0);
  await turn();
  assert.deepEqual(told, ['gone: stuck']);
});

test('a viewer that leaves by itself is gone, and its keeper is told once', async () => {
  const { socket, viewer, told } = open();
  socket.destroy();
  await turn();
  viewer.end('closing');
  viewer.send(piece('late'));
  assert.deepEqual(told, ['gone: left']);
  assert.equal(socket.take().length, 0);
});

test('a viewer that was ended while it waited is not told of draining', async () => {
  const { socket, viewer, told } = open();
  socket.stall();
  viewer.send(piece('one'));
  socket.drain();
  viewer.end('closing');
  await turn();
  assert.deepEqual(told, ['gone: closing']);
});

test('a reader that leaves its last bytes lying is closed after a while', () => {
  const { viewer, socket, clock } = open();
  // A socket whose end is not taken stays open until somebody closes it.
  socket.end = () => undefined;
  viewer.end('closing');
  clock.advance(lastBytesMs - 1);
  assert.equal(socket.destroyed, false);
  clock.advance(1);
  assert.equal(socket.destroyed, true);
});

test('what a stream opens with goes out in one write with its first bytes, and once', () => {
  const socket = new FakeSocket();
  const writes: string[] = [];
  const write = socket.write.bind(socket);
  socket.write = (bytes, done) => {
    writes.push(`${bytes}`);
    return write(bytes, done);
  };
  const listener = { onDrained: () => undefined, onGone: () => undefined };
  const viewer = new Viewer(identity, surroundingsOf(new FakeClock()), listener);
  viewer.open(socket.asSocket, 'identity', Buffer.from('head '));
  viewer.send(piece('one'));
  viewer.send(piece('two'));
  assert.deepEqual(writes, ['head one', 'two']);
});

test('a viewer for which the kernel holds as much as it may is given nothing until half of that has gone', () => {
  const clock = new FakeClock();
  const socket = new FakeSocket();
  let asked = 0;
  const sendQueueProbe = {
    ask: () => {
      asked += 1;
      return true;
    },
    forget: () => undefined,
  };
  let drained = 0;
  const listener = {
    onDrained: () => {
      drained += 1;
    },
    onGone: () => undefined,
  };
  const streamContext = surroundingsOf(clock, { sendQueueProbe, viewerBytesMax: 1_000 });
  const viewer = new Viewer(identity, streamContext, listener);
  viewer.open(socket.asSocket, 'identity');
  const give = (bytes: number): void => viewer.send(Piece.private(Buffer.alloc(bytes)));

  give(400);
  assert.equal(asked, 0, 'while it is little, nobody asks');
  give(200);
  assert.deepEqual([asked, viewer.isWaiting], [1, false]);
  give(100);
  assert.deepEqual([asked, viewer.isWaiting], [1, false], 'one question at a time');
  viewer.sounded(0);
  assert.equal(viewer.isWaiting, false);
  give(650);
  assert.deepEqual([asked, viewer.isWaiting], [2, false], '100 bytes since the first question, and 650');
  give(100);
  assert.equal(viewer.isWaiting, true);
  clock.advance(5_000);
  const sinceMs = viewer.waitingSinceMs;
  viewer.sounded(750);
  assert.deepEqual([viewer.isWaiting, viewer.waitingSinceMs, drained], [true, sinceMs, 0], 'nothing was read');
  viewer.sounded(600);
  assert.deepEqual([viewer.isWaiting, viewer.waitingSinceMs, drained], [true, clock.now(), 0], 'some was read');
  viewer.sounded(100);
  assert.deepEqual([viewer.isWaiting, drained], [false, 1]);
});
