import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { HubCounters } from '../../../src/fanout/hub-counters.ts';
import { Figures, type SecondFigures } from '../../../src/ops/figures.ts';
import { LogCalls } from '../../../src/ops/log-calls.ts';
import { LoopDelay } from '../../../src/ops/loop-delay.ts';
import type { Sources } from '../../../src/ops/sources.ts';
import { FakeClock } from '../../rig/fake-clock.ts';

let clock: FakeClock;
let hubCounters: HubCounters;
let figures: Figures;
let over: AbortController;
let loopDelay: LoopDelay;

beforeEach(() => {
  clock = new FakeClock();
  hubCounters = new HubCounters();
  over = new AbortController();
  loopDelay = new LoopDelay(clock);
  const sources: Sources = {
    nodeId: 'blue-1',
    group: 'blue',
    version: '1',
    isReady: () => true,
    hub: { viewers: 7, rooms: 3, hubCounters },
    handover: { isDraining: true, moved: 2, misrouted: 1 },
    log: { health: () => ({ trouble: null, risks: [] }) },
    logCalls: new LogCalls(),
    tokensRefused: {},
    loopDelay,
  };
  figures = new Figures(sources, clock);
});
afterEach(() => figures.close());

const next = async (all: AsyncGenerator<SecondFigures>, ms: number): Promise<SecondFigures> => {
  const asked = all.next();
  await clock.advanceGently(ms);
  const { value } = await asked;
  return value as SecondFigures;
};

describe('the figures of a second', () => {
  it('are what happened in it, and not before', async () => {
    const all = figures.follow(over.signal);
    hubCounters.streamCounters.deliveries += 500;
    hubCounters.streamCounters.bytes += 12_345;
    hubCounters.joins.fresh += 2;
    hubCounters.joins.gap += 1;
    hubCounters.endings.left += 4;
    const first = await next(all, 1_000);
    assert.deepEqual(
      [first.deliveriesPerSecond, first.bytesPerSecond, first.joinsPerSecond, first.endingsPerSecond],
      [500, 12_345, 3, 4],
    );
    assert.deepEqual([first.viewers, first.rooms, first.isReady, first.isDraining], [7, 3, true, true]);
    hubCounters.streamCounters.deliveries += 30;
    hubCounters.turnedAway.pace += 5;
    hubCounters.gaps.slow += 1;
    const second = await next(all, 1_000);
    assert.deepEqual(
      [second.deliveriesPerSecond, second.joinsPerSecond, second.turnedAwayPerSecond, second.gapsPerSecond],
      [30, 0, 5, 1],
    );
    assert.equal(second.at - first.at, 1_000);
  });

  it('are skipped by a follower that does not ask for them', async () => {
    const all = figures.follow(over.signal);
    await next(all, 1_000);
    await clock.advanceGently(5_000, 1_000);
    hubCounters.streamCounters.writes += 8;
    const later = await next(all, 1_000);
    assert.equal(later.writesPerSecond, 8);
    assert.equal(later.at, clock.now());
  });

  it('end for a follower that leaves, for everybody on closing, and leave no timer', async () => {
    const leaver = figures.follow(over.signal).next();
    const other = figures.follow(new AbortController().signal);
    const stayer = other.next();
    over.abort();
    assert.deepEqual(await leaver, { value: undefined, done: true });
    figures.close();
    assert.deepEqual(await stayer, { value: undefined, done: true });
    assert.deepEqual(await figures.follow(new AbortController().signal).next(), { value: undefined, done: true });
    loopDelay.close();
    assert.equal(clock.timers, 0);
  });
});
