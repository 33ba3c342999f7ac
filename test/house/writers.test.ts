/** Invariant 8: who writes to a stream's socket can be told from the source. A head that is no request never is a stream. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sources, textOf, withoutComments } from './sources.ts';

const writes = /\b(?:socket|raw|response|reply\.raw)\??\.(?:write|end|pipe)\(|\.pipe\(|\bpipeline\(/;

test('only stream/viewer writes stream bytes', () => {
  const writers = sources().filter((path) => writes.test(withoutComments(textOf(path)).replaceAll('#', '')));
  assert.deepEqual(writers, ['src/http/bad-head.ts', 'src/stream/viewer.ts']);
});
