/**
 * The functions that run inside Redis, assembled from `scripts/`. The names of the library and of its functions contain
 * a digest of its text: gateways of different versions run side by side during a rolling upgrade, each with its own
 * library. Old libraries, a few KiB each, stay until an operator deletes them (`FUNCTION LIST`, `FUNCTION DELETE`).
 */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

const read = (file: string): string => readFileSync(new URL(`./scripts/${file}.lua`, import.meta.url), 'utf8');

const text = [
  'shared',
  'directory',
  'rules',
  'chat',
  'retract',
  'append',
  'settle',
  'read',
  'read-state',
  'read-rules',
  'presence',
  'prolong',
  'renew',
  'probe',
]
  .map(read)
  .join('\n');
const digest = createHash('sha256').update(text).digest('hex').slice(0, 8);

export type LibraryFunction =
  | 'append'
  | 'settle'
  | 'read'
  | 'read_state'
  | 'read_rules'
  | 'presence'
  | 'prolong'
  | 'renew'
  | 'probe';

const libraryName = `ringside_${digest}`;
/** The shebang must be the first line; the rest of the prelude names the functions. */
export const librarySource = `#!lua name=${libraryName}\nlocal function name(short) return short .. '_${digest}' end\n${text}`;
export const functionName = (short: LibraryFunction): string => `${short}_${digest}`;
