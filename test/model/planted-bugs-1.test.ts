import assert from 'node:assert/strict';
import { test } from 'node:test';
import { huntShare } from './hunt.ts';
import { plantedBugs } from './planted-bugs.ts';

test('there are bugs to be found', () => {
  assert.ok(plantedBugs.length >= 31);
});

huntShare(0);
