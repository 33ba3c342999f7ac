/**
 * What the tests of sampled chat judge by: a reckoning of their own, from the times that the entries bear. So they hold
 * however slow the machine is, and whatever both logs might have in common.
 */

import assert from 'node:assert/strict';
import { declareMs } from '../../src/log/room-log.ts';
import type { Entry } from '../../src/model.ts';
import type { NodeLog } from '../rig/joined.ts';
import { event, idOf, markOf, type Stage } from './stage.ts';

/** Many at once, by turns from each of the nodes; in the order of their numbers. */
export async function flood(stage: Stage, size: number, logs: readonly NodeLog[] = [stage.log]) {
  const answers = await Promise.all(
    Array.from({ length: size }, (_, n) => stage.keep(event(), {}, logs[n % logs.length])),
  );
  return answers.toSorted((a, b) => a.position.offset - b.position.offset);
}

export async function readAll(stage: Stage, log: NodeLog = stage.log): Promise<readonly Entry[]> {
  const { tail } = await log.read(stage.room, null, 0);
  const epoch = tail.lineage[0]?.epoch ?? tail.epoch;
  return (await log.read(stage.room, { epoch, offset: 0 }, 10_000)).entries;
}

export const marksOf = (entries: readonly Entry[]): string =>
  entries.map((entry) => (entry.kind === 'gap' ? 'gap' : markOf(entry))).join(' ');
export const times = (mark: string, n: number): string => Array.from({ length: n }, () => mark).join(' ');

/**
 * What the entries of a room should be, judged by their own times with another reckoning than the log's: a bucket of
 * tokens. Fails where a lane is wrong, or where a declaration is missing, early, or not exact.
 */
export function judgeEntries(entries: readonly Entry[], limit: number) {
  let [tokens, atMs, dueMs, from] = [limit, entries[0]?.at ?? 0, 0, ''];
  const sum = { kept: 0, sampledOut: 0, gaps: 0, undeclared: 0 };
  for (const [index, entry] of entries.entries()) {
    const { kind, lane, status, at, body } = entry;
    if (kind === 'gap') {
      assert.deepEqual([lane, entry.audience], ['must', 'all']);
      assert.deepEqual(JSON.parse(body), { from, missed: sum.undeclared, lane: 'chat', cause: 'sampled' });
      assert.ok(sum.undeclared > 0 && (at >= dueMs || entries[index + 1]?.kind === 'end'), `${idOf(entry)} is early`);
      sum.gaps += 1;
      [sum.undeclared, dueMs] = [0, at + declareMs];
    }
    if (lane !== 'chat' || status === 'tombstone') continue;
    assert.ok(sum.undeclared === 0 || at < dueMs, `before ${idOf(entry)} a declaration was due`);
    tokens = Math.min(limit, tokens + ((at - atMs) * limit) / 1000);
    atMs = at;
    const isKept = tokens > 1 - 1e-6;
    assert.equal(markOf(entry), isKept ? 'chat' : 'sampled-out', `${idOf(entry)} after ${sum.kept} kept`);
    if (isKept) [tokens, sum.kept] = [tokens - 1, sum.kept + 1];
    else {
      if (sum.undeclared === 0) {
        from = `${entries[index - 1]?.epoch}.${entry.offset - 1}`;
        dueMs = dueMs > at ? dueMs : at + declareMs;
      }
      sum.sampledOut += 1;
      sum.undeclared += 1;
    }
  }
  return sum;
}
