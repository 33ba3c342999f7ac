/**
 * Reads the settings of `settings-table.ts` from the environment. A wrong value stops the start with a sentence that says
 * which values are right.
 */

import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { findMisspelt, type Misspelt } from './misspelt.ts';
import { faultOfOrigin } from './origin.ts';
import { type SettingRow, settingsTable } from './settings-table.ts';

type Camel<Name extends string> = Name extends `${infer Head}_${infer Rest}`
  ? `${Lowercase<Head>}${Capitalize<Camel<Rest>>}`
  : Lowercase<Name>;
type ValueOf<R> = R extends { kind: 'integer' }
  ? number
  : R extends { kind: 'switch' }
    ? boolean
    : R extends { kind: 'list' }
      ? readonly string[]
      : R extends { choices: readonly (infer Choice)[] }
        ? Choice
        : R extends { default: null }
          ? string | null
          : string;

/** The parsed settings: `FLUSH_MS` is `flushMs`, and so on. */
export type Settings = {
  readonly [R in (typeof settingsTable)[number] as Camel<R['name']>]: ValueOf<R>;
} & { readonly nodeId: string };

/** A sentence about a setting that stops the start. */
export class SettingsError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SettingsError';
  }
}

const camel = (name: string): string => name.toLowerCase().replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

type Environment = Readonly<Record<string, string | undefined>>;

const rows: readonly SettingRow[] = settingsTable;
const secretNames = rows.flatMap((row) => (row.kind === 'text' && row.isSecret ? [row.name, `${row.name}_FILE`] : []));

/** Variables whose names are nearly those of settings; the gateway warns of them. */
export const misspeltIn = (environment: Environment): readonly Misspelt[] =>
  findMisspelt([...rows.map(({ name }) => name), ...secretNames], environment);

/**
 * Reads the settings from environment variables. Unknown variables are ignored, because the environment has many owners,
 * except a nearly right name of a key or an address.
 * @throws {SettingsError} on the first wrong value.
 */
export function readSettings(environment: Environment): Settings {
  for (const { name, meant } of misspeltIn(environment)) {
    if (secretNames.includes(meant))
      throw new SettingsError(
        `Unknown setting ${name}; did you mean ${meant}? Rename it, or set ${meant} too if ${name} belongs to another program.`,
      );
  }
  const values: Record<string, unknown> = {};
  for (const row of rows) values[camel(row.name)] = readOne(row, environment);
  values['nodeId'] ??= `${
    hostname()
      .replace(/[^A-Za-z0-9]/g, '-')
      .replace(/^-+/, '')
      .slice(0, 20) || 'node'
  }-${randomBytes(4).toString('hex')}`;
  return checkTogether(values as Settings);
}

function readOne(row: SettingRow, environment: Environment): unknown {
  const text = readText(row, environment);
  if (text === undefined) return row.default;
  switch (row.kind) {
    case 'integer': {
      const value = Number(text);
      const isFine = /^-?[0-9]+$/.test(text) && value >= row.min && value <= row.max;
      if (!isFine)
        throw new SettingsError(`${row.name} must be a whole number from ${row.min} to ${row.max} (${row.unit}).`);
      return value;
    }
    case 'switch':
      if (text !== 'on' && text !== 'off') throw new SettingsError(`${row.name} must be on or off.`);
      return text === 'on';
    case 'choice':
      if (!row.choices.includes(text)) throw new SettingsError(`${row.name} must be one of ${row.choices.join(', ')}.`);
      return text;
    case 'list':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    case 'text':
      if (row.pattern && !new RegExp(row.pattern).test(text))
        throw new SettingsError(`${row.name} must be ${row.patternMeaning}.`);
      return text;
  }
}

/** An empty variable counts as absent, so that a compose file can pass every name on. */
function readText(row: SettingRow, environment: Environment): string | undefined {
  const direct = environment[row.name] || undefined;
  if (row.kind !== 'text' || !row.isSecret) return direct;
  const path = environment[`${row.name}_FILE`] || undefined;
  if (path === undefined) return direct === undefined ? undefined : bareSecret(direct);
  if (direct !== undefined) throw new SettingsError(`Set ${row.name} or ${row.name}_FILE, not both.`);
  try {
    return bareSecret(readFileSync(path, 'utf8'));
  } catch {
    throw new SettingsError(`${row.name}_FILE must name a readable file; ${path} is not.`);
  }
}

/** The ADMIN_TOKEN, for programs that give orders to the admin port; null if there is none. */
export function readAdminToken(environment: Readonly<Record<string, string | undefined>> = process.env): string | null {
  const row = rows.find(({ name }) => name === 'ADMIN_TOKEN');
  return row === undefined ? null : (readOne(row, environment) as string | null);
}

/** Strips what editors and `echo` add: line breaks at the end, and a byte order mark. */
const bareSecret = (text: string): string => text.replace(/^\uFEFF/, '').replace(/[\r\n]+$/, '');

const keyNames = ['TOKEN_SECRET', 'TOKEN_PUBLIC_KEY', 'TOKEN_JWKS_URL'] as const;
const algorithms = ['HS256', 'RS256', 'ES256', 'EdDSA'];
/** Secrets from documentation, which anybody can look up. */
const knownSecrets = /^(.)\1*$|secret|password|changeme|example|your-256-bit/i;

function checkTogether(settings: Settings): Settings {
  const keys = [settings.tokenSecret, settings.tokenPublicKey, settings.tokenJwksUrl];
  if (keys.filter((key) => key !== null).length > 1) throw new SettingsError(`Set only one of ${keyNames.join(', ')}.`);
  if (settings.tokenSecret !== null) {
    if (Buffer.byteLength(settings.tokenSecret) < 32)
      throw new SettingsError('TOKEN_SECRET must have at least 32 bytes.');
    if (knownSecrets.test(settings.tokenSecret)) {
      throw new SettingsError(
        'TOKEN_SECRET must be random; this one can be guessed. Generate one with `openssl rand -base64 48`.',
      );
    }
  }
  const unknown = settings.tokenAlgorithms.find((name) => !algorithms.includes(name));
  if (unknown !== undefined)
    throw new SettingsError(`TOKEN_ALGORITHMS must list only ${algorithms.join(', ')}; ${unknown} is not supported.`);
  const isLoopback = settings.listenSocket !== null || ['127.0.0.1', '::1', 'localhost'].includes(settings.host);
  if (keys.every((key) => key === null) && !isLoopback) {
    throw new SettingsError(
      `Set one of ${keyNames.join(', ')}. Without a token key the gateway starts only on loopback.`,
    );
  }
  if (settings.demo === 'on' && settings.tokenSecret === null && keys.some((key) => key !== null)) {
    throw new SettingsError('DEMO=on requires a key that can sign tokens: set TOKEN_SECRET, or no token key.');
  }
  for (const origin of settings.corsOrigins) {
    const fault = faultOfOrigin(origin);
    if (fault !== null)
      throw new SettingsError(`CORS_ORIGINS must list origins such as https://example.org; ${origin} ${fault}.`);
  }
  return { ...settings, basePath: settings.basePath.replace(/\/$/, '') };
}
