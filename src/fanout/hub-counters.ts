/**
 * The counters of this node: plain numbers and histograms that only rise. The hub counts each event as it happens;
 * `ops/` reads the counters on request. They hold no names of rooms or users, so their size is fixed. `ops/metrics`
 * documents each of them for operators.
 */

import { Histogram } from 'prom-client';
import type { GapCause, Judgement } from '../log/position.ts';
import { StreamCounters } from '../stream/stream-counters.ts';
import { type EndingCause, endings } from '../stream/viewer.ts';
import type { Swept } from './flush.ts';

/**
 * Why a stream was refused. `pace`: above JOINS_PER_SECOND. `share`: a user, or an address without tokens, is at its
 * limit. `viewers`, `rooms` and `audiences`: the limit of that name is reached. `leaving`: this gateway hands over its
 * viewers, or shuts down. `log`: the room log is unavailable. `ended` and `banned` are final.
 */
const turnedAwayCauses = [
  'pace',
  'share',
  'viewers',
  'rooms',
  'audiences',
  'leaving',
  'log',
  'ended',
  'banned',
] as const;
export type TurnedAway = (typeof turnedAwayCauses)[number];

/** By cause, each from 0. */
export type Counts<Cause extends string> = Record<Cause, number>;

const noneOf = <Cause extends string>(causes: readonly Cause[]): Counts<Cause> =>
  Object.fromEntries(causes.map((cause) => [cause, 0])) as Counts<Cause>;

export class HubCounters {
  readonly streamCounters = new StreamCounters();
  /** Streams opened, by the verdict on their id. */
  readonly joins = noneOf<Judgement['verdict']>(['fresh', 'exact', 'gap', 'reset']);
  readonly turnedAway = noneOf<TurnedAway>(turnedAwayCauses);
  /** Declared gaps, once per viewer, by a live stream or a resume. */
  readonly gaps = noneOf<GapCause>(['slow', 'sampled', 'trimmed', 'failover']);
  /** Streams that were opened and have ended. */
  readonly endings = noneOf(Object.keys(endings) as EndingCause[]);
  /** Spans sealed on the tapes of all classes. */
  spans = 0;
  /** The work of one sweep over a room, excluding its pauses. */
  readonly flush = new Histogram({
    name: 'ringside_flush_seconds',
    help: 'Time of one flush sweep over a room.',
    buckets: [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25],
    registers: [],
  });
  /** From the log time of a sweep's oldest entry to the end of the sweep: the last viewer's delay. */
  readonly publishToWrite = new Histogram({
    name: 'ringside_publish_to_write_seconds',
    help: 'From the log time of the oldest entry in a sweep to its write to the last viewer.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [],
  });

  /**
   * Counts a sweep that ended at `nowMs`. If the log's clock is ahead of ours, an entry seems written before it was
   * published: that counts as 0.
   */
  swept({ workMs, publishedMs }: Swept, nowMs: number): void {
    this.flush.observe(workMs / 1000);
    if (publishedMs !== null) this.publishToWrite.observe(Math.max(0, nowMs - publishedMs) / 1000);
  }
}
