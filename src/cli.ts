#!/usr/bin/env node
/** The `ringside` command: alone it runs one gateway, like `dist/main.js`; `ringside groups` renders and applies groups. */

import { runGroups, systemTerminal, usage } from './groups/command.ts';
import { tameOutputs } from './outputs.ts';
import { packageVersion } from './version.ts';

tameOutputs();
const [word = 'start', ...rest] = process.argv.slice(2);
if (word === 'start' && rest.length === 0) await import('./main.ts');
else if (['version', '--version', '-v'].includes(word)) process.stdout.write(`${packageVersion()}\n`);
else if (word === 'groups') process.exitCode = await runGroups(rest, systemTerminal());
else {
  process.stdout.write(
    `ringside            runs one gateway; settings are environment variables\nringside --version  prints the version\n${usage}\n`,
  );
  process.exitCode = ['help', '--help', '-h'].includes(word) ? 0 : 2;
}
