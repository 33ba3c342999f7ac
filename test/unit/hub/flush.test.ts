import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Flush, gatherMsMax } from '../../../src/hub/flush.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Flushes end at once, unless `hold` was called: then when its result is. */
function build(gatherMs = 20) {
  const clock = new FakeClock({ soon: 'by-hand' });
  const startMs = clock.now();
  const begun: number[] = [];
  let held: Promise<void> | null = null;
  const flush = new Flush(clock, gatherMs, async () => {
    begun.push(clock.now() - startMs);
    await held;
  });
  const hold = (): (() => void) => {
    let release = (): void => undefined;
    held = new Promise((resolve) => {
      release = () => {
        held = null;
        resolve();
      };
    });
    return () => release();
  };
  return { clock, flush, begun, hold };
}

test('the first entry after a quiet time goes out at once', async () => {
  const { clock, flush, begun } = build();
  flush.request();
  clock.runSoon();
  assert.deepEqual(begun, [0]);
  await turn();
  clock.advance(500);
  flush.request();
  clock.runSoon();
  assert.deepEqual(begun, [0, 500]);
});

test('while traffic lasts, entries are gathered for the gathering time', async () => {
  const { clock, flush, begun } = build();
  flush.request();
  clock.runSoon();
  await turn();
  for (let ms = 0; ms < 100; ms += 5) {
    flush.request();
    clock.advance(5);
    await turn();
  }
  assert.deepEqual(begun, [0, 20, 40, 60, 80, 100]);
});

test('many requests before a flush make one flush', () => {
  const { clock, flush, begun } = build();
  for (let count = 0; count < 5; count += 1) flush.request();
  clock.runSoon();
  assert.deepEqual(begun, [0]);
});

test('a flush begins only after the one before it has ended', async () => {
  const { clock, flush, begun, hold } = build();
  const release = hold();
  flush.request();
  clock.runSoon();
  flush.request();
  await clock.advanceGently(100, 10);
  clock.runSoon();
  assert.deepEqual(begun, [0], 'two flushes ran at once');
  release();
  await turn();
  clock.advance(gatherMsMax);
  assert.equal(begun.length, 2);
});

test('what is asked for while a flush runs is not forgotten', async () => {
  const { clock, flush, begun, hold } = build();
  const release = hold();
  flush.request();
  clock.runSoon();
  flush.request();
  release();
  await turn();
  clock.advance(20);
  assert.deepEqual(begun, [0, 20]);
});

test('a room whose flushes take long gathers for longer, up to a bound', async () => {
  const { clock, flush, begun, hold } = build();
  const release = hold();
  flush.request();
  clock.runSoon();
  clock.advance(1_000);
  release();
  await turn();
  flush.request();
  clock.advance(gatherMsMax - 1);
  assert.deepEqual(begun, [0]);
  clock.advance(1);
  assert.deepEqual(begun, [0, 1_000 + gatherMsMax]);
});

test('nothing is flushed after closing, and no timer is left', async () => {
  const { clock, flush, begun } = build();
  flush.request();
  clock.runSoon();
  await turn();
  flush.request();
  flush.close();
  flush.request();
  clock.advance(1_000);
  clock.runSoon();
  assert.deepEqual(begun, [0]);
  assert.equal(clock.timers, 0);
});

test('a flush that was closed while it ran asks for no other', async () => {
  const { clock, flush, begun, hold } = build();
  const release = hold();
  flush.request();
  clock.runSoon();
  flush.request();
  flush.close();
  release();
  await turn();
  clock.advance(1_000);
  clock.runSoon();
  assert.deepEqual(begun, [0]);
});
