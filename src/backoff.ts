/**
 * Pauses before retries. Each is twice the one before, up to a ceiling, with a jitter of up to half its length either
 * way, so that clients do not return to a recovered server all at once.
 */

export interface BackoffBounds {
  readonly firstMs: number;
  /** The ceiling, before the jitter. */
  readonly longestMs: number;
}

/** The pause after so many failures in a row, the first of which is 1. `random`: from 0 to 1. */
export const backoffMs = (failures: number, { firstMs, longestMs }: BackoffBounds, random = Math.random()): number =>
  Math.min(firstMs * 2 ** (failures - 1), longestMs) * (0.5 + random);

/** A period that differs by up to a quarter either way, so that what began together does not stay together. */
export const jittered = (ms: number, random = Math.random()): number => ms * (0.75 + random / 2);
