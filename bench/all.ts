/**
 * `all`: every aim in one table, each measured briefly and beside its best peer in the same run. It takes some eight
 * minutes. A figure that decides something is measured by its own command, for longer and in more rounds.
 */

import { type CrowdOptions, shown } from './crowd-options.ts';
import type { Row } from './row.ts';

/** One line of the table. */
interface Judged {
  readonly figure: string;
  readonly aim: string;
  readonly measured: string;
  readonly isReached: boolean;
  /** The peer's name, its figure and ours; a lower one is better, but for joins. */
  readonly beside?: { readonly peer: string; readonly value: number; readonly ours: number; readonly wantsMore?: true };
}

/** A part of the run: what is measured together, and what that says of which aims. */
interface Part {
  readonly name: string;
  run(options: CrowdOptions): Promise<readonly Judged[]>;
}

const number = (row: Row | undefined, column: string): number => Number(row?.[column] ?? Number.NaN);
const of = (rows: readonly Row[], server: string): Row | undefined => rows.find((row) => row['server'] === server);

/** Whether every delivery that was checked came, once. */
const isWhole = (row: Row | undefined): boolean => number(row, 'lost') === 0 && number(row, 'doubled') === 0;

const parts: readonly Part[] = [
  {
    name: 'fanout, 2,000 viewers × 200/s',
    async run(options) {
      const { run } = await import('./fanout.ts');
      const rows = await run({ ...options, sizes: [2_000], rate: 200, seconds: 5, gzip: true, against: ['nchan'] });
      const [plain, gzip, nchan] = ['ringside', 'ringside, gzip', 'nchan'].map((server) => of(rows, server));
      const [cost, p99] = [number(plain, 'µs/delivery'), number(plain, 'p99 ms')];
      const bytes = number(gzip, 'bytes/delivery') / number(plain, 'bytes/delivery');
      const cpu = number(gzip, 'µs/delivery') / cost;
      return [
        {
          figure: 'CPU per delivery, 2,000 × 200/s, direct',
          aim: '≤ 0.9 µs, p99 ≤ 75 ms',
          measured: `${cost} µs, p99 ${p99} ms`,
          isReached: cost <= 0.9 && p99 <= 75 && isWhole(plain),
          beside: { peer: 'nchan', value: number(nchan, 'µs/delivery'), ours: cost },
        },
        {
          figure: 'bytes per comment, gzip, 200/s',
          aim: '≤ 0.25 of raw, CPU ≤ 1.1 of raw',
          measured: `${shown(bytes)} of raw, CPU ${shown(cpu)} of raw`,
          isReached: bytes <= 0.25 && cpu <= 1.1 && isWhole(gzip),
        },
      ];
    },
  },
  {
    name: 'fanout, 2,000 viewers × 20/s',
    async run(options) {
      const { run } = await import('./fanout.ts');
      const rows = await run({ ...options, sizes: [2_000], rate: 20, seconds: 6, against: ['nchan'] });
      const [plain, nchan] = ['ringside', 'nchan'].map((server) => of(rows, server));
      const cost = number(plain, 'µs/delivery');
      return [
        {
          figure: 'CPU per delivery, 2,000 × 20/s, direct',
          aim: '≤ 7.5 µs',
          measured: `${cost} µs, p99 ${plain?.['p99 ms']} ms`,
          isReached: cost <= 7.5 && isWhole(plain),
          beside: { peer: 'nchan', value: number(nchan, 'µs/delivery'), ours: cost },
        },
      ];
    },
  },
  {
    name: 'fanout behind nginx',
    async run(options) {
      const { run } = await import('./fanout.ts');
      const [row] = await run({ ...options, sizes: [2_000], rate: 200, seconds: 5, nginx: true });
      const [cost, p99] = [number(row, 'µs/delivery'), number(row, 'p99 ms')];
      return [
        {
          figure: 'gateway + nginx per delivery, 2,000 × 200/s',
          aim: '≤ 1.5 µs, p99 ≤ 100 ms',
          measured: `${row?.['gateway µs']} + ${row?.['nginx µs']} µs, p99 ${p99} ms`,
          isReached: cost <= 1.5 && p99 <= 100 && isWhole(row),
        },
      ];
    },
  },
  {
    name: 'idle',
    async run(options) {
      const { run } = await import('./idle.ts');
      const rows = await run({ ...options, viewers: 8_000, rounds: 1, against: ['nchan'] });
      const ours = number(of(rows, 'ringside'), 'KiB/viewer, gateway');
      return [
        {
          figure: 'memory per idle viewer, 8,000 with tokens',
          aim: '≤ 8 KiB',
          measured: `${ours} KiB`,
          isReached: ours <= 8,
          beside: { peer: 'nchan', value: number(of(rows, 'nchan'), 'KiB/viewer, nchan'), ours },
        },
      ];
    },
  },
  {
    name: 'join',
    async run(options) {
      const { run } = await import('./join.ts');
      const rows = await run({ ...options, viewers: 5_000, rounds: 1, against: ['better-sse'] });
      const ours = number(of(rows, 'ringside'), 'joins/s and core');
      const value = number(of(rows, 'better-sse'), 'joins/s and core');
      return [
        {
          figure: 'joins per second and core, with token check',
          aim: '≥ 5,000',
          measured: `${ours}`,
          isReached: ours >= 5_000,
          beside: { peer: 'better-sse', value, ours, wantsMore: true },
        },
      ];
    },
  },
  {
    name: 'fanout, 10,000 viewers × 2/s',
    async run(options) {
      const { run } = await import('./fanout.ts');
      const [row] = await run({ ...options, sizes: [10_000], rate: 2, seconds: 10 });
      const p99 = number(row, 'p99 ms');
      const measured = `p99 ${p99} ms, p50 ${row?.['p50 ms']} ms`;
      return [{ figure: '10,000 viewers, 2 events/s', aim: 'p99 ≤ 100 ms', measured, isReached: p99 <= 100 }];
    },
  },
  {
    name: 'restart',
    async run(options) {
      const { run } = await import('./restart.ts');
      const [row] = await run({ ...options, viewers: 5_000, seconds: 8 });
      const [p95, never] = [number(row, 'back p95 s'), number(row, 'never back')];
      return [
        {
          figure: 'restart with 5,000 viewers: all back, p95',
          aim: '≤ 3 s, none lost, nothing missed',
          measured: `${p95} s, ${never} never, ${row?.['lost']} lost, ${row?.['declared']} declared`,
          isReached: p95 <= 3 && never === 0 && isWhole(row) && number(row, 'declared') === 0,
        },
      ];
    },
  },
  {
    name: 'resume',
    async run(options) {
      const { run } = await import('./resume.ts');
      const [row] = await run({ ...options, viewers: 2_000, rate: 10, seconds: 25 });
      const [delivered, p99] = [number(row, 'delivered %'), number(row, 'replay p99 ms')];
      return [
        {
          figure: 'cut 2 s every 15 s: delivered; replay p99',
          aim: '100%; ≤ 1 s',
          measured: `${delivered}%; ${p99} ms over ${row?.['returns']} returns`,
          isReached: delivered === 100 && p99 <= 1_000 && number(row, 'doubled') === 0,
        },
      ];
    },
  },
  {
    name: 'slow',
    async run(options) {
      const { run } = await import('./slow.ts');
      const row = (await run({ ...options, viewers: 1_000, seconds: 4, rounds: 2 }))[1];
      const [each, ratio] = [number(row, 'KiB each'), number(row, 'p99 ratio')];
      return [
        {
          figure: '1,000 stalled viewers: memory of each; p99 of the others',
          aim: '≤ 256 KiB; ≤ 1.2 of alone',
          measured: `${each} KiB; ${ratio} of alone`,
          isReached: each <= 256 && ratio <= 1.2 && isWhole(row),
        },
      ];
    },
  },
  {
    name: 'rooms',
    async run(options) {
      const { run } = await import('./rooms.ts');
      const rows = await run({ ...options, viewers: 1_000, seconds: 2 });
      const withEight = rows.filter((row) => row['nodes'] === 8).map((row) => number(row, 'redis µs/event'));
      const [few = Number.NaN, , many = Number.NaN] = withEight;
      return [
        {
          figure: 'Redis CPU per event, 1,000 rooms, 8 nodes',
          aim: '≤ 50 µs, flat in rooms',
          measured: `${many} µs; ${shown(many / few)} of 10 rooms`,
          isReached: many <= 50 && many / few <= 1.2,
        },
      ];
    },
  },
  {
    name: 'flat',
    async run(options) {
      const { runFlat } = await import('./fanout.ts');
      const rows = await runFlat({ ...options, sizes: [1_000, 16_000], rate: 32, seconds: 6, rounds: 1 });
      const costs = rows.map((row) => number(row, 'µs/delivery'));
      const spread = Math.max(...costs) / Math.min(...costs);
      return [
        {
          figure: 'CPU per delivery from 1,000 to 16,000 viewers',
          aim: 'flat within 20%',
          measured: `${costs.join(', ')} µs: ${shown(spread)} apart`,
          isReached: spread <= 1.2 && rows.every(isWhole),
        },
      ];
    },
  },
];

export async function run(options: CrowdOptions): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const part of parts) {
    const began = performance.now();
    process.stderr.write(`all: ${part.name}\n`);
    try {
      rows.push(...(await part.run({ ...options, sizes: [], against: [], rounds: 1 })).map(rowOf));
    } catch (error) {
      // The rest is measured all the same, and the run as a whole has failed.
      process.exitCode = 1;
      rows.push({ figure: part.name, aim: '', measured: `failed: ${(error as Error).message}`, reached: 'no' });
    }
    process.stderr.write(`all: ${part.name} took ${Math.round((performance.now() - began) / 1000)} s\n`);
  }
  return rows;
}

const timesBetter = ({ value, ours, wantsMore }: NonNullable<Judged['beside']>): number =>
  wantsMore ? ours / value : value / ours;

const rowOf = ({ figure, aim, measured, isReached, beside }: Judged): Row => ({
  figure,
  aim,
  measured,
  reached: isReached ? 'yes' : 'no',
  'beside it': beside === undefined ? '' : `${beside.peer} ${shown(beside.value)}`,
  'times better': beside === undefined ? '' : shown(timesBetter(beside)),
});
