/** Options of the benchmarks that watch streams, as `npm run bench -- NAME [options]` takes them. */

import { type PeerName, peerNames } from './servers/peers.ts';
import type { Arrivals } from './trace.ts';

export interface CrowdOptions {
  /** Null: the benchmark's own size. Of several, the first. */
  readonly viewers: number | null;
  /** All sizes that were asked for, where a benchmark measures more than one. */
  readonly sizes: readonly number[];
  /** Comments a second. */
  readonly rate: number | null;
  /** Length of what is measured. */
  readonly seconds: number | null;
  /** How often the servers are measured in turn. */
  readonly rounds: number | null;
  readonly seed: number;
  readonly nginx: boolean;
  readonly gzip: boolean;
  readonly against: readonly PeerName[];
  readonly arrivals: Arrivals;
  /** Another build of the gateway: the path of its compiled entry. */
  readonly entry: string | null;
  /** Where the gateway leaves a CPU profile. */
  readonly profile: string | null;
}

const arrivals: readonly Arrivals[] = ['even', 'poisson', 'bursts', 'live'];

/** What the command line takes for these benchmarks, beside what it takes for all. */
export const crowdFlags = {
  viewers: { type: 'string' },
  rate: { type: 'string' },
  rounds: { type: 'string' },
  seed: { type: 'string' },
  nginx: { type: 'boolean' },
  gzip: { type: 'boolean' },
  against: { type: 'string' },
  arrivals: { type: 'string' },
} as const;

export const crowdHelp = `
  --viewers N      how many watch; fanout also takes several, such as 1000,4000,16000
  --rate N         comments a second
  --rounds N       how often each server is measured, in turn
  --seed N         of the trace that is written
  --arrivals KIND  even, poisson, bursts, or live (bursts with likes between)
  --nginx          put nginx before the gateway
  --gzip           measure gzip beside plain
  --against LIST   measure others too: all, or some of ${peerNames.join(',')}
`;

export interface CrowdArguments {
  readonly seconds: number | null;
  readonly entry: string | undefined;
  readonly profile: string | undefined;
  readonly flags: { readonly [Name in keyof typeof crowdFlags]?: string | boolean | undefined };
}

/** @throws {Error} with a sentence that says what is right. */
export function readCrowdOptions({ seconds, entry, profile, flags }: CrowdArguments): CrowdOptions {
  const sizes = sizesOf(flags.viewers);
  return {
    seconds,
    viewers: sizes[0] ?? null,
    sizes,
    rate: numberOf('rate', flags.rate),
    rounds: numberOf('rounds', flags.rounds),
    seed: numberOf('seed', flags.seed) ?? 1,
    nginx: flags.nginx === true,
    gzip: flags.gzip === true,
    against: peersOf(flags.against),
    arrivals: flags.arrivals === undefined ? 'even' : oneOf('arrivals', arrivals, flags.arrivals),
    entry: entry ?? null,
    profile: profile ?? null,
  };
}

type Flag = string | boolean | undefined;

function numberOf(name: string, text: Flag): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${name} must be a number above 0.`);
  return value;
}

const sizesOf = (text: Flag): readonly number[] =>
  typeof text === 'string' ? text.split(',').map((size) => numberOf('viewers', size) ?? 0) : [];

function oneOf<Value extends string>(name: string, values: readonly Value[], text: Flag): Value {
  const found = values.find((value) => value === text);
  if (found === undefined) throw new Error(`--${name} must be one of ${values.join(', ')}.`);
  return found;
}

function peersOf(text: Flag): readonly PeerName[] {
  if (typeof text !== 'string') return [];
  return text === 'all' ? peerNames : text.split(',').map((name) => oneOf('against', peerNames, name));
}

/** What the command line says of the gateway itself. */
export function gatewayOptions({ entry, profile }: CrowdOptions): { entry?: string; nodeOptions?: string[] } {
  return {
    ...(entry === null ? {} : { entry }),
    ...(profile === null ? {} : { nodeOptions: ['--cpu-prof', `--cpu-prof-dir=${profile}`] }),
  };
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A figure as a table shows it: three digits that count. */
export const shown = (value: number): number => (Number.isFinite(value) ? Number(value.toPrecision(3)) : Number.NaN);
