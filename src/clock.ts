/** Time as an argument: the program uses the system's clock, tests a fake one. */

export interface Timer {
  /** Harmless to call twice or after the timer has fired. */
  cancel(): void;
}

export interface Clock {
  /** Unix milliseconds. Steps when the system's clock is set. */
  now(): number;
  /** Milliseconds since some moment. Never steps, but may stand still while a virtual machine is suspended. */
  steady(): number;
  /** Calls `task` once, `ms` from now at the earliest. Does not keep the process alive. */
  after(ms: number, task: () => void): Timer;
  /** Calls `task` as soon as the events that are ready now have had their turn. */
  soon(task: () => void): Timer;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  steady: () => performance.now(),
  after(ms, task) {
    const timer = setTimeout(task, ms);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon(task) {
    const immediate = setImmediate(task);
    return { cancel: () => clearImmediate(immediate) };
  },
};
