import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { classOf } from '../../../src/hub/audience.ts';
import { Stand } from '../../../src/hub/stand.ts';
import { Tape } from '../../../src/hub/tape.ts';
import type { Position } from '../../../src/log/position.ts';
import type { Epoch, Identity, UserId } from '../../../src/signal.ts';
import { Piece } from '../../../src/stream/piece.ts';
import { Viewer } from '../../../src/stream/viewer.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';
import { FakeSocket } from '../../helpers/fake-socket.ts';

const at = (offset: number): Position => ({ epoch: 'e' as Epoch, offset });
const frameBytes = 1000;
const spanBytesMax = 16_384;
const tapeBytesMax = 65_536;

function open() {
  const clock = new FakeClock();
  const receiver = { id: null, role: 'viewer', tags: [] } as const;
  const tape = new Tape(at(0), tapeBytesMax, spanBytesMax);
  const stand = new Stand(classOf(receiver), tape, clock, () => '{"total":0,"parts":{},"removed":[],"whole":true}');
  let offset = 0;
  return {
    tape,
    stand,
    sit(name: string) {
      const identity: Identity = {
        ...{ id: name as UserId, name: null, role: 'viewer', tags: [], expiresAtMs: Number.POSITIVE_INFINITY },
      };
      const socket = new FakeSocket();
      const keeper = { onDrained: (viewer: Viewer) => stand.feed(viewer), onGone: () => undefined };
      stand.seat(new Viewer(socket.asSocket, 'identity', identity, clock, keeper));
      return socket;
    },
    async say(count: number) {
      for (let left = count; left > 0; left -= 1) {
        offset += 1;
        const bytes = Buffer.from(`id: e.${offset}\ndata: ${'x'.repeat(frameBytes)}\n\n`);
        tape.add({ offset, lane: 'chat', isState: false, targets: null, bytes }, at(offset));
      }
      await stand.flush();
    },
  };
}
const offsetsIn = (bytes: Buffer): number[] =>
  [...bytes.toString().matchAll(/^id: e\.(\d+)$/gm)].map(([, n]) => Number(n));

describe('a viewer that reads nothing', () => {
  it('has at most one span waiting for it, however much is said', async () => {
    const { stand, sit, say, tape } = open();
    const stalled = sit('slow');
    const reader = sit('quick');
    stalled.stall();
    for (let flush = 0; flush < 50; flush += 1) {
      await say(40);
      assert.ok(stalled.writableLength <= spanBytesMax + 2 * frameBytes, `${stalled.writableLength} bytes wait`);
    }
    assert.equal(stand.size, 2);
    assert.ok(tape.bytes <= tapeBytesMax);
    assert.deepEqual(
      offsetsIn(reader.take()),
      Array.from({ length: 2000 }, (_, n) => n + 1),
    );
  });

  it('is told what it missed when it reads again, and goes on at the end', async () => {
    const { sit, say } = open();
    const stalled = sit('slow');
    stalled.stall();
    for (let flush = 0; flush < 20; flush += 1) await say(10);
    stalled.drain();
    await new Promise((resolve) => setImmediate(resolve));
    await say(1);
    const text = stalled.take().toString();
    const gap = JSON.parse(/event: gap\ndata: (.*)/.exec(text)?.[1] ?? '{}');
    const [before, behind] = text.split('event: gap');
    const last =
      offsetsIn(Buffer.from(before ?? ''))
        .filter((offset) => offset < 200)
        .at(-1) ?? 0;
    assert.equal(gap.from, `e.${last}`);
    assert.equal(gap.to, 'e.200');
    assert.equal(gap.missed, 200 - last);
    assert.equal(gap.cause, 'slow');
    assert.deepEqual(offsetsIn(Buffer.from(behind ?? '')), [201]);
  });
});

describe('a shared piece', () => {
  it('is compressed once, for whoever wants it so', () => {
    const piece = Piece.shared('hello');
    assert.equal(piece.bytes('gzip'), piece.bytes('gzip'));
    assert.equal(piece.bytes('identity'), piece.plain);
  });
});
