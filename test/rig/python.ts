/** The Python that has the `requests` library: the first one on the PATH, or the distribution's. */

import { spawnSync } from 'node:child_process';

export function pythonWithRequests(): string {
  const found = ['python3', '/usr/bin/python3'].find(
    (name) => spawnSync(name, ['-c', 'import requests'], { stdio: 'ignore' }).status === 0,
  );
  if (found === undefined) throw new Error('There is no Python with requests; `node tools/ensure.mjs test` says how.');
  return found;
}
