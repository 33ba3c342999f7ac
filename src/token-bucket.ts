/**
 * A token bucket kept as one number: the moment at which it is full again (the theoretical arrival time of the generic
 * cell rate algorithm). Taking tokens moves it on. A moment in the past, or none, is a full bucket. All arguments are in
 * one unit of time, whichever it is.
 */

/** When the bucket is full again, after taking what fills in `taken`. */
export const fullAgainAt = (fullAt: number | undefined, now: number, taken: number): number =>
  Math.max(fullAt ?? now, now) + taken;

/** How long to wait before that can be taken; 0 if it can now. `whole`: the time in which an empty bucket fills. */
export const waitForTokens = (fullAt: number | undefined, now: number, taken: number, whole: number): number =>
  Math.max(0, fullAgainAt(fullAt, now, taken) - now - whole);
