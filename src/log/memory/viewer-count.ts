/**
 * How many watch a room of the embedded log: what nodes report, what becomes of it over time, and what everyone is told.
 * A plain value and one function; the rules stand in `room-log`, at `report`. `scripts/viewer-count.lua` does the same.
 */

import { graceMs, leaseMs, type ViewerCount } from '../room-log.ts';
import { type Directory, sweepGhosts } from './directory.ts';

interface Moment extends ViewerCount {
  readonly atMs: number;
}

export interface ViewerCountRecord {
  /** By node: how many streams it has, and how long that is valid. */
  readonly nodes: Map<string, { readonly viewers: number; readonly endsAtMs: number }>;
  /** What everyone was told last. */
  told: Moment | null;
  /** As of the last report. */
  last: Moment;
  /** Since when more is known than was told, and the least since. */
  rise: Moment | null;
  /** The most that there was, by steps of time, the oldest first. */
  most: Moment[];
  /** When reports came in again after a time without any: until then nobody can be said to be silent. */
  awakeAtMs: number;
}

export interface Report {
  readonly node: string;
  readonly viewers: number;
  readonly viewerCountMs: number;
  readonly now: number;
}

export interface Counted {
  readonly told: ViewerCount | null;
  readonly isNews: boolean;
  /** How long until another report may bring something that is pending; 0 where nothing is. */
  readonly againMs: number;
}

/** How finely past numbers are kept. */
const stepMs = 1_000;
const nobody: ViewerCount = { viewers: 0, users: 0 };

export const newViewerCount = (): ViewerCountRecord => ({
  nodes: new Map(),
  told: null,
  last: { atMs: -Infinity, ...nobody },
  rise: null,
  most: [],
  awakeAtMs: -Infinity,
});

/** Takes a node's report. */
export function takeReport(record: ViewerCountRecord, directory: Directory, report: Report): Counted {
  const { node, viewers, viewerCountMs, now } = report;
  if (now - record.last.atMs > leaseMs) record.awakeAtMs = now;
  dropSilent(record, now);
  record.nodes.set(node, { viewers, endsAtMs: now + leaseMs });
  const swept = sweepGhosts(directory, record.awakeAtMs, now);
  // Who is taken out was not there for as long as can still matter.
  record.last = { ...record.last, users: record.last.users - swept.gone };
  record.most = record.most.map((moment) => ({ ...moment, users: moment.users - swept.gone }));
  note(record, { atMs: now, viewers: viewersOf(record), users: directory.held.size });
  // Where all are on one node, nobody can have come from another.
  const isSure = [...record.nodes.values()].filter((one) => one.viewers > 0).length <= 1;
  const { isNews, againMs } = decide(record, { isSure, viewerCountMs, now });
  const { told } = record;
  const soonestMs = Math.min(againMs ?? Infinity, swept.againMs ?? Infinity);
  return {
    told: told && { viewers: told.viewers, users: told.users },
    isNews,
    againMs: soonestMs === Infinity ? 0 : soonestMs,
  };
}

function viewersOf({ nodes }: ViewerCountRecord): number {
  let sum = 0;
  for (const { viewers } of nodes.values()) sum += viewers;
  return sum;
}

/** Nodes that fell silent count for nothing, since when they did. */
function dropSilent(record: ViewerCountRecord, now: number): void {
  let silentAtMs = record.awakeAtMs;
  let isAnySilent = false;
  for (const [name, { endsAtMs }] of record.nodes) {
    if (endsAtMs > now) continue;
    record.nodes.delete(name);
    silentAtMs = Math.max(silentAtMs, endsAtMs);
    isAnySilent = true;
  }
  if (isAnySilent) note(record, { atMs: silentAtMs, viewers: viewersOf(record), users: record.last.users });
}

/** Notes how many there are from a moment on. What was before lasted until then. */
function note(record: ViewerCountRecord, moment: Moment): void {
  const { most, last } = record;
  const tail = most.at(-1);
  if (tail !== undefined && moment.atMs < tail.atMs + stepMs)
    most[most.length - 1] = { ...larger(tail, moment), atMs: tail.atMs };
  else most.push({ ...larger(last, moment), atMs: moment.atMs });
  record.last = moment;
}

/**
 * Sets what is told: the least since more is known, the most within the grace where less is, and at most once per
 * `viewerCountMs`. Answers how long until more may be told; null where nothing is pending.
 */
function decide(
  record: ViewerCountRecord,
  { isSure, viewerCountMs, now }: { isSure: boolean; viewerCountMs: number; now: number },
): { isNews: boolean; againMs: number | null } {
  const { told, last } = record;
  const base = told ?? nobody;
  record.rise = isMore(last, base) ? { ...smaller(record.rise ?? last, last), atMs: record.rise?.atMs ?? now } : null;
  const { rise } = record;
  const riseInMs = rise === null || isSure ? 0 : rise.atMs + viewerCountMs - now;
  const known = rise === null || riseInMs > 0 ? base : isSure ? last : rise;
  const next = smaller(larger(base, known), mostOf(record, now));
  const isNews = next.viewers !== base.viewers || next.users !== base.users;
  const rateInMs = told === null ? 0 : told.atMs + viewerCountMs - now;
  if (isNews && rateInMs <= 0) {
    record.told = { ...next, atMs: now };
    record.rise = isMore(last, next) ? { ...last, atMs: now } : null;
    return { isNews, againMs: record.rise === null ? fallsInMs(record, now) : viewerCountMs };
  }
  const againMs = isNews ? rateInMs : fallsInMs(record, now);
  return { isNews: false, againMs: riseInMs > 0 ? Math.min(againMs ?? riseInMs, riseInMs) : againMs };
}

/** The most that there was within the grace. */
function mostOf(record: ViewerCountRecord, now: number): ViewerCount {
  record.most = record.most.filter(({ atMs }) => atMs + stepMs + graceMs > now);
  return record.most.reduce<ViewerCount>(larger, record.last);
}

/** How long until less may be told; null where no less is known. */
function fallsInMs({ told, last, most }: ViewerCountRecord, now: number): number | null {
  if (told === null) return null;
  const ends = (['viewers', 'users'] as const)
    .filter((field) => told[field] > last[field])
    .map((field) => (most.findLast((moment) => moment[field] >= told[field])?.atMs ?? now) + stepMs + graceMs);
  return ends.length === 0 ? null : Math.max(1, Math.min(...ends) - now);
}

const isMore = (one: ViewerCount, other: ViewerCount): boolean =>
  one.viewers > other.viewers || one.users > other.users;
const larger = (one: ViewerCount, other: ViewerCount): ViewerCount => ({
  viewers: Math.max(one.viewers, other.viewers),
  users: Math.max(one.users, other.users),
});
const smaller = (one: ViewerCount, other: ViewerCount): ViewerCount => ({
  viewers: Math.min(one.viewers, other.viewers),
  users: Math.min(one.users, other.users),
});
