/**
 * A gateway's live figures, taken once a second while the gateway runs. A listener owns no queue: a slow one gets the
 * newest figures when it pulls again.
 */

import type { Clock, Timer } from '../clock.ts';
import { type Sources, sumOf } from './sources.ts';

/** The figures of a gateway at one moment, and of the second before it. */
export interface SecondFigures {
  /** Unix milliseconds. */
  readonly at: number;
  readonly node: string;
  readonly group: string;
  readonly isReady: boolean;
  readonly isDraining: boolean;
  readonly viewers: number;
  /** Streams under backpressure. */
  readonly waiting: number;
  readonly rooms: number;
  readonly joinsPerSecond: number;
  readonly turnedAwayPerSecond: number;
  readonly endingsPerSecond: number;
  readonly gapsPerSecond: number;
  readonly deliveriesPerSecond: number;
  readonly writesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly loopDelayMs: number;
}

/** The counters. */
interface Totals {
  readonly joins: number;
  readonly turnedAway: number;
  readonly endings: number;
  readonly gaps: number;
  readonly deliveries: number;
  readonly writes: number;
  readonly bytes: number;
}

const secondMs = 1_000;

export class Figures {
  readonly #sources: Sources;
  readonly #clock: Clock;
  readonly #waiting = new Set<(figures: SecondFigures | null) => void>();
  #timer: Timer;
  #totals: Totals;
  #takenMs: number;
  #isClosed = false;

  constructor(sources: Sources, clock: Clock) {
    this.#sources = sources;
    this.#clock = clock;
    this.#totals = totalsOf(sources);
    this.#takenMs = clock.now();
    this.#timer = this.#schedule();
  }

  /** The figures of each second from now on, until the signal or `close`. */
  async *follow(signal: AbortSignal): AsyncGenerator<SecondFigures> {
    for (;;) {
      const figures = await this.#next(signal);
      if (figures === null) return;
      yield figures;
    }
  }

  /** Stops, and ends all listeners. */
  close(): void {
    this.#isClosed = true;
    this.#timer.cancel();
    this.#wake(null);
  }

  #next(signal: AbortSignal): Promise<SecondFigures | null> {
    if (signal.aborted || this.#isClosed) return Promise.resolve(null);
    return new Promise((resolve) => {
      const wake = (figures: SecondFigures | null): void => {
        this.#waiting.delete(wake);
        signal.removeEventListener('abort', leave);
        resolve(figures);
      };
      const leave = (): void => wake(null);
      signal.addEventListener('abort', leave);
      this.#waiting.add(wake);
    });
  }

  #schedule(): Timer {
    return this.#clock.after(secondMs, () => {
      this.#timer = this.#schedule();
      this.#wake(this.#take());
    });
  }

  #wake(figures: SecondFigures | null): void {
    for (const wake of [...this.#waiting]) wake(figures);
  }

  #take(): SecondFigures {
    const { nodeId, group, isReady, hub, handover, loopDelay } = this.#sources;
    const before = this.#totals;
    const totals = totalsOf(this.#sources);
    const at = this.#clock.now();
    const seconds = Math.max(1, at - this.#takenMs) / 1000;
    const perSecond = (name: keyof Totals): number => rounded((totals[name] - before[name]) / seconds);
    this.#totals = totals;
    this.#takenMs = at;
    return {
      at,
      node: nodeId,
      group,
      isReady: isReady(),
      isDraining: handover.isDraining,
      viewers: hub.viewers,
      waiting: hub.hubCounters.streamCounters.waiting,
      rooms: hub.rooms,
      joinsPerSecond: perSecond('joins'),
      turnedAwayPerSecond: perSecond('turnedAway'),
      endingsPerSecond: perSecond('endings'),
      gapsPerSecond: perSecond('gaps'),
      deliveriesPerSecond: perSecond('deliveries'),
      writesPerSecond: perSecond('writes'),
      bytesPerSecond: perSecond('bytes'),
      loopDelayMs: rounded(loopDelay.look()),
    };
  }
}

function totalsOf({ hub: { hubCounters } }: Sources): Totals {
  const { deliveries, writes, bytes } = hubCounters.streamCounters;
  return {
    joins: sumOf(hubCounters.joins),
    turnedAway: sumOf(hubCounters.turnedAway),
    endings: sumOf(hubCounters.endings),
    gaps: sumOf(hubCounters.gaps),
    deliveries,
    writes,
    bytes,
  };
}

/** To a tenth. */
const rounded = (figure: number): number => Math.round(figure * 10) / 10;
