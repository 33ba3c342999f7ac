import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { classOf } from '../../../src/fanout/audience.ts';
import { Flush } from '../../../src/fanout/flush.ts';
import { HubCounters } from '../../../src/fanout/hub-counters.ts';
import { Tape } from '../../../src/fanout/tape.ts';
import { ViewerSet } from '../../../src/fanout/viewer-set.ts';
import type { Position } from '../../../src/log/position.ts';
import type { Epoch, Identity, Lane, UserId } from '../../../src/model.ts';
import { gzipHead } from '../../../src/stream/deflate.ts';
import { eventFrame } from '../../../src/stream/frame.ts';
import type { Encoding } from '../../../src/stream/piece.ts';
import { Viewer } from '../../../src/stream/viewer.ts';
import { parseEventStream } from '../../rig/clients.ts';
import { FakeClock } from '../../rig/fake-clock.ts';
import { FakeSocket } from '../../rig/fake-socket.ts';
import { totalsOf } from '../../rig/histogram-totals.ts';
import { surroundingsOf } from '../../rig/stream-context.ts';

const at = (offset: number): Position => ({ epoch: 'e' as Epoch, offset });
const tapeBytesMax = 65_536;

/** A stand with its meter, and viewers on sockets that the test holds. */
function open() {
  const hubCounters = new HubCounters();
  const streamContext = surroundingsOf(new FakeClock(), { streamCounters: hubCounters.streamCounters });
  const tape = new Tape(at(0), tapeBytesMax, 16_384, hubCounters);
  const viewerSet = new ViewerSet(
    classOf({ id: null, role: 'viewer', tags: [] }),
    tape,
    () => '{"total":0}',
    hubCounters,
  );
  let offset = 0;
  return {
    hubCounters,
    tape,
    viewerSet,
    attach(name: string, encoding: Encoding = 'identity') {
      const identity: Identity = {
        id: name as UserId,
        name: null,
        role: 'viewer',
        tags: [],
        expiresAtMs: Number.POSITIVE_INFINITY,
      };
      const socket = new FakeSocket();
      const listener = { onDrained: (viewer: Viewer) => viewerSet.feed(viewer), onGone: () => undefined };
      const viewer = new Viewer(identity, streamContext, listener);
      viewer.open(socket.asSocket, encoding);
      viewerSet.attach(viewer);
      return { socket, viewer };
    },
    say(count: number, lane: Lane = 'must', targets: ReadonlySet<UserId> | null = null) {
      for (let left = count; left > 0; left -= 1) {
        offset += 1;
        const text = eventFrame({ event: 'said', id: `e.${offset}`, data: 'x'.repeat(1_000) });
        tape.add({
          epoch: at(offset).epoch,
          position: at(offset),
          lane,
          isState: false,
          targets,
          weight: 1,
          bytes: Buffer.from(text),
        });
      }
      for (const _ of viewerSet.sweep());
    },
  };
}
const readBy = (socket: FakeSocket, event: string): number =>
  parseEventStream(socket.take()).filter((one) => one.event === event).length;

