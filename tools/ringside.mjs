#!/usr/bin/env node
/**
 * What `npx ringside` runs in a clone: brings the build up to date, then the command. In an image, where there is only
 * the build, `node dist/cli.js` is the same.
 */

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ensure = fileURLToPath(new URL('ensure.mjs', import.meta.url));
// What this prints must not get between the command and who reads its JSON.
const { status } = spawnSync(process.execPath, [ensure, 'build'], { stdio: ['ignore', process.stderr, 'inherit'] });
if (status !== 0) process.exit(1);
await import(new URL('../dist/cli.js', import.meta.url).href);
