/**
 * Keeps one program of the picture running. What ends by itself or is killed is started again, and whoever watches is
 * told of both. One that ends again and again is started after growing pauses, and at last given up; the others go on.
 */

import { Child, type ChildOptions } from './child.ts';

export interface Program extends ChildOptions {
  isReady(): Promise<boolean>;
}

export interface KeeperOptions {
  readonly say: (sentence: string) => void;
  /** Before the second start; each one after it waits twice as long. */
  readonly pauseMs: number;
  /** Ends in a row after which it is given up. */
  readonly endsMax: number;
  /** Who has run for so long has ended for another reason than the last time. */
  readonly steadyMs: number;
}

export const usualKeeping = { pauseMs: 500, endsMax: 6, steadyMs: 30_000 } as const;

export class Keeper {
  readonly name: string;
  readonly #program: Program;
  readonly #options: KeeperOptions;
  readonly #stopped: { readonly promise: Promise<void>; readonly resolve: () => void };
  #isStopped = false;
  #child: Child | null = null;

  constructor(program: Program, options: KeeperOptions) {
    this.name = program.name;
    this.#program = program;
    this.#options = options;
    let resolve = (): void => undefined;
    this.#stopped = { promise: new Promise((done) => (resolve = done)), resolve: () => resolve() };
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it, and keeps it from when it is ready. @throws {Error} where it does not become ready this first time. */
  async start(): Promise<void> {
    this.#child = new Child(this.#program);
    await this.#child.ready(() => this.#program.isReady());
    void this.#keep(this.#child);
  }

  /** Ends it in order, and for good. */
  async end(): Promise<void> {
    this.#isStopped = true;
    this.#stopped.resolve();
    await this.#child?.end();
  }

  kill(): void {
    this.#isStopped = true;
    this.#child?.kill();
  }

  async #keep(first: Child): Promise<void> {
    const { say, pauseMs, endsMax, steadyMs } = this.#options;
    let child = first;
    for (let ends = 1; ; ends += 1) {
      const beganMs = performance.now();
      const sentence = await child.ended;
      if (this.#isStopped) return;
      if (performance.now() - beganMs > steadyMs) ends = 1;
      child.clear();
      if (ends >= endsMax) {
        say(`${sentence}, ${ends} times in a row; it is given up. It had printed:\n${await child.lastWords()}`);
        return;
      }
      const waitMs = pauseMs * 2 ** (ends - 1);
      say(`${sentence}; it is started again in ${waitMs} ms.`);
      if (await this.#stopsWithin(waitMs)) return;
      child = new Child(this.#program);
      this.#child = child;
      // Where it ends before it is ready, the next round says so.
      void child
        .ready(() => this.#program.isReady())
        .then(
          () => say(`${this.name} runs again.`),
          () => child.kill(),
        );
    }
  }

  async #stopsWithin(ms: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      this.#stopped.promise,
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ms);
      }),
    ]);
    clearTimeout(timer);
    return this.#isStopped;
  }
}
