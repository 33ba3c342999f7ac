/**
 * Times the calls of the room's log, whichever log it is, and counts its errors. Every asynchronous function of the
 * contract is timed under its own name, from call to answer, including queueing; a refusal ends a call like an answer.
 */

import { Histogram } from 'prom-client';
import type { Clock } from '../clock.ts';
import { Refusal } from '../errors.ts';
import type { Presence } from '../log/presence.ts';
import type { Appended, RoomLog } from '../log/room-log.ts';

/** Refusals of a log; anything else that it throws is an internal error. */
const errorKinds = ['log-unavailable', 'outcome-unknown', 'overloaded', 'internal'] as const;
type ErrorKind = (typeof errorKinds)[number];

export class LogCalls {
  /** By function. */
  readonly seconds = new Histogram({
    name: 'ringside_log_call_seconds',
    help: 'Room log calls, by function.',
    labelNames: ['function'],
    buckets: [0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers: [],
  });
  readonly errors: Record<ErrorKind, number> = {
    'log-unavailable': 0,
    'outcome-unknown': 0,
    overloaded: 0,
    internal: 0,
  };
  /**
   * How far the log's clock is surely ahead of ours (negative: behind), in milliseconds, by the newest write: an entry's
   * time must lie between the call and its answer, and this is by how much it does not.
   */
  clockAheadMs = 0;

  failed(error: unknown): void {
    const code = error instanceof Refusal ? error.code : 'internal';
    this.errors[errorKinds.find((kind) => kind === code) ?? 'internal'] += 1;
  }

  /** Judges the clocks by a write, sent and answered at these times of our clock. A repeat has an older time. */
  wrote(appended: Appended, sentMs: number, answeredMs: number): void {
    if (appended.outcome !== 'kept' || appended.repeated) return;
    const { at } = appended;
    this.clockAheadMs = at > answeredMs ? at - answeredMs : Math.min(0, at - sentMs);
  }
}

type Call = (...args: readonly unknown[]) => unknown;

/** The same part of a back end, with its calls watched. */
export function watchCalls<Part extends RoomLog | Presence>(part: Part, calls: LogCalls, clock: Clock): Part {
  const watched = new Map<string | symbol, unknown>();
  return new Proxy(part, {
    get(_, name) {
      if (watched.has(name)) return watched.get(name);
      const found: unknown = Reflect.get(part, name, part);
      const member = typeof found === 'function' ? watch(String(name), found.bind(part) as Call, calls, clock) : found;
      watched.set(name, member);
      return member;
    },
  });
}

function watch(name: string, call: Call, calls: LogCalls, clock: Clock): Call {
  return (...args) => {
    const sentMs = clock.now();
    const began = performance.now();
    const answer = call(...args);
    // Synchronous functions and `close` are not timed.
    if (!(answer instanceof Promise) || name === 'close') return answer;
    const took = (): void => calls.seconds.observe({ function: name }, (performance.now() - began) / 1000);
    answer.then(
      (value: unknown) => {
        took();
        if (name === 'append') calls.wrote(value as Appended, sentMs, clock.now());
      },
      (error: unknown) => {
        took();
        calls.failed(error);
      },
    );
    return answer;
  };
}
