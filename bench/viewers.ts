/**
 * A crowd of viewers in a process of its own, so that its work is not counted as the server's and does not delay the
 * writer. This side gives the orders and asks for figures; `viewers-process.ts` does the watching.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Latencies } from './latencies.ts';

/** Where streams are asked for. */
export interface StreamTarget {
  readonly port: number;
  /** The path of a room's stream. */
  readonly path: string;
  /** Signs a token for each viewer; null: the server asks for none. */
  readonly secret: string | null;
  /** Whether order numbers have no holes, so that each viewer's can be checked one by one. */
  readonly isGapless: boolean;
}

export interface JoinOrder {
  readonly target: StreamTarget;
  readonly viewers: number;
  /** Rooms that the viewers spread over; `{room}` in the path becomes `room-0` and so on. */
  readonly rooms: number;
  /** Joins that may be under way at a time. */
  readonly atOnce: number;
  readonly gzip: boolean;
  /** Every so many viewers of a gzip crowd, one is decoded and checked. */
  readonly decodeEvery: number;
  /** Read the head of the answer and nothing more. */
  readonly stalled: boolean;
  /** Come back after a cut, as a browser's EventSource does. */
  readonly comesBack: boolean;
}

/** Cuts every viewer each `everyMs`, at times of its own, and lets it come back after `forMs`. */
export interface CutOrder {
  readonly everyMs: number;
  readonly forMs: number;
}

export type Order =
  | { readonly type: 'join'; readonly join: JoinOrder }
  | { readonly type: 'cut'; readonly cut: CutOrder | null }
  | { readonly type: 'window' }
  | { readonly type: 'figures' }
  | { readonly type: 'forget' }
  | { readonly type: 'leave' };

/** Sums over all viewers, since the last `window` where it says so. */
export interface Figures {
  readonly open: number;
  /** Counted events, reads and bytes in the window. Of a gzip crowd, events of the decoded viewers only. */
  readonly events: number;
  readonly reads: number;
  readonly bytes: number;
  /** Buckets of a tenth of a millisecond, in the window. */
  readonly delays: Float64Array;
  /** Whole life: viewers that are checked, and the least and the most events that one of them has had or was told of. */
  readonly checked: number;
  readonly leastEvents: number;
  readonly mostEvents: number;
  readonly allEvents: number;
  /** Events that came twice or out of order, that are missing between two others, and that gaps declared. */
  readonly repeated: number;
  readonly jumped: number;
  readonly declared: number;
  /** Reconnects: milliseconds until what was missed had come, and until the first bytes of those cut by the server. */
  readonly replaysMs: readonly number[];
  readonly backsMs: readonly number[];
  readonly stillAway: number;
  readonly refused: number;
  /** Milliseconds that the joins took, of each and altogether. */
  readonly joinsMs: readonly number[];
  readonly joinedInMs: number;
  /** Of this process. */
  readonly cpuMs: number;
}

export interface Answer {
  readonly figures: Figures;
}

const entry = fileURLToPath(new URL('./viewers-process.ts', import.meta.url));

export class Viewers {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #queue: Promise<unknown> = Promise.resolve();

  constructor() {
    const execArgv = process.execArgv.length > 0 ? process.execArgv : ['--import', 'tsx'];
    this.#child = fork(entry, [], { serialization: 'advanced', execArgv });
    this.#ended = once(this.#child, 'exit');
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Settled when all have joined or given up. */
  join(join: Partial<JoinOrder> & Pick<JoinOrder, 'target' | 'viewers'>): Promise<Figures> {
    const usual = { rooms: 1, atOnce: 64, gzip: false, decodeEvery: 20, stalled: false, comesBack: false };
    return this.#ask({ type: 'join', join: { ...usual, ...join } });
  }

  cut(cut: CutOrder | null): Promise<Figures> {
    return this.#ask({ type: 'cut', cut });
  }

  /** Begins to count anew. */
  window(): Promise<Figures> {
    return this.#ask({ type: 'window' });
  }

  figures(): Promise<Figures> {
    return this.#ask({ type: 'figures' });
  }

  /** What was noted of returns so far is no part of what is measured. */
  forget(): Promise<Figures> {
    return this.#ask({ type: 'forget' });
  }

  leave(): Promise<Figures> {
    return this.#ask({ type: 'leave' });
  }

  /** Waits until every checked viewer has had `events`, or nothing more has come for two seconds. */
  async settled(events: number): Promise<Figures> {
    let before = -1;
    let quiet = 0;
    for (;;) {
      const figures = await this.figures();
      const isThere = figures.leastEvents >= events && figures.stillAway === 0;
      quiet = figures.allEvents + figures.stillAway === before ? quiet + 1 : 0;
      if (isThere || quiet >= 20) return figures;
      before = figures.allEvents + figures.stillAway;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  #ask(order: Order): Promise<Figures> {
    const asked = this.#queue.then(async () => {
      if (!this.#child.connected) throw new Error('The viewers are gone.');
      const answered = new Promise<Answer>((resolve) => this.#child.once('message', resolve));
      this.#child.send(order);
      const answer = await Promise.race([answered, this.#ended.then(() => null)]);
      if (answer === null) throw new Error('The viewers ended.');
      return answer.figures;
    });
    this.#queue = asked.catch(() => undefined);
    return asked;
  }
}

/** The delay in milliseconds that a part of all deliveries did not exceed. */
export const delayMs = ({ delays }: Pick<Figures, 'delays'>, part: number): number =>
  new Latencies(delays).percentile(part);
