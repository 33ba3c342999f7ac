/**
 * What happens on this node, as plain numbers and histograms that only rise. The hub counts into it where things happen; `ops/` reads
 * it when somebody asks. It holds no names of rooms or users, so its size is fixed. What each number means to those who
 * run the gateway stands in `ops/metrics`.
 */

import { Histogram } from 'prom-client';
import type { GapCause, Judgement } from '../log/position.ts';
import { StreamCounters } from '../stream/stream-counters.ts';
import { type EndingCause, endings } from '../stream/viewer.ts';
import type { Swept } from './flush.ts';

/**
 * Why a stream was refused. `pace`: above JOINS_PER_SECOND. `share`: one user, or one address without tokens, is at its
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
  /** Streams that were open and are over. */
  readonly endings = noneOf(Object.keys(endings) as EndingCause[]);
  /** Spans that drafts were made into, on the tapes of all classes. */
  spans = 0;
  /** The work of one sweep over a room, without its pauses. */
  readonly flush = new Histogram({
    name: 'ringside_flush_seconds',
    help: 'Time of one flush sweep over a room.',
    buckets: [0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25],
    registers: [],
  });
  /** From the time that the log gave the oldest entry of a sweep to the end of the sweep: the last viewer's delay. */
  readonly publishToWrite = new Histogram({
    name: 'ringside_publish_to_write_seconds',
    help: 'From the log time of the oldest entry in a sweep to its write to the last viewer.',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [],
  });

  /**
   * A sweep that ended at `nowMs`. The log's clock may be ahead of ours, and then an entry seems to be written before it
   * was published: that counts as no time at all.
   */
  swept({ workMs, publishedMs }: Swept, nowMs: number): void {
    this.flush.observe(workMs / 1000);
    if (publishedMs !== null) this.publishToWrite.observe(Math.max(0, nowMs - publishedMs) / 1000);
  }
}
