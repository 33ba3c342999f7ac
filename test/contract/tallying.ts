/** The contract of a room's log: an event that adds to a counter and is receipted, all in one step. */

import assert from 'node:assert/strict';
import { formatPosition } from '../../src/log/position.ts';
import type { Change } from '../../src/log/room-log.ts';
import { type OpenHarness, promise, rule, user } from './stage.ts';

const [ann, bob] = [user('ann'), user('bob')];
const gift = (by: number): Change => ({
  type: 'tally',
  kind: 'gift',
  body: `{"count":${by}}`,
  counter: 'gifts',
  by,
  receipt: { to: ann, body: '{"type":"gift"}' },
});
const once = { once: { key: 'k', digest: 'd' } };

export function tallyContract(open: OpenHarness): void {
  promise(
    'it is told to all, receipted to one, and counted; the answer names the event',
    open,
    async (stage) => {
      const two = await stage.harness.node('two');
      const [near, far] = [await stage.follow(), await stage.follow(two)];
      await two.enter(stage.room, ann);
      const first = await stage.keep(gift(3));
      const second = await stage.keep(gift(4));
      assert.deepEqual([first.position.offset, first.connected, first.total, first.pending], [1, 1, 3, false]);
      assert.deepEqual([second.position.offset, second.connected, second.total, second.pending], [4, 1, 7, true]);
      await far.has(5);
      assert.deepEqual(
        far.entries.map(({ kind, lane, audience, body }) => [kind, lane, audience, body]),
        [
          ['gift', 'must', 'all', '{"count":3}'],
          ['direct', 'must', [ann], `{"of":"${formatPosition(first.position)}","type":"gift"}`],
          ['state', 'must', 'all', '{"part":"gifts","value":{"total":3}}'],
          ['gift', 'must', 'all', '{"count":4}'],
          ['direct', 'must', [ann], `{"of":"${formatPosition(second.position)}","type":"gift"}`],
        ],
      );
      await near.has(3);
      assert.deepEqual(near.offsets, [1, 3, 4]);
      await stage.log.settle(stage.room, 'gifts');
      assert.equal((await stage.log.readState(stage.room)).parts.get('gifts')?.value, '{"total":7}');
    },
    { countMs: 60_000 },
  );

  promise('a repeat tells, receipts and counts nothing', open, async (stage) => {
    const first = await stage.keep(gift(3), once);
    const { offset } = await stage.tail();
    assert.deepEqual(await stage.keep(gift(3), once), { ...first, repeated: true });
    assert.equal((await stage.tail()).offset, offset);
    assert.equal((await stage.keep(gift(1))).total, 4);
  });

  promise('one that is refused counts nothing', open, async (stage) => {
    await stage.keep(rule('mute', bob, 60));
    await stage.refuse('muted', gift(3), { by: bob });
    assert.equal((await stage.keep(gift(1))).total, 1);
  });
}