describe('the meter', () => {
  it('counts entries, writes and spans as they are handed out, and no word of the hub itself', () => {
    const { hubCounters, tape, viewerSet, attach, say } = open();
    const [ann, bob] = [attach('ann'), attach('bob')];
    say(3);
    say(2, 'must', new Set(['bob' as UserId]));
    tape.addControl(Buffer.from('event: likes\ndata: {}\n\n'));
    for (const _ of viewerSet.sweep());
    const received = [ann, bob].map(({ socket }) => readBy(socket, 'said'));
    assert.deepEqual(received, [3, 5]);
    assert.equal(hubCounters.streamCounters.deliveries, 8);
    assert.equal(hubCounters.spans, 3);
    assert.equal(hubCounters.streamCounters.writes, 5, 'nothing of the second sweep is for ann');
  });

  it('counts the bytes as they go out, and what gzip spared, to the byte', () => {
    const { hubCounters, attach, say } = open();
    const plain = attach('ann').socket;
    const zipped = [attach('bob', 'gzip').socket, attach('cleo', 'gzip').socket];
    say(4);
    const [plainBytes, ...zippedBytes] = [plain, ...zipped].map((socket) => socket.take().length);
    assert.ok(plainBytes !== undefined && zippedBytes.every((bytes) => bytes < plainBytes / 4));
    const sum = zippedBytes.reduce((all, bytes) => all + bytes, 0);
    assert.equal(hubCounters.streamCounters.bytes, plainBytes + sum);
    // What compression cannot spare is the head of a gzip stream.
    assert.equal(hubCounters.streamCounters.savedBytes, 2 * plainBytes - (sum - 2 * gzipHead.length));
  });

  it('counts each gap that a slow viewer is told, be it for chat that was left out or for all that left the tape', async () => {
    const { hubCounters, attach, say } = open();
    const reader = attach('quick');
    const lean = attach('lean').socket;
    const lost = attach('lost').socket;
    lean.stall();
    lost.stall();
    say(1);
    // More than half of the tape: chat in three runs, with something between them that nobody does without.
    for (const lane of ['chat', 'must', 'chat', 'must', 'chat'] as const) say(9, lane);
    lean.drain();
    await new Promise((resolve) => setImmediate(resolve));
    say(1);
    const leanGaps = readBy(lean, 'gap');
    assert.ok(leanGaps >= 1, 'chat was left out');
    assert.equal(hubCounters.gaps.slow, leanGaps);
    for (let n = 0; n < 20; n += 1) say(20);
    lost.drain();
    await new Promise((resolve) => setImmediate(resolve));
    say(1);
    assert.equal(readBy(lost, 'gap'), 1);
    assert.equal(hubCounters.gaps.slow, leanGaps + 1);
    const all = readBy(reader.socket, 'said');
    assert.ok(hubCounters.streamCounters.deliveries > all && hubCounters.streamCounters.deliveries < all * 3);
  });

  it('knows how many viewers bytes wait for, also when they go meanwhile', async () => {
    const { hubCounters, attach, say } = open();
    const [ann, bob] = [attach('ann'), attach('bob')];
    ann.socket.stall();
    bob.socket.stall();
    say(1);
    assert.equal(hubCounters.streamCounters.waiting, 2);
    ann.socket.drain();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(hubCounters.streamCounters.waiting, 1);
    bob.socket.emit('close');
    assert.equal(hubCounters.streamCounters.waiting, 0);
    bob.socket.drain();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(hubCounters.streamCounters.waiting, 0);
  });

  it("takes the last viewer's delay, and none where the log's clock is ahead", async () => {
    const hubCounters = new HubCounters();
    hubCounters.swept({ workMs: 2, publishedMs: 1_000 }, 1_030);
    hubCounters.swept({ workMs: 2, publishedMs: 1_000 }, 900);
    hubCounters.swept({ workMs: 2, publishedMs: null }, 5_000);
    const [delay, work] = [await totalsOf(hubCounters.publishToWrite), await totalsOf(hubCounters.flush)];
    assert.deepEqual(delay, { sum: 0.03, count: 2 });
    assert.ok(work.count === 3 && Math.abs(work.sum - 0.006) < 1e-9);
  });

  it('is told by each sweep when the oldest of its entries was published', async () => {
    const clock = new FakeClock({ soon: 'by-hand' });
    const told: (number | null)[] = [];
    const flush = new Flush(
      clock,
      20,
      function* sweep() {
        yield;
      },
      ({ publishedMs }) => void told.push(publishedMs),
    );
    flush.request(100);
    flush.request(200);
    clock.runSoon();
    flush.request();
    clock.advance(100);
    clock.runSoon();
    flush.request(300);
    clock.advance(100);
    clock.runSoon();
    assert.deepEqual(told, [100, null, 300]);
    flush.close();
  });
});
