/** Waiting for a condition instead of for time: as short as it can be, and with a name when it does not come true. */

import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';

export interface WaitOptions {
  /** What was waited for: the test fails with this. */
  readonly what: string;
  readonly timeoutMs?: number;
}

/** So many turns of the event loop are tried at once; after them a short timer spares the processor. */
const eagerTurns = 50;
const pauseMs = 2;

/**
 * Settles with the condition's first value that is neither false, null nor undefined.
 * @throws {Error} naming `what` after `timeoutMs` (5000) of real time, with the condition's last error as its cause.
 */
export async function waitFor<Value>(
  condition: () => Value | Promise<Value>,
  { what, timeoutMs = 5000 }: WaitOptions,
): Promise<Exclude<Value, false | null | undefined>> {
  const deadline = performance.now() + timeoutMs;
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
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain for: ${what}`, { cause });
    await (turn < eagerTurns ? nextTurn() : pause(pauseMs));
  }
}
