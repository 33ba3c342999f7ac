import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { type RunningGateway, startGateway } from '../rig/gateway.ts';
import { type StreamReader, watch } from '../rig/stream-reader.ts';
import { makeToken } from '../rig/tokens.ts';

let gateway: RunningGateway;
const readers: StreamReader[] = [];

beforeEach(async () => {
  gateway = await startGateway({ environment: { VIEWER_COUNT_MS: '50', ANONYMOUS_VIEWERS: 'on' } });
});
afterEach(async () => {
  for (const reader of readers.splice(0)) reader.close();
  await gateway.close();
});

async function seat(token: string | null): Promise<StreamReader> {
  const reader = await watch(gateway.url, { token });
  readers.push(reader);
  return reader;
}
const knows = (reader: StreamReader, audience: string): Promise<unknown> =>
  reader.until(() => reader.audience === audience, `${audience}, not ${reader.audience}`);

describe('how many watch', () => {
  it('is told to everyone, of every class, when it changed and not again', async () => {
    const ann = await seat(gateway.token('ann'));
    await knows(ann, '1 viewers, 1 users');
    const all = [ann, await seat(gateway.token('ann')), await seat(gateway.token('mo', 'moderator')), await seat(null)];
    for (const reader of all) await knows(reader, '4 viewers, 2 users');
    const told = ann.audiences.length;
    for (let n = 0; n < 20; n += 1) await gateway.post('comment', { text: `${n}` });
    await ann.until(() => ann.named('comment').length === 20, 'the comments');
    assert.equal(ann.audiences.length, told);
  });

  it('is told once to who joins, whatever else is about to be flushed', async () => {
    for (let n = 0; n < 20; n += 1) {
      const room = `room-${n}`;
      const as = makeToken({ claims: { sub: 'ann', rooms: { [room]: 'viewer' } } });
      const all: StreamReader[] = [];
      for (let viewers = 1; viewers <= 3; viewers += 1) {
        const reader = await watch(gateway.url, { room, token: as });
        readers.push(reader);
        all.push(reader);
        for (const one of all) await knows(one, `${viewers} viewers, 1 users`);
      }
      // Whatever was on its way has come with what is flushed after it.
      await gateway.post('comment', { text: 'hello' }, { room, as });
      for (const [before, reader] of all.entries()) {
        await reader.first('comment');
        const told = reader.audiences.map(({ viewers }) => viewers);
        assert.deepEqual(told, [...new Set(told)], `viewer ${before + 1} of ${room}`);
      }
    }
  });

  it('comes to a newcomer right after its state, in one write with the greeting', async () => {
    const ann = await seat(gateway.token('ann'));
    await knows(ann, '1 viewers, 1 users');
    const ben = await seat(gateway.token('ben'));
    await ben.until(() => ben.audiences.length > 0, 'the number');
    assert.deepEqual(ben.audiences[0], { viewers: 1, users: 1, after: 2 });
    assert.match(
      ben.text,
      /^retry: \d+\n\nid: \S+\nevent: resume\ndata: .*\n\nevent: state\ndata: .*\n\nevent: audience\n/,
    );
    await knows(ben, '2 viewers, 2 users');
  });

  it('is not among what is pulled, nor does it move a cursor', async () => {
    const ann = await seat(gateway.token('ann'));
    await knows(ann, '1 viewers, 1 users');
    const headers = { authorization: `Bearer ${gateway.token('ben')}` };
    const first = await gateway.ask('/rooms/match-7/events', { headers });
    const id = await gateway.post('comment', { text: 'hello' });
    const next = await gateway.ask(`/rooms/match-7/events?after=${first.json['next']}`, { headers });
    assert.deepEqual(
      (next.json['events'] as { event: string; id: string }[]).map((one) => [one.event, one.id]),
      [['comment', id]],
    );
  });
});
