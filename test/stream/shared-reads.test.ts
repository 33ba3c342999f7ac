/** A crowd that asks for the same costs the log one reading, and nobody is given less than was there when it asked. */

import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { MetricsText } from '../rig/metrics-text.ts';

let gateway: RunningGateway;
afterEach(() => gateway.close());

const calls = async (name: string): Promise<number> => {
  const { body } = await gateway.gateway.admin.inject('/metrics');
  return new MetricsText(body).of('ringside_log_call_seconds_count', { function: name });
};
const pull = (after: string, user: string) =>
  gateway.ask(`/rooms/${room}/events?limit=500&after=${after}`, {
    headers: { authorization: `Bearer ${tokenOf(user)}` },
  });
const idsOf = ({ json }: { json: Record<string, unknown> }): string[] =>
  (json['events'] as { id: string }[]).map(({ id }) => id);

describe('pulls of one range', () => {
  it('by a crowd are one reading, and each gets what is its own', async () => {
    gateway = await startGateway();
    const first = await gateway.post('comment', { text: 'first' });
    const all: string[] = [];
    for (let n = 0; n < 20; n += 1) all.push(await gateway.post('comment', { text: `${n}` }));
    const direct = await gateway.post('direct', { to: ['u3'], type: 'wink', data: {} });
    await pull(direct, 'early');
    const before = await calls('read');
    const answers = await Promise.all(Array.from({ length: 24 }, (_, n) => pull(first, `u${n}`)));
    for (const [n, answer] of answers.entries()) assert.deepEqual(idsOf(answer), n === 3 ? [...all, direct] : all);
    assert.ok((await calls('read')) - before <= 3, 'and not one for each');
  });

  it('hold what was acknowledged before, and never what was retracted before', async () => {
    gateway = await startGateway();
    const first = await gateway.post('comment', { text: 'first' });
    const all: string[] = [];
    for (let n = 0; n < 15; n += 1) {
      all.push(await gateway.post('comment', { text: `${n}` }));
      assert.deepEqual(idsOf(await pull(first, 'ann')), all);
    }
    const gone = all.splice(4, 1)[0];
    all.push(await gateway.post('retract', { id: gone }));
    assert.deepEqual(idsOf(await pull(first, 'ann')), all);
  });
});

describe('the state', () => {
  it('whatever is written behind the question mark, is read whole once and is the present one', async () => {
    gateway = await startGateway({ environment: { ANONYMOUS_VIEWERS: 'on' } });
    for (let n = 0; n < 8; n += 1) await gateway.put(`p${n}`, 'x'.repeat(10_000));
    const ask = () => gateway.ask(`/rooms/${room}/state?x=${Math.random()}`);
    const crowd = await Promise.all(Array.from({ length: 24 }, ask));
    assert.equal(new Set(crowd.map(({ text }) => text)).size, 1);
    for (let n = 0; n < 10; n += 1) {
      const { json } = await gateway.put('score', n);
      const answer = await ask();
      assert.equal(answer.json['total'], json['version']);
      const etag = answer.headers.get('etag') ?? '';
      const again = await fetch(`${gateway.url}/rooms/${room}/state?x=${n}`, { headers: { 'if-none-match': etag } });
      assert.deepEqual([again.status, await again.text()], [304, '']);
    }
  });
});
