/**
 * The one command for all benchmarks: `npm run bench -- NAME [options]`. Each prints a table of what it measured, or
 * with `--json` the same as JSON, and fails where what it measured did not happen as it should.
 */

import { parseArgs } from 'node:util';
import { type CrowdArguments, type CrowdOptions, crowdFlags, crowdHelp, readCrowdOptions } from './crowd-options.ts';
import type { Row } from './row.ts';

interface Options {
  readonly seconds: number | null;
  readonly entry: string | undefined;
  readonly profile: string | undefined;
  readonly log: string | undefined;
  readonly rooms: string | undefined;
  readonly flags: CrowdArguments['flags'];
}

interface Benchmark {
  readonly about: string;
  run(options: Options): Promise<readonly Row[]>;
}

const benchmarks: Readonly<Record<string, Benchmark>> = {
  writes: {
    about: 'what an accepted comment costs the gateway and Redis (--log redis|embedded, --rooms 10, --seconds 10)',
    run: async ({ seconds, entry, profile, log, rooms }) => {
      const { benchWrites } = await import('./writes.ts');
      if (log !== undefined && log !== 'redis' && log !== 'embedded') throw new Usage('--log is redis or embedded.');
      return benchWrites({
        seconds: seconds ?? 10,
        logs: log === undefined ? ['redis', 'embedded'] : [log],
        ...(rooms === undefined ? {} : { rooms: roomsOf(rooms) }),
        ...(entry === undefined ? {} : { entry }),
        ...(profile === undefined ? {} : { profile }),
      });
    },
  },
  fanout: crowd('what it costs to give events to many viewers', () => import('./fanout.ts')),
  flat: crowd('the same for 1,000 to 16,000 viewers with as many deliveries a second', async () => ({
    run: (await import('./fanout.ts')).runFlat,
  })),
  idle: crowd('memory of 8,000 viewers with tokens that only watch', () => import('./idle.ts')),
  join: crowd('how many viewers come in per second and core', () => import('./join.ts')),
  resume: crowd('viewers that are cut each 15 s for 2 s', () => import('./resume.ts')),
  restart: crowd('a gateway that is killed with 5,000 viewers on it', () => import('./restart.ts')),
  slow: crowd('1,000 viewers that read nothing beside healthy ones', () => import('./slow.ts')),
  rooms: crowd('1,000 rooms on one node, and what an event costs Redis', () => import('./rooms.ts')),
  fleet: crowd(
    'four gateways in two groups behind nginx, and all that operators do to them',
    () => import('./fleet.ts'),
  ),
  all: crowd('every aim in one table, each measured briefly: some eight minutes', () => import('./all.ts')),
};

interface CrowdModule {
  run(options: CrowdOptions): Promise<readonly Row[]>;
}

/** A benchmark that watches streams. It is loaded when it is run. */
function crowd(about: string, load: () => Promise<CrowdModule>): Benchmark {
  const read = (options: Options): CrowdOptions => {
    try {
      return readCrowdOptions(options);
    } catch (error) {
      throw new Usage((error as Error).message);
    }
  };
  return { about, run: async (options) => (await load()).run(read(options)) };
}

function roomsOf(text: string): number {
  const rooms = Number(text);
  if (!(Number.isInteger(rooms) && rooms >= 1 && rooms <= 1000)) throw new Usage('--rooms is from 1 to 1000.');
  return rooms;
}

class Usage extends Error {}

const help = `npm run bench -- NAME [options]

${Object.entries(benchmarks)
  .map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`)
  .join('\n')}

  --seconds N      how long to measure
  --json           print JSON instead of a table
  --entry FILE     measure another build: its compiled main.js
  --profile DIR    write CPU profiles of the gateway to this folder
  --help           print this

Where streams are watched:
${crowdHelp}`;

async function main(args: string[]): Promise<void> {
  const { values, positionals } = parse(args);
  const [name] = positionals;
  if (values.help || name === undefined) {
    process.stdout.write(help);
    return;
  }
  const benchmark = Object.hasOwn(benchmarks, name) ? benchmarks[name] : undefined;
  if (benchmark === undefined || positionals.length > 1)
    throw new Usage(`There is no benchmark ${positionals.join(' ')}.`);
  const seconds = values.seconds === undefined ? null : Number(values.seconds);
  if (seconds !== null && !(seconds > 0 && seconds <= 3600)) throw new Usage('--seconds is from 1 to 3600.');
  const rows = await benchmark.run({
    seconds,
    entry: values.entry,
    profile: values.profile,
    log: values.log,
    rooms: values.rooms,
    flags: values,
  });
  if (values.json) process.stdout.write(`${JSON.stringify(rows, null, 2)}\n`);
  else console.table(rows);
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        seconds: { type: 'string' },
        json: { type: 'boolean' },
        entry: { type: 'string' },
        profile: { type: 'string' },
        log: { type: 'string' },
        rooms: { type: 'string' },
        ...crowdFlags,
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new Usage((error as Error).message);
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  if (error instanceof Usage) process.stderr.write(`${error.message}\n\n${help}`);
  else console.error(error);
  process.exit(1);
});
