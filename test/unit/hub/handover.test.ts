import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Handover } from '../../../src/hub/handover.ts';
import type { Identity, UserId } from '../../../src/model.ts';
import { Viewer } from '../../../src/stream/viewer.ts';
import { FakeClock } from '../../rig/fake-clock.ts';
import { FakeSocket } from '../../rig/fake-socket.ts';
import { surroundingsOf } from '../../rig/stream-context.ts';

function build(count: number) {
  const clock = new FakeClock();
  const startMs = clock.now();
  /** When each viewer was told, and when it comes back. */
  const told: { name: string; atMs: number; backAtMs: number }[] = [];
  const viewers = Array.from({ length: count }, (_, n) => {
    const name = `v${n}`;
    const socket = new FakeSocket();
    const identity: Identity = { id: name as UserId, name: null, role: 'viewer', tags: [], expiresAtMs: Infinity };
    const onGone = (): void => {
      const text = `${socket.take()}`;
      const retryMs = Number(/^retry: (\d+)\n\nevent: move\ndata: \{"retryMs":\1\}\n\n$/.exec(text)?.[1]);
      const atMs = clock.now() - startMs;
      told.push({ name, atMs, backAtMs: atMs + retryMs });
    };
    const viewer = new Viewer(identity, surroundingsOf(clock), { onDrained: () => undefined, onGone });
    viewer.open(socket.asSocket, 'identity');
    return viewer;
  });
  return { clock, handover: new Handover(clock), viewers, told };
}

test('viewers are told in the time that was asked for, and come back evenly over it', async () => {
  const { clock, handover, viewers, told } = build(1_000);
  const done = handover.begin(viewers, 5_000);
  await clock.advanceGently(5_000, 100);
  await done;
  assert.equal(new Set(told.map(({ name }) => name)).size, 1_000);
  assert.ok(told.every(({ atMs, backAtMs }) => backAtMs > atMs));
  const back = told.map(({ backAtMs }) => backAtMs).sort((a, b) => a - b);
  back.forEach((atMs, n) => {
    const inASecond = back.filter((other) => other >= atMs && other < atMs + 1_000).length;
    assert.ok(inASecond <= 201, `${inASecond} come back in the second after ${atMs}`);
    assert.ok(Math.abs(atMs - n * 5) <= 60, 'evenly');
  });
});

test('a process that stood still does not send those who are overdue all at once', async () => {
  const { clock, handover, viewers, told } = build(1_000);
  const done = handover.begin(viewers, 2_000);
  await clock.advanceGently(500, 100);
  clock.stall(350);
  await clock.advanceGently(2_000, 100);
  await done;
  assert.equal(told.length, 1_000);
  for (const { backAtMs } of told) {
    const inASecond = told.filter((other) => other.backAtMs >= backAtMs && other.backAtMs < backAtMs + 1_000).length;
    assert.ok(inASecond <= 501, `${inASecond} come back in the second after ${backAtMs}`);
  }
});

test('whose turn comes first is left to chance', async () => {
  const { clock, handover, viewers, told } = build(100);
  const done = handover.begin(viewers, 1_000);
  await clock.advanceGently(1_000, 100);
  await done;
  assert.notDeepEqual(
    told.map(({ name }) => name),
    viewers.map(({ identity }) => identity.id),
  );
});

test('at once means at once, in slices', async () => {
  const { handover, viewers, told } = build(1_500);
  const done = handover.begin(viewers, 0);
  assert.equal(told.length, 512);
  await done;
  assert.equal(told.length, 1_500);
  assert.ok(told.every(({ atMs }) => atMs === 0));
});

test('closing ends an order that is under way, and nobody else is told', async () => {
  const { clock, handover, viewers, told } = build(100);
  const done = handover.begin(viewers, 10_000);
  await clock.advanceGently(1_000, 100);
  handover.close();
  await done;
  const before = told.length;
  assert.ok(before > 0 && before < 100);
  await clock.advanceGently(10_000, 1_000);
  assert.equal(told.length, before);
});

test('nobody to hand over is done at once', async () => {
  const { handover } = build(0);
  await handover.begin([], 60_000);
});
