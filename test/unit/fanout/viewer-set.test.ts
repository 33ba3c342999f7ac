import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { classOf } from '../../../src/fanout/audience.ts';
import { Tape } from '../../../src/fanout/tape.ts';
import { ViewerSet } from '../../../src/fanout/viewer-set.ts';
import type { Position } from '../../../src/log/position.ts';
import type { Epoch, Identity, Lane, UserId } from '../../../src/model.ts';
import { Piece } from '../../../src/stream/piece.ts';
import { Viewer } from '../../../src/stream/viewer.ts';
import { FakeClock } from '../../rig/fake-clock.ts';
import { FakeSocket } from '../../rig/fake-socket.ts';
import { surroundingsOf } from '../../rig/stream-context.ts';

const at = (offset: number): Position => ({ epoch: 'e' as Epoch, offset });
const frameBytes = 1000;
const spanBytesMax = 16_384;
const tapeBytesMax = 65_536;

function open() {
  const streamContext = surroundingsOf(new FakeClock());
  const receiver = { id: null, role: 'viewer', tags: [] } as const;
  const tape = new Tape(at(0), tapeBytesMax, spanBytesMax);
  const viewerSet = new ViewerSet(
    classOf(receiver),
    tape,
    () => 'event: state\ndata: {"total":0,"parts":{},"removed":[],"whole":true}\n\n',
  );
  let offset = 0;
  return {
    tape,
    viewerSet,
    attach(name: string) {
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
      viewer.open(socket.asSocket, 'identity');
      viewerSet.attach(viewer);
      return socket;
    },
    say(count: number, lane: Lane = 'must') {
      for (let left = count; left > 0; left -= 1) {
        offset += 1;
        const bytes = Buffer.from(`id: e.${offset}\ndata: ${'x'.repeat(frameBytes)}\n\n`);
        tape.add({
          epoch: at(offset).epoch,
          position: at(offset),
          lane,
          isState: false,
          targets: null,
          weight: 1,
          bytes,
        });
      }
      for (const _ of viewerSet.sweep());
    },
  };
}
const offsetsIn = (bytes: Buffer): number[] =>
  [...bytes.toString().matchAll(/^id: e\.(\d+)$/gm)].map(([, n]) => Number(n));

describe('a viewer that reads nothing', () => {
  it('has at most one span waiting for it, however much is said', () => {
    const { viewerSet, attach, say, tape } = open();
    const stalled = attach('slow');
    const reader = attach('quick');
    stalled.stall();
    for (let flush = 0; flush < 50; flush += 1) {
      say(40);
      assert.ok(stalled.writableLength <= spanBytesMax + 2 * frameBytes, `${stalled.writableLength} bytes wait`);
    }
    assert.equal(viewerSet.size, 2);
    assert.ok(tape.bytes <= tapeBytesMax);
    assert.deepEqual(
      offsetsIn(reader.take()),
      Array.from({ length: 2000 }, (_, n) => n + 1),
    );
  });

  it('is told what it missed when it reads again, and goes on at the end', async () => {
    const { attach, say } = open();
    const stalled = attach('slow');
    stalled.stall();
    for (let flush = 0; flush < 20; flush += 1) say(10);
    stalled.drain();
    await new Promise((resolve) => setImmediate(resolve));
    say(1);
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

describe('a viewer far behind', () => {
  /** What a stream's bytes hold, in order: offsets of events, and gaps as `from-to:missed`. */
  const told = (bytes: Buffer): string[] =>
    [...bytes.toString().matchAll(/^id: e\.(\d+)\n(?:event: gap\ndata: (.*)$|data)/gm)].map(([, id, gap]) => {
      if (gap === undefined) return `${id}`;
      const { from, to, missed, lane, cause } = JSON.parse(gap);
      return `${from}>${to} ${missed} ${lane} ${cause}`;
    });

  it('gets what must be, and is told in its place how much chat was left out, until it has caught up', async () => {
    const { attach, say } = open();
    const slow = attach('slow');
    slow.stall();
    say(1, 'chat');
    say(20, 'chat');
    say(1);
    say(20, 'chat');
    slow.drain();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told(slow.take()), ['1', 'e.1>e.21 20 chat slow', '22', 'e.22>e.42 20 chat slow']);
    say(1, 'chat');
    assert.deepEqual(told(slow.take()), ['43']);
  });

  it('shares what it gets with others who are as far behind', async () => {
    const { attach, say, tape } = open();
    const place = tape.end;
    const [ann, bob] = [attach('ann'), attach('bob')];
    for (const socket of [ann, bob]) socket.stall();
    say(1, 'chat');
    say(20, 'chat');
    say(20, 'chat');
    const lean = tape.next(place, { user: null, withoutChat: true });
    assert.equal(tape.next(place, { user: 'ann' as UserId, withoutChat: true })?.piece, lean?.piece);
    for (const socket of [ann, bob]) socket.drain();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(told(ann.take()), ['1', 'e.1>e.41 40 chat slow']);
    assert.deepEqual(told(bob.take()), ['1', 'e.1>e.41 40 chat slow']);
  });
});

describe('a viewer that keeps up', () => {
  it('gets a burst in full that is longer than half of the tape', () => {
    const { attach, say } = open();
    const reader = attach('quick');
    say(10, 'chat');
    reader.take();
    say(60, 'chat');
    assert.equal(offsetsIn(reader.take()).length, 60);
  });
});

describe('a sweep', () => {
  it('takes along what was said before the turn of a viewer came, and misses nobody', () => {
    const { attach, say, viewerSet, tape } = open();
    const [ann, bob] = [attach('ann'), attach('bob')];
    const bytes = (offset: number): Buffer => Buffer.from(`id: e.${offset}\ndata\n\n`);
    const add = (offset: number): void =>
      tape.add({
        epoch: at(offset).epoch,
        position: at(offset),
        lane: 'must',
        isState: false,
        targets: null,
        weight: 1,
        bytes: bytes(offset),
      });
    add(1);
    const sweep = viewerSet.sweep();
    sweep.next();
    add(2);
    sweep.next();
    assert.deepEqual([offsetsIn(ann.take()), offsetsIn(bob.take())], [[1], [1, 2]]);
    assert.ok(sweep.next().done);
    say(0);
    assert.deepEqual([offsetsIn(ann.take()), offsetsIn(bob.take())], [[2], []]);
  });
});

describe('a shared piece', () => {
  it('is compressed once, for whoever wants it so', () => {
    const piece = Piece.shared('hello');
    assert.equal(piece.bytes('gzip'), piece.bytes('gzip'));
    assert.equal(piece.bytes('identity'), piece.plain);
  });
});
