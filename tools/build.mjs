/** Builds `dist/`: the compiled sources, and the Lua scripts beside what loads them. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = join(root, 'dist');
const startedAt = new Date();

rmSync(dist, { recursive: true, force: true });
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
if (status !== 0) {
  console.error('Build failed; see the errors above.');
  process.exit(1);
}
copyScripts('src', 'dist');

// Written last, so a build that was cut short is none; dated to the start, so a file saved meanwhile is built again.
const stamp = join(dist, '.built');
writeFileSync(stamp, '');
utimesSync(stamp, startedAt, startedAt);

function copyScripts(from, to) {
  for (const name of readdirSync(join(root, from))) {
    const source = join(root, from, name);
    const target = join(root, to, name);
    if (statSync(source).isDirectory()) copyScripts(join(from, name), join(to, name));
    else if (name.endsWith('.lua')) {
      mkdirSync(dirname(target), { recursive: true });
      cpSync(source, target);
    }
  }
}
