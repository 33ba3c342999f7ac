import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../../src/clock.ts';
import { LoopDelay } from '../../../src/ops/loop-delay.ts';
import { FakeClock } from '../../rig/fake-clock.ts';
import { waitFor } from '../../rig/wait-for.ts';

test('the longest time that the event loop was kept from its turn is told once', async () => {
  const delay = new LoopDelay(systemClock);
  try {
    const until = performance.now() + 150;
    while (performance.now() < until);
    const looks: number[] = [];
    const isSeen = (): boolean => looks.push(delay.look()) > 0 && Math.max(...looks) >= 100;
    await waitFor(isSeen, { what: 'the delay to be seen' });
    assert.ok(delay.look() < 100, 'it is told once');
    const { values } = await delay.seconds.get();
    const upTo = (bound: number | string): number => values.find(({ labels }) => labels.le === bound)?.value ?? 0;
    assert.equal(upTo('+Inf') - upTo(0.1), 1);
  } finally {
    delay.close();
  }
});

test('a watch that was closed leaves no timer', () => {
  const clock = new FakeClock();
  const delay = new LoopDelay(clock);
  clock.advance(100);
  assert.equal(clock.timers, 1);
  delay.close();
  assert.equal(clock.timers, 0);
});
