/** Calls nginx: tests a configuration, reloads it, and asks the running one for its groups. */

import { execFile } from 'node:child_process';
import { isAbsolute, resolve } from 'node:path';
import { ask } from './ask.ts';
import { type Groups, GroupsRefusal, readGroups } from './groups-file.ts';

/** The words of a command line, without a shell. */
export type Words = readonly string[];

export interface CommandAnswer {
  readonly isFine: boolean;
  /** What it printed. */
  readonly text: string;
}

const commandTimeoutMs = 30_000;
const outputBytesMax = 1024 * 1024;

/** Splits a command line; quotes group words with spaces. */
export const wordsIn = (text: string): Words =>
  [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, plain]) => double ?? single ?? plain ?? '');

export function call([command = '', ...args]: Words): Promise<CommandAnswer> {
  return new Promise((done) => {
    const options = { timeout: commandTimeoutMs, maxBuffer: outputBytesMax };
    execFile(command, args, options, (error, stdout, stderr) => {
      const said = `${stdout}${stderr}`.trim();
      const reason = error === null || said !== '' ? said : error.message;
      done({ isFine: error === null, text: reason });
    });
  });
}

/** The configuration that a command names with `-c`; null if none. */
export function configurationOf(words: Words): string | null {
  const path = optionOf(words, '-c');
  if (path === null || isAbsolute(path)) return path;
  return resolve(optionOf(words, '-p') ?? '.', path);
}

/** The same command with another configuration. */
export const withConfiguration = (words: Words, path: string): Words =>
  words.map((word, at) => (words[at - 1] === '-c' ? path : word));

export function optionOf(words: Words, name: string): string | null {
  const at = words.indexOf(name);
  return at === -1 ? null : (words[at + 1] ?? null);
}

export interface Running {
  readonly digest: string;
  readonly groups: Groups;
}

/** The groups of the running nginx; null if none with groups answers. */
export async function askRunning(listen: readonly string[]): Promise<Running | null> {
  for (const address of listen) {
    const answer = await ask(`${localUrl(address)}/ringside-groups`).catch(() => null);
    if (answer === null || answer.status !== 200) continue;
    const { digest, file } = (answer.json ?? {}) as { digest?: unknown; file?: unknown };
    if (typeof digest !== 'string') continue;
    try {
      return { digest, groups: readGroups(JSON.stringify(file)) };
    } catch (error) {
      // Another version of Ringside may have rendered them.
      if (!(error instanceof GroupsRefusal)) throw error;
    }
  }
  return null;
}

/** The address at which this machine reaches nginx. */
export const localUrl = (listen: string): string =>
  `http://${listen.replace(/^(?:\*|0\.0\.0\.0):/, '127.0.0.1:').replace(/^\[::\]:/, '[::1]:')}`;
