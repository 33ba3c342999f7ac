import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type RunningGateway, startGateway, tokenOf } from '../rig/gateway.ts';
import { type LogMessage, type StreamReader, watch } from '../rig/stream-reader.ts';
import { waitFor } from '../rig/wait-for.ts';

/** One comment a second, and one at once: all others of a burst are left out. */
const environment = { CHAT_PER_SECOND: '1' };
const size = 6;

let gateway: RunningGateway;
before(async () => {
  gateway = await startGateway({ environment });
});
after(() => gateway.close());

const tokenFor = (user: string, room: string, role = 'viewer'): string =>
  tokenOf(user, role, { rooms: { [room]: role } });
const sit = (user: string, room: string, role?: string, lastId?: string): Promise<StreamReader> =>
  watch(gateway.url, {
    room,
    token: tokenFor(user, room, role),
    ...(lastId === undefined ? {} : { headers: { 'last-event-id': lastId } }),
  });
/** Comments of one author, one after the other; their ids. */
async function burst(author: string, room: string, count = size): Promise<string[]> {
  const ids: string[] = [];
  for (let left = count; left > 0; left -= 1) {
    ids.push(await gateway.post('comment', { text: `${left}` }, { as: tokenFor(author, room), room }));
  }
  return ids;
}
const comments = (heard: readonly LogMessage[]): (string | undefined)[] =>
  heard.filter(({ event }) => event === 'comment').map(({ id }) => id);
const declared = (heard: readonly LogMessage[]): number =>
  heard.filter(({ event }) => event === 'gap').reduce((sum, { data }) => sum + Number(data['missed']), 0);
/** Everything said before has been shown or declared when it is heard: nothing is left out of it. */
const beat = (room: string): Promise<string> =>
  gateway.post('signal', { type: 'beat', data: {} }, { as: tokenFor('hanna', room, 'host'), room });

describe('in a room in which more is said than people can read', () => {
  it('viewers get what they can read and are told how much was left out, and staff get all', async () => {
    const room = 'flooded';
    const [ann, mod] = [await sit('ann', room), await sit('mod', room, 'moderator')];
    const ids = await burst('zoe', room);
    await ann.until(() => comments(ann.heard).length + declared(ann.heard) === size, 'all to be shown or declared');
    await mod.until(() => comments(mod.heard).length === size, 'staff to get all');
    assert.deepEqual(comments(mod.heard), ids);
    assert.equal(declared(mod.heard), 0);
    assert.ok(declared(ann.heard) > 0, 'nothing was left out, so nothing was tested');
    for (const gap of ann.named('gap')) {
      assert.deepEqual([gap.data['lane'], gap.data['cause'], gap.data['to']], ['chat', 'sampled', gap.id]);
    }
    // Whoever looks later finds the same.
    const again = await sit('ann', room, 'viewer', String(ann.heard[0]?.id));
    await again.until(() => again.named('gap').length === ann.named('gap').length, 'the same gaps');
    assert.deepEqual(comments(again.heard), comments(ann.heard));
    for (const reader of [ann, mod, again]) reader.close();
  });

  it('an author gets its own words, also those that it said while it was away', async () => {
    const room = 'own-words';
    const [zoe, ann] = [await sit('zoe', room), await sit('ann', room)];
    const first = await burst('zoe', room);
    await zoe.until(() => comments(zoe.heard).length === size, 'the author to get its own');
    assert.deepEqual(comments(zoe.heard), first);
    assert.ok(comments(ann.heard).length < size, 'nothing was left out, so nothing was tested');
    const lastId = first.at(-1);
    zoe.close();
    await waitFor(() => gateway.gateway.hub.viewers === 1, { what: 'her stream to be gone' });
    const second = await burst('zoe', room);
    const mark = await beat(room);
    await ann.until(() => ann.heard.some(({ id }) => id === mark), 'the tape to have moved on');
    const back = await sit('zoe', room, 'viewer', lastId);
    await back.until(() => back.heard.some(({ id }) => id === mark), 'what she missed');
    assert.deepEqual(comments(back.heard), second);
    for (const reader of [ann, back]) reader.close();
  });

  it('pulls say the same as streams', async () => {
    const room = 'pulled';
    const ann = await sit('ann', room);
    const start = String(ann.heard[0]?.id);
    await burst('zoe', room);
    await ann.until(() => comments(ann.heard).length + declared(ann.heard) === size, 'all to be shown or declared');
    const pull = async (user: string, role?: string): Promise<{ id: string; event: string; data: unknown }[]> => {
      const url = `${gateway.url}/rooms/${room}/events?after=${start}`;
      const answer = await fetch(url, { headers: { authorization: `Bearer ${tokenFor(user, room, role)}` } });
      return ((await answer.json()) as { events: { id: string; event: string; data: unknown }[] }).events;
    };
    const streamed = ann.heard.filter(({ id, event }) => id !== undefined && event !== 'resume' && event !== 'state');
    assert.deepEqual(
      (await pull('ann')).map(({ id, event, data }) => ({ id, event, data })),
      streamed.map(({ id, event, data }) => ({ id, event, data })),
    );
    assert.equal((await pull('mod', 'moderator')).filter(({ event }) => event === 'comment').length, size);
    ann.close();
  });
});
