import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Refusal } from '../../../src/errors.ts';
import type { Appended, RoomLog, Write } from '../../../src/log/room-log.ts';
import type { Epoch, RoomId } from '../../../src/model.ts';
import { LogCalls, watchCalls } from '../../../src/ops/log-calls.ts';
import { FakeClock } from '../../rig/fake-clock.ts';
import { totalsOf } from '../../rig/histogram-totals.ts';

const kept = (at: number, repeated = false): Appended => ({
  outcome: 'kept',
  position: { epoch: 'e' as Epoch, offset: 1 },
  at,
  connected: 0,
  total: 0,
  pending: false,
  repeated,
});
const write = {} as Write;
const roomId = 'a' as RoomId;

/** A log of which only what a test calls is there, and keeps its own `this`. */
class SomeLog {
  readonly #secret = 'own';
  answer: () => Promise<unknown> = () => Promise.resolve(this.#secret);

  append(): Promise<unknown> {
    return this.answer();
  }

  settle(): Promise<unknown> {
    return this.answer();
  }

  isReady(): boolean {
    return this.#secret === 'own';
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function watched() {
  const log = new SomeLog();
  const calls = new LogCalls();
  const clock = new FakeClock();
  return { log, calls, clock, seen: watchCalls(log as unknown as RoomLog, calls, clock) };
}
const countOf = async (calls: LogCalls, name: string): Promise<number> =>
  (await totalsOf(calls.seconds, { function: name })).count;

describe('a watched log', () => {
  it('answers as the log itself does, and times what is answered later', async () => {
    const { log, seen, calls } = watched();
    assert.equal(await (seen.settle(roomId, 'likes') as Promise<unknown>), 'own');
    assert.equal(seen.isReady(), true);
    await seen.close();
    let answer: (value: unknown) => void = () => undefined;
    log.answer = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const settling = seen.settle(roomId, 'likes');
    assert.equal(await countOf(calls, 'settle'), 1, 'a call counts when it is over');
    answer(5);
    assert.equal(await settling, 5);
    assert.equal(await countOf(calls, 'settle'), 2);
    assert.equal(await countOf(calls, 'close'), 0);
  });

  it('tells refusals by their codes from internal errors, and times those too', async () => {
    const { log, seen, calls } = watched();
    for (const error of [
      new Refusal('log-unavailable', 'Away.'),
      new Refusal('outcome-unknown', 'Who knows.'),
      new Refusal('outcome-unknown', 'Who knows.'),
      new Refusal('malformed', 'Not of a log.'),
      new TypeError('ours'),
    ]) {
      log.answer = () => Promise.reject(error);
      await assert.rejects(seen.append(write), error);
    }
    assert.deepEqual(calls.errors, { 'log-unavailable': 1, 'outcome-unknown': 2, overloaded: 0, internal: 2 });
    assert.equal(await countOf(calls, 'append'), 5);
  });

  it("knows by how much the log's clock is surely ahead or behind, and blames no answer that was slow", async () => {
    const { log, seen, calls, clock } = watched();
    const began = clock.now();
    const wrote = async (at: number, tookMs: number, repeated = false): Promise<number> => {
      log.answer = async () => {
        clock.advance(tookMs);
        return kept(at, repeated);
      };
      await seen.append(write);
      return calls.clockAheadMs;
    };
    assert.equal(await wrote(began + 700, 100), 600);
    assert.equal(await wrote(began + 130, 100), 0, 'within the call');
    assert.equal(await wrote(began - 50, 100), -250);
    assert.equal(await wrote(began - 9_000, 100, true), -250, 'a repeat is as old as the first');
  });
});
