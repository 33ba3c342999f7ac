/**
 * Reads the file `.env` as editors and shells of all systems write it: in UTF-8 or, like PowerShell, in UTF-16, with or
 * without a byte order mark. A folder of that name belongs to another program, such as a Python environment.
 */

import { readFileSync, statSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { SettingsError } from './settings.ts';

/**
 * The variables in the file; none if it does not exist.
 * @throws {SettingsError} if it exists and cannot be read.
 */
export function readEnvFile(path: string): Readonly<Record<string, string | undefined>> {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return {};
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new SettingsError(`${path} must be a file that can be read (${(error as NodeJS.ErrnoException).code}).`);
  }
  const text = bytes[0] === 0xff && bytes[1] === 0xfe ? bytes.toString('utf16le') : bytes.toString('utf8');
  return parseEnv(text.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n'));
}
