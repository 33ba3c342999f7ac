import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { classOf } from '../../../src/hub/audience.ts';
import { Flush } from '../../../src/hub/flush.ts';
import { Meter } from '../../../src/hub/meter.ts';
import { Stand } from '../../../src/hub/stand.ts';
import { Tape } from '../../../src/hub/tape.ts';
import type { Position } from '../../../src/log/position.ts';
import type { Epoch, Identity, Lane, UserId } from '../../../src/signal.ts';
import { gzipHead } from '../../../src/stream/deflate.ts';
import { eventFrame } from '../../../src/stream/frame.ts';
import type { Encoding } from '../../../src/stream/piece.ts';
import { Viewer } from '../../../src/stream/viewer.ts';
import { parseEventStream } from '../../helpers/clients.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { FakeSocket } from '../../helpers/fake-socket.ts';
import { surroundingsOf } from '../../helpers/surroundings.ts';

const at = (offset: number): Position => ({ epoch: 'e' as Epoch, offset });
const tapeBytesMax = 65_536;

/** A stand with its meter, and viewers on sockets that the test holds. */
function open() {
  const meter = new Meter();
  const surroundings = surroundingsOf(new FakeClock(), { tally: meter.tally });
  const tape = new Tape(at(0), tapeBytesMax, 16_384, meter);
  const stand = new Stand(classOf({ id: null, role: 'viewer', tags: [] }), tape, () => '{"total":0}', meter);
  let offset = 0;
  return {
    meter,
    tape,
    stand,
    sit(name: string, encoding: Encoding = 'identity') {
      const identity: Identity = {
        ...{ id: name as UserId, name: null, role: 'viewer', tags: [], expiresAtMs: Number.POSITIVE_INFINITY },
      };
      const socket = new FakeSocket();
      const keeper = { onDrained: (viewer: Viewer) => stand.feed(viewer), onGone: () => undefined };
      const viewer = new Viewer(socket.asSocket, encoding, identity, surroundings, keeper);
      stand.seat(viewer);
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
      for (const _ of stand.sweep());
    },
  };
}
const readBy = (socket: FakeSocket, event: string): number =>
  parseEventStream(socket.take()).filter((one) => one.event === event).length;

describe('the meter', () => {
  it('counts entries, writes and spans as they are handed out, and no word of the hub itself', () => {
    const { meter, tape, stand, sit, say } = open();
    const [ann, bob] = [sit('ann'), sit('bob')];
    say(3);
    say(2, 'must', new Set(['bob' as UserId]));
    tape.say(Buffer.from('event: likes\ndata: {}\n\n'));
    for (const _ of stand.sweep());
    const received = [ann, bob].map(({ socket }) => readBy(socket, 'said'));
    assert.deepEqual(received, [3, 5]);
    assert.equal(meter.tally.deliveries, 8);
    assert.equal(meter.spans, 3);
    assert.equal(meter.tally.writes, 5, 'nothing of the second sweep is for ann');
  });

  it('counts the bytes as they go out, and what gzip spared, to the byte', () => {
    const { meter, sit, say } = open();
    const plain = sit('ann').socket;
    const zipped = [sit('bob', 'gzip').socket, sit('cleo', 'gzip').socket];
    say(4);
    const [plainBytes, ...zippedBytes] = [plain, ...zipped].map((socket) => socket.take().length);
    assert.ok(plainBytes !== undefined && zippedBytes.every((bytes) => bytes < plainBytes / 4));
    const sum = zippedBytes.reduce((all, bytes) => all + bytes, 0);
    assert.equal(meter.tally.bytes, plainBytes + sum);
    // What compression cannot spare is the head of a gzip stream.
    assert.equal(meter.tally.savedBytes, 2 * plainBytes - (sum - 2 * gzipHead.length));
  });

  it('counts each gap that a slow viewer is told, be it for chat that was left out or for all that left the tape', async () => {
    const { meter, sit, say } = open();
    const reader = sit('quick');
    const lean = sit('lean').socket;
    const lost = sit('lost').socket;
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
    assert.equal(meter.gaps.slow, leanGaps);
    for (let n = 0; n < 20; n += 1) say(20);
    lost.drain();
    await new Promise((resolve) => setImmediate(resolve));
    say(1);
    assert.equal(readBy(lost, 'gap'), 1);
    assert.equal(meter.gaps.slow, leanGaps + 1);
    const all = readBy(reader.socket, 'said');
    assert.ok(meter.tally.deliveries > all && meter.tally.deliveries < all * 3);
  });

  it('knows how many viewers bytes wait for, also when they go meanwhile', async () => {
    const { meter, sit, say } = open();
    const [ann, bob] = [sit('ann'), sit('bob')];
    ann.socket.stall();
    bob.socket.stall();
    say(1);
    assert.equal(meter.tally.waiting, 2);
    ann.socket.drain();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(meter.tally.waiting, 1);
    bob.socket.emit('close');
    assert.equal(meter.tally.waiting, 0);
    bob.socket.drain();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(meter.tally.waiting, 0);
  });

  it("takes the last viewer's delay, and none where the log's clock is ahead", () => {
    const meter = new Meter();
    meter.swept({ workMs: 2, publishedMs: 1_000 }, 1_030);
    meter.swept({ workMs: 2, publishedMs: 1_000 }, 900);
    meter.swept({ workMs: 2, publishedMs: null }, 5_000);
    assert.equal(meter.publishToWrite.sum, 0.03);
    assert.equal(
      meter.publishToWrite.counts.reduce((sum, count) => sum + count, 0),
      2,
    );
    assert.ok(Math.abs(meter.flush.sum - 0.006) < 1e-9);
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
