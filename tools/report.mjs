/**
 * What `npm test` prints where nobody watches: one line for each file, everything of what failed, and the runner's own
 * summary. It is the runner's TAP without what passed. A file's seconds are those of its process.
 */

import { relative, resolve } from 'node:path';
import { tap } from 'node:test/reporters';

export default async function* report(events) {
  let file = null;
  /** Milliseconds by file. The runner says them of a file as of a test that is named after it. */
  const durations = new Map();
  let counts = { passed: 0, failed: 0 };
  /** What lies in a test or suite of the first level comes before it. */
  let inside = { passed: 0, failed: 0 };
  for await (const event of events) {
    const { type, data } = event;
    if (type === 'test:complete' && data.nesting === 0 && resolve(data.name) === data.file)
      durations.set(data.file, data.details.duration_ms);
    const isResult = type === 'test:pass' || type === 'test:fail';
    // A suite is not counted beside its tests.
    if (isResult && data.details.type !== 'suite') inside[type === 'test:pass' ? 'passed' : 'failed'] += 1;
    const isSummary = type === 'test:diagnostic' && data.nesting === 0;
    if (isSummary || (isResult && data.nesting === 0 && data.file !== file)) {
      if (file !== null) yield lineOf(file, counts, durations.get(file));
      file = isSummary ? null : data.file;
      counts = { passed: 0, failed: 0 };
    }
    if (isResult && data.nesting === 0) {
      counts = { passed: counts.passed + inside.passed, failed: counts.failed + inside.failed };
      inside = { passed: 0, failed: 0 };
    }
    if (isSummary || type === 'test:fail' || type === 'test:stderr') yield* asTap(event);
  }
}

const lineOf = (file, { passed, failed }, ms) =>
  `# ${relative(process.cwd(), file)}: ${passed} passed${failed > 0 ? `, ${failed} failed` : ''}${ms === undefined ? '' : `, ${(ms / 1000).toFixed(1)} s`}\n`;

async function* asTap(event) {
  for await (const text of tap([event])) if (!text.startsWith('TAP version')) yield text;
}
