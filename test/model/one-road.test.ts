/**
 * The promise, held against a small model: whatever happens to writers, viewers, nodes and the log, and however it
 * interleaves, what a viewer received and the gaps that it was told of are everything that was published to it, in
 * order, without doubles, and with nothing that was not for it.
 *
 * RUNS sets the number of stories (500), SEED the first of them; a failure prints both, and the shortest story that fails.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toldStories } from './stories.ts';
import { tell } from './tell.ts';

const runs = Number(process.env['RUNS'] ?? 500);
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);

test(`received and declared is what was published, over ${runs} stories from seed ${seed}`, async () => {
  const { passed, output } = await tell({ what: 'random', runs, seed });
  assert.ok(passed, output);
});

const told = tell({ what: 'told' });

for (const name of toldStories.keys()) {
  test(`received and declared is what was published, where ${name}`, async () => {
    const { output } = await told;
    assert.ok(output.includes(`It holds where ${name}.`), output);
  });
}
