import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { keptCharsMax, SharedState } from '../../../src/hub/shared-state.ts';
import { MemoryStore } from '../../../src/log/memory/memory-log.ts';
import type { RoomLog, RoomState, Write } from '../../../src/log/room-log.ts';
import type { RoomId, UserId } from '../../../src/model.ts';
import { readSettings } from '../../../src/settings.ts';
import { FakeClock } from '../../rig/fake-clock.ts';

const room = 'match-7' as RoomId;
const ann = { id: 'ann' as UserId, role: 'viewer' } as const;
const host = 'hanna' as UserId;

/** A log, and how many parts each of its answers held. */
function open() {
  const clock = new FakeClock();
  const { log } = new MemoryStore(readSettings({}), clock).open('a');
  const answers: number[] = [];
  const readState: RoomLog['readState'] = async (...asked) => {
    const state = await log.readState(...asked);
    answers.push(state.parts.size);
    return state;
  };
  const append = async (change: Write['change'], of = room) => {
    const write = { room: of, by: host, role: 'host' as const, once: null, rate: null, mutable: false, change };
    const appended = await log.append(write);
    assert.equal(appended.outcome, 'kept');
  };
  const put = (part: string, value: string, of = room) => append({ type: 'put', part, value, ifVersion: null }, of);
  return { log, answers, append, put, states: new SharedState({ readState }) };
}

const valuesOf = ({ parts }: RoomState) => Object.fromEntries([...parts].map(([name, { value }]) => [name, value]));

describe('the state of a room', () => {
  it('is read whole once for all who ask at a time, and not at all for whoever asks later', async () => {
    const { put, states, answers } = open();
    for (let n = 0; n < 5; n += 1) await put(`p${n}`, `${n}`);
    const all = await Promise.all(Array.from({ length: 24 }, () => states.read(room, null)));
    assert.equal(answers.filter((parts) => parts > 0).length, 1);
    assert.ok(
      all.every(({ parts }) => parts === all[0]?.parts),
      'they share what they got',
    );
    assert.equal((await states.read(room, null)).parts, all[0]?.parts);
  });

  it('is never older than the request', async () => {
    const { put, append, states, answers } = open();
    await put('title', '"a"');
    await states.read(room, null);
    for (let n = 0; n < 10; n += 1) {
      await put('score', `${n}`);
      const asked = await Promise.all([states.read(room, null), states.read(room, ann)]);
      for (const state of asked) assert.deepEqual(valuesOf(state), { title: '"a"', score: `${n}` });
    }
    await append({ type: 'remove', part: 'title', ifVersion: null });
    assert.deepEqual(valuesOf(await states.read(room, null)), { title: null, score: '9' });
    assert.ok(
      answers.slice(1).every((parts) => parts <= 1),
      'only what changed was read',
    );
  });

  it('is not read for whoever has the present version', async () => {
    const { put, states, answers, log } = open();
    await put('title', '"a"');
    const { tail, total } = await log.readState(room);
    const known = { epoch: tail.epoch, offset: total };
    assert.equal((await states.read(room, ann, known)).total, total);
    assert.deepEqual(answers, [0]);
    assert.deepEqual(valuesOf(await states.read(room, ann, { ...known, offset: total + 5 })), { title: '"a"' });
  });

  it('says of a banned reader that it is', async () => {
    const { put, append, states } = open();
    await put('title', '"a"');
    await append({ type: 'rule', kind: 'ban', rule: 'ban', user: ann.id, seconds: 0, body: '{"user":"ann"}' });
    const { tail, total } = await states.read(room, null);
    for (const known of [null, { epoch: tail.epoch, offset: total }]) {
      assert.equal((await states.read(room, ann, known)).banned, true);
    }
  });

  it('is kept up to a bound, and what was not used the longest goes', async () => {
    const { put, states } = open();
    const value = JSON.stringify('x'.repeat(16_000));
    const count = Math.ceil(keptCharsMax / (50 * 16_000)) + 3;
    for (let n = 0; n < count; n += 1) {
      for (let part = 0; part < 50; part += 1) await put(`p${part}`, value, `r${n}` as RoomId);
      assert.equal((await states.read(`r${n}` as RoomId, null)).parts.size, 50);
      assert.ok(states.keptChars <= keptCharsMax);
    }
  });
});
