/**
 * The file `.env`, as editors and shells of all systems write it: in UTF-8 or, as PowerShell does, in UTF-16, with a byte
 * order mark or without. A folder of that name is somebody else's, such as a Python environment.
 */

import { readFileSync, statSync } from 'node:fs';
import { parseEnv } from 'node:util';
import { SettingsError } from './settings.ts';

/**
 * The variables in the file; none where there is no such file.
 * @throws {SettingsError} where it is there and cannot be read.
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
