/** Delays counted in buckets of a tenth of a millisecond, up to ten seconds; what is longer lies in the last. */

const bucketsMax = 100_000;

export class Latencies {
  readonly buckets: Float64Array;

  constructor(buckets: Float64Array = new Float64Array(bucketsMax)) {
    this.buckets = buckets;
  }

  note(tenths: number): void {
    const bucket = Math.max(0, Math.min(this.buckets.length - 1, tenths));
    this.buckets[bucket] = (this.buckets[bucket] ?? 0) + 1;
  }

  clear(): void {
    this.buckets.fill(0);
  }

  /** Milliseconds that `part` (0 to 1) of all did not exceed; not a number where there is nothing. */
  percentile(part: number): number {
    const total = this.buckets.reduce((sum, count) => sum + count, 0);
    let seen = 0;
    if (total > 0) {
      for (const [bucket, count] of this.buckets.entries()) {
        seen += count;
        if (seen >= total * part) return bucket / 10;
      }
    }
    return Number.NaN;
  }
}

/** The value that `part` of a list does not exceed. */
export function percentileOf(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * part) - 1))] ?? Number.NaN;
}
