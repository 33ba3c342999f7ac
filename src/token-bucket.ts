/**
 * A token bucket kept as one number: the moment at which it is full again (the theoretical arrival time of the generic
 * cell rate algorithm). What is taken moves that moment on; a moment that has passed, and none at all, is a full bucket.
 * Any unit of time, the same for all arguments.
 */

/** When the bucket is full again, once as much is taken as fills in `taken`. */
export const fullAgainAt = (fullAt: number | undefined, now: number, taken: number): number =>
  Math.max(fullAt ?? now, now) + taken;

/** How long to wait before as much can be taken; 0 where it can. `whole`: in which time an empty bucket fills. */
export const waitForTokens = (fullAt: number | undefined, now: number, taken: number, whole: number): number =>
  Math.max(0, fullAgainAt(fullAt, now, taken) - now - whole);
