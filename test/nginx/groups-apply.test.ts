import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { readGroups } from '../../src/groups/groups-file.ts';
import { placesOf } from '../../src/groups/slots.ts';
import type { RoomId } from '../../src/model.ts';
import { buildAdmin } from '../../src/ops/admin.ts';
import type { GroupsText } from '../rig/nginx.ts';
import { digestOf, orders, ringside, type Stage, stage, startNode, stop, toClose } from './operated-groups.ts';

const roomsOf = (group: string, file: object, count: number): RoomId[] => {
  const places = placesOf(readGroups(JSON.stringify(file)));
  const all = Array.from({ length: 2000 }, (_, at) => `r${at}` as RoomId);
  return all.filter((one) => places.of(one)[0] === group).slice(0, count);
};

describe('ringside groups apply', () => {
  it('has nginx route to an added group, and its viewers handed over within the pace', async () => {
    const { nginx, nodes, groups } = await stage(['blue-1', 'green-1', 'red-1'], ['blue-1', 'green-1']);
    const before = { groups: groups(['blue-1', 'green-1']) };
    const changed = { groups: groups(['blue-1', 'green-1', 'red-1']) };
    const places = placesOf(readGroups(JSON.stringify(changed)));
    for (const one of roomsOf('blue', before, 30)) nodes['blue-1']?.viewers.set(one, 10);
    const leaving = roomsOf('blue', before, 30).filter((one) => places.of(one)[0] === 'red');
    await nginx.edit(changed);
    const planned = await ringside(nginx, 'plan', '--pace', '200', '--json');
    assert.equal(planned.code, 0);
    assert.deepEqual(
      [planned.json['slotsMoved'], planned.json['viewers'], planned.json['against']],
      [83, leaving.length * 10, 'running'],
    );
    assert.equal(orders.length, 0, 'a plan changes nothing');

    const applied = await ringside(nginx, 'apply', '--pace', '200', '--yes', '--json');
    assert.equal(applied.code, 0, applied.text);
    assert.equal(applied.json['moved'], leaving.length * 10);
    assert.deepEqual(orders.map((order) => order.room).sort(), [...leaving].sort());
    assert.ok(leaving.length >= 3);
    // An order that takes its time is over before the next is given.
    for (const [at, { overMs, moving }] of orders.entries()) {
      assert.ok((moving * 1000) / overMs <= 200, `${moving} over ${overMs} ms`);
      const next = orders[at + 1];
      if (next)
        assert.ok(next.at - (orders[at]?.at ?? 0) >= overMs - 2, 'two orders at a time would be twice the pace');
    }
    const red = await fetch(`${nginx.url}/rooms/${leaving[0]}/state`);
    assert.equal(red.headers.get('x-answered-by'), 'red-1');

    const again = await ringside(nginx, 'apply', '--yes', '--json');
    assert.deepEqual([again.code, again.json['moved'], orders.length], [0, 0, leaving.length]);
  });

  it('spreads a room that becomes hot, and gathers it when it cools', async () => {
    const { nginx, nodes, groups } = await stage(['blue-1', 'green-1'], ['blue-1', 'green-1']);
    const base = { groups: groups(['blue-1', 'green-1']) };
    const [hot = ''] = roomsOf('blue', base, 1);
    nodes['blue-1']?.viewers.set(hot, 40);
    await nginx.edit({ ...base, hotRooms: { [hot]: ['blue', 'green'] } });
    assert.equal((await ringside(nginx, 'apply', '--pace', '1000', '--yes')).code, 0);
    assert.deepEqual(
      orders.map(({ node, moving }) => [node, moving]),
      [['blue-1', 20]],
    );
    nodes['green-1']?.viewers.set(hot, 20);
    await nginx.edit(base);
    assert.equal((await ringside(nginx, 'apply', '--pace', '1000', '--yes')).code, 0);
    assert.deepEqual(
      orders.slice(1).map(({ node, moving }) => [node, moving]),
      [['green-1', 20]],
    );
    assert.equal((await fetch(`${nginx.url}/rooms/${hot}/state`)).headers.get('x-answered-by'), 'blue-1');
  });

  it('drains a server that is marked and one that is taken out', async () => {
    const { nginx, nodes, groups } = await stage(['blue-1', 'blue-2', 'blue-3'], ['blue-1', 'blue-2', 'blue-3']);
    nodes['blue-1']?.viewers.set('a', 3);
    nodes['blue-3']?.viewers.set('b', 4);
    await nginx.edit({ groups: groups(['blue-1', 'blue-2'], { 'blue-1': { drain: true } }) });
    const { code, text } = await ringside(nginx, 'apply', '--pace', '1000', '--yes');
    assert.equal(code, 0, text);
    const drained = orders.map(({ node, room: where, moving }) => [node, where, moving]);
    assert.deepEqual(drained.sort(), [
      ['blue-1', null, 3],
      ['blue-3', null, 4],
    ]);
    for (let nth = 0; nth < 5; nth += 1) {
      assert.equal((await fetch(`${nginx.url}/rooms/x/state`)).headers.get('x-answered-by'), 'blue-2');
    }
  });

  const refusesToLeave = async (
    { nginx }: Stage,
    changed: GroupsText,
    consequence: RegExp,
    reason: RegExp,
  ): Promise<void> => {
    await nginx.edit(changed);
    const digest = await digestOf(nginx);
    const planned = await ringside(nginx, 'plan');
    assert.match(planned.text, reason);
    assert.match(planned.text, consequence);
    const { code, text } = await ringside(nginx, 'apply', '--yes');
    assert.equal(code, 1);
    assert.match(text, consequence);
    assert.match(text, /Nothing was changed\..* --yes --force/);
    assert.equal(await digestOf(nginx), digest);
    assert.equal(orders.length, 0);
    const questions: string[] = [];
    const answered = await ringside({ ...nginx, answer: (question) => questions.push(question) }, 'apply');
    assert.equal(answered.code, 1);
    assert.match(questions.join(), consequence);
    assert.match(questions.join(), /Apply this\?/);
    assert.equal(await digestOf(nginx), digest);
  };

  it('refuses to give slots to a group whose servers are all down, and asks with the consequence', async () => {
    const here = await stage(['blue-1', 'green-1', 'red-1'], ['blue-1', 'green-1']);
    await stop('red-1');
    await here.nodes['red-1']?.close();
    const changed = { groups: here.groups(['blue-1', 'green-1', 'red-1']) };
    await refusesToLeave(
      here,
      changed,
      /83 of 250 slots would go to the group red, which has no server/,
      /red-1 accepts no traffic: /,
    );
    const forced = await ringside(here.nginx, 'apply', '--yes', '--force');
    assert.equal(forced.code, 0, forced.text);
    assert.match(forced.text, /83 of 250 slots[\s\S]*Done/);
  });

  it('refuses so too where only the address is wrong, and the admin port answers', async () => {
    const here = await stage(['blue-1', 'red-1'], ['blue-1']);
    await stop('red-1');
    await refusesToLeave(
      here,
      { groups: here.groups(['blue-1', 'red-1']) },
      /125 of 250 slots .* red/,
      /red-1\.sock does not answer/,
    );
  });

  it('refuses so too where all are draining, are not ready, or are others than the file says', async () => {
    const here = await stage(['blue-1', 'red-1'], ['blue-1']);
    const changed = { groups: here.groups(['blue-1', 'red-1']) };
    const node = here.nodes['red-1'];
    assert.ok(node);
    node.whyNotReady = 'the room log is unavailable';
    await refusesToLeave(
      here,
      changed,
      /125 of 250 slots/,
      /red-1 accepts no traffic: not ready: the room log is unavailable/,
    );
    node.whyNotReady = null;
    node.drain();
    await refusesToLeave(
      here,
      changed,
      /125 of 250 slots/,
      /red-1 accepts no traffic: draining; send it POST \/ops\/undrain/,
    );
    const other = await startNode('green-7');
    const misnamed = { groups: here.groups(['blue-1', 'red-1'], { 'red-1': { admin: other.admin } }) };
    await refusesToLeave(
      here,
      misnamed,
      /125 of 250 slots/,
      /red-1 accepts no traffic: .* is the admin port of green-7/,
    );
  });

  it('refuses to leave a hot room without a server, though its group gets no slots', async () => {
    const here = await stage(['blue-1', 'red-1'], ['blue-1']);
    await stop('red-1');
    const groups = here.groups(['blue-1', 'red-1']);
    const changed = { groups: { ...groups, red: { ...groups['red'], weight: 0 } }, hotRooms: { final: ['red'] } };
    await refusesToLeave(here, changed, /The hot room final would go to red/, /red-1\.sock does not answer/);
  });

  it('says which servers take nothing where others of the group do, and goes on', async () => {
    const { nginx, groups } = await stage(['blue-1', 'blue-2', 'red-1'], ['blue-1', 'blue-2']);
    await stop('blue-2');
    await nginx.edit({ groups: groups(['blue-1', 'blue-2', 'red-1']) });
    const { code, text } = await ringside(nginx, 'apply', '--yes');
    assert.equal(code, 0, text);
    assert.match(text, /blue-2 accepts no traffic: .*blue-2\.sock does not answer/);
  });

  it('takes slots from a group that is down, and from the file, without a word against it', async () => {
    const { nginx, nodes, groups } = await stage(['blue-1', 'red-1'], ['blue-1', 'red-1']);
    await stop('red-1');
    await nodes['red-1']?.close();
    const both = groups(['blue-1', 'red-1']);
    await nginx.edit({ groups: { ...both, red: { ...both['red'], weight: 0 } } });
    assert.equal((await ringside(nginx, 'apply', '--yes')).code, 0);
    await nginx.edit({ groups: groups(['blue-1']) });
    const { code, text } = await ringside(nginx, 'apply', '--yes');
    assert.equal(code, 0, text);
  });

  it('does not call a drain done of which the gateway has not heard', async () => {
    const { nginx, nodes, groups } = await stage(['blue-1', 'blue-2', 'blue-3'], ['blue-1', 'blue-2', 'blue-3']);
    // Their admin ports are mute; they themselves are there, and so may viewers be.
    await nodes['blue-1']?.close();
    await nodes['blue-3']?.close();
    await nginx.edit({ groups: groups(['blue-1', 'blue-2'], { 'blue-1': { drain: true } }) });
    const { code, text } = await ringside(nginx, 'apply', '--yes');
    assert.equal(code, 1);
    assert.match(text, /blue-1 was not drained: .* does not answer/);
    assert.match(text, /blue-3 was not drained: /);
    assert.doesNotMatch(text, /^Done/m);
    assert.match(text, /^Incomplete: 0 viewers/m);
  });

  it('sends no order to an admin port that is another gateway', async () => {
    const { nginx, groups } = await stage(['blue-1', 'blue-2'], ['blue-1', 'blue-2']);
    const other = await startNode('green-7', { a: 5 });
    await nginx.edit({ groups: groups(['blue-1', 'blue-2'], { 'blue-1': { drain: true, admin: other.admin } }) });
    const { code, text } = await ringside(nginx, 'apply', '--yes');
    assert.equal(code, 1);
    assert.match(text, /blue-1 was not drained: .* is the admin port of green-7 of green/);
    assert.deepEqual(orders, []);
  });

  it('says so where nginx does not take the new groups up, and moves nobody', async () => {
    const { nginx, nodes, groups } = await stage(['blue-1', 'red-1'], ['blue-1']);
    nodes['blue-1']?.viewers.set('a', 3);
    await nginx.edit({ groups: groups(['blue-1', 'red-1']) });
    const { code, text } = await ringside(nginx, 'apply', '--yes', '--reload', 'true');
    assert.equal(code, 1);
    assert.match(text, /nginx did not load [0-9a-f]+ within 15 s.*No viewers were moved/);
    assert.deepEqual(orders, []);
  });

  it('asks first, and without anybody to ask does nothing', async () => {
    const { nginx, groups } = await stage(['blue-1', 'green-1'], ['blue-1']);
    const digest = await digestOf(nginx);
    await nginx.edit({ groups: groups(['blue-1', 'green-1']) });
    const { code, text } = await ringside(nginx, 'apply');
    assert.equal(code, 1);
    assert.match(text, /pass --yes/);
    assert.equal(await digestOf(nginx), digest);
  });

  it('says what failed where a gateway does not take an order, and exits 1', async () => {
    const { nginx, nodes, groups } = await stage(['blue-1', 'green-1'], ['blue-1', 'green-1']);
    const base = { groups: groups(['blue-1', 'green-1']) };
    const [hot = ''] = roomsOf('blue', base, 1);
    nodes['blue-1']?.viewers.set(hot, 40);
    // It counts, and takes no orders.
    const counting = await startUpstreamCensus(hot);
    const groupsNow = base.groups;
    (groupsNow['blue']?.servers[0] as { admin: string }).admin = counting.admin;
    await nginx.edit({ ...base, hotRooms: { [hot]: ['green'] } });
    const { code, json } = await ringside(nginx, 'apply', '--yes', '--json');
    assert.equal(code, 1);
    assert.match(String((json['failures'] as string[])[0]), /answers 404/);
  });
});

/** An admin port of another version, which knows how to count only. */
async function startUpstreamCensus(hot: string): Promise<{ readonly admin: string }> {
  const admin = buildAdmin({ whyNotReady: () => null });
  admin.get('/ops/rooms', async () => ({ node: 'blue-1', group: 'blue', rooms: [{ room: hot, viewers: 5 }] }));
  await admin.listen({ host: '127.0.0.1', port: 0 });
  toClose.push(() => admin.close());
  return { admin: `http://127.0.0.1:${(admin.server.address() as AddressInfo).port}` };
}
