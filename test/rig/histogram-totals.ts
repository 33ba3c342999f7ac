/** How much a histogram has counted, for tests that look at one without the text of `/metrics`. */

import type { Histogram } from 'prom-client';

export async function totalsOf(
  histogram: Histogram,
  labels: Readonly<Record<string, string>> = {},
): Promise<{ readonly sum: number; readonly count: number }> {
  const { name, values } = await histogram.get();
  const of = (part: string): number =>
    values.find(
      ({ metricName, labels: its }) =>
        metricName === `${name}_${part}` &&
        Object.entries(labels).every(([label, value]) => value === Reflect.get(its, label)),
    )?.value ?? 0;
  return { sum: of('sum'), count: of('count') };
}
