/** Chromium from the system, found on the PATH, without a window and without calls home. */

import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const args = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
];

export async function openBrowser(): Promise<Browser> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const executablePath = join(folder, 'chromium');
    const isThere = await access(executablePath, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return chromium.launch({ executablePath, args });
  }
  return assert.fail('chromium must be on the PATH');
}
