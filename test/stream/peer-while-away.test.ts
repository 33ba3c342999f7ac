import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { type RunningGateway, startGateway, tokenOf } from '../rig/gateway.ts';
import { watch } from '../rig/stream-reader.ts';
import { waitFor } from '../rig/wait-for.ts';

let gateway: RunningGateway;
before(async () => {
  gateway = await startGateway();
});
after(() => gateway.close());

it('a direct that was sent while its user was away is given on return, though others kept the tape', async () => {
  const room = 'kept-warm';
  const tokenFor = (user: string, role = 'viewer'): string => tokenOf(user, role, { rooms: { [room]: role } });
  const say = (text: string): Promise<string> =>
    gateway.post('comment', { text }, { as: tokenFor('hanna', 'host'), room });
  // Bob stays: the room is followed all the time, and its tape covers all that ann will miss.
  const bob = await watch(gateway.url, { room, token: tokenFor('bob') });
  const ann = await watch(gateway.url, { room, token: tokenFor('ann') });
  const lastId = await say('one');
  await ann.until(() => ann.named('comment').length === 1, 'the comment that she saw');
  ann.close();
  await waitFor(() => gateway.gateway.hub.viewers === 1, { what: 'her stream to be gone' });

  const to = { to: ['ann'], type: 'prize', data: { n: 1 } };
  await gateway.post('direct', to, { as: tokenFor('hanna', 'host'), room });
  await say('two');
  await bob.until(() => bob.named('comment').length === 2, 'the room to have moved on');

  const back = await watch(gateway.url, { room, token: tokenFor('ann'), headers: { 'last-event-id': lastId } });
  await back.until(() => back.named('comment').length === 1, 'the comment that she missed');
  assert.deepEqual(
    back.heard.map(({ event }) => event).filter((event) => event === 'direct' || event === 'comment'),
    ['direct', 'comment'],
  );
  assert.equal(bob.named('direct').length, 0);
  bob.close();
  back.close();
});
