/** Waiting for a condition instead of for time: as short as it can be, and with a name when it does not come true. */

import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';

export interface WaitOptions {
  /** What was waited for: the test fails with this. */
  readonly what: string;
  readonly timeoutMs?: number;
  /** For a condition that is work to others: at least as long between two tries. */
  readonly everyMs?: number;
}

/** So many turns of the event loop are tried at once; after them, pauses that grow with the wait spare the processor. */
const eagerTurns = 50;
const pauseMs = (waitedMs: number): number => Math.min(Math.max(2, waitedMs / 20), 50);

/**
 * Settles with the condition's first value that is neither false, null nor undefined.
 * @throws {Error} naming `what` after `timeoutMs` (5000) of real time, with the condition's last error as its cause.
 */
export async function waitFor<Value>(
  condition: () => Value | Promise<Value>,
  { what, timeoutMs = 5000, everyMs = 0 }: WaitOptions,
): Promise<Exclude<Value, false | null | undefined>> {
  const began = performance.now();
  let cause: unknown;
  for (let turn = 0; ; turn += 1) {
    try {
      const value = await condition();
      if (value !== false && value !== null && value !== undefined) {
        return value as Exclude<Value, false | null | undefined>;
      }
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    const waitedMs = performance.now() - began;
    if (waitedMs > timeoutMs) throw new Error(`Waited ${timeoutMs} ms in vain for: ${what}`, { cause });
    await (turn < eagerTurns && everyMs === 0 ? nextTurn() : pause(Math.max(everyMs, pauseMs(waitedMs))));
  }
}
