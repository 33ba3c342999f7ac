/** RUNS sets the number of orders (300), SEED the first. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tell } from './tell.ts';

const runs = Number(process.env['RUNS'] ?? 300);
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

test(`whoever joins while others write has everything once, over ${runs} orders from seed ${seed}`, async () => {
  const { passed, output } = await tell({ what: 'orders', runs, seed });
  assert.ok(passed, output);
});
