import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { openBrowser } from '../rig/browser.ts';
import { type Client, type Origin, openChromium, openNpmClient, startOrigin } from '../rig/clients.ts';
import { Crowd } from '../rig/crowd.ts';
import { type Fleet, groupOf, roomsOn, startFleet } from '../rig/fleet.ts';
import { tokenOf } from '../rig/gateway.ts';
import type { GroupsText } from '../rig/nginx.ts';
import { judgeKept, SteadyWriters } from '../rig/steady-writers.ts';
import { waitFor } from '../rig/wait-for.ts';

// One fleet, one crowd and one history for all that befalls it; each test goes on where the one before ended.
const nodes = ['blue-1', 'blue-2', 'green-1', 'green-2'];
const viewersEach = 50;
const kept = 6;
/** How soon everybody must be back when a gateway was killed. */
const backWithinMs = 10_000;
const writesBetween = 20;
const names = ['resume', 'comment', 'beat', 'gap', 'end', 'move'];

let fleet: Fleet;
let crowd: Crowd;
let writers: SteadyWriters;
let browser: Browser;
let site: Origin;
let file: GroupsText;
let onBlue = '';
let onGreen = '';
let onBoth = '';
const sources: { readonly client: Client; readonly room: string }[] = [];

before(async () => {
  [browser, site] = await Promise.all([openBrowser(), startOrigin()]);
  fleet = await startFleet({ nodes, environment: { CORS_ORIGINS: site.origin, RETRY_MS: '500' } });
  file = { unlimited: ['127.0.0.1'], groups: fleet.groupsOf(nodes) };
  [onBlue = '', onBoth = ''] = roomsOn('blue', file, 2);
  [onGreen = ''] = roomsOn('green', file, 1);
  file = { ...file, hotRooms: { [onBoth]: ['blue', 'green'] } };
  await fleet.nginx.edit(file);
  assert.equal((await fleet.ringside('apply', '--yes')).code, 0);
  crowd = new Crowd(fleet.nginx.port);
  for (const room of [onBlue, onGreen, onBoth]) await crowd.join(room, viewersEach, kept);
  for (const room of [onBlue, onGreen, onBoth]) {
    const token = tokenOf(`es-${room}`, 'viewer', { rooms: { [room]: 'viewer' } });
    const watched = { address: `${fleet.url}/rooms/${room}/stream`, token, names };
    sources.push({ room, client: await openNpmClient(watched) });
    sources.push({ room, client: await openChromium(browser, site.origin, watched) });
  }
  await waitFor(() => sources.every(({ client }) => client.heard().length > 0), { what: 'the event sources' });
  // With a key each: what a killed gateway leaves unanswered is asked of another by nginx.
  writers = new SteadyWriters({
    port: fleet.nginx.port,
    rooms: [onBlue, onGreen, onBoth],
    everyMs: 30,
    isKeyed: true,
  });
});
after(async () => {
  crowd?.close();
  await Promise.all(sources.map(({ client }) => client.close()));
  await browser?.close();
  await site?.close();
  await fleet?.close();
});

const namesWith = (counts: ReadonlyMap<string, number>): string[] =>
  [...counts].filter(([, viewers]) => viewers > 0).map(([name]) => name);

/** Settled when so many more writes were acknowledged. */
async function someWrites(): Promise<void> {
  const before = writers.count;
  await waitFor(() => writers.count >= before + writesBetween, { what: 'more writes', timeoutMs: 15_000 });
}

async function assertNothingLost(): Promise<void> {
  await writers.allHave(crowd);
  const { doubled, declared, strange, closedForGood } = crowd.counts;
  assert.deepEqual(
    { lost: crowd.lost, doubled, declared, strange, closedForGood },
    { lost: 0, doubled: 0, declared: 0, strange: 0, closedForGood: 0 },
    crowd.refusals.join(),
  );
  for (const { client, room } of sources) {
    const wanted = [...writers.ledgerOf(room).back()].filter(({ part }) => part === null).map(({ id }) => id);
    const heard = () => client.heard().filter(({ event }) => event === 'beat' || event === 'comment');
    const what = `${client.name} to hear all of ${room}`;
    await waitFor(() => heard().length >= wanted.length, { what, timeoutMs: backWithinMs });
    assert.deepEqual(
      heard().map(({ lastId }) => lastId),
      wanted.reverse(),
      client.name,
    );
  }
}

describe('groups of gateways behind nginx', () => {
  it('have their rooms on their own gateways, and a hot room on all of its groups', async () => {
    assert.deepEqual(namesWith(await fleet.viewersOf(onBlue)), ['blue-1', 'blue-2']);
    assert.deepEqual(namesWith(await fleet.viewersOf(onGreen)), ['green-1', 'green-2']);
    const spread = await fleet.viewersOf(onBoth);
    assert.deepEqual(namesWith(spread), nodes);
    const even = (viewersEach + 2) / nodes.length;
    assert.ok(
      [...spread.values()].every((viewers) => Math.abs(viewers - even) <= 2),
      `spread as ${[...spread]}`,
    );
    for (const name of nodes) {
      const { group, misrouted } = await fleet.roomList(name);
      assert.deepEqual([group, misrouted], [groupOf(name), 0], name);
    }
  });

  it('lose nobody and nothing when a gateway is killed: all are back within 10 s', async () => {
    writers.start();
    await someWrites();
    const hadSeats = new Map(crowd.viewers.map((viewer) => [viewer, viewer.seats]));
    const onIt = (await fleet.roomList('blue-2')).rooms.reduce((sum, { viewers }) => sum + viewers, 0);
    const killedAt = performance.now();
    await fleet.kill('blue-2');
    await waitFor(() => crowd.away > 0, { what: 'the loss to be noticed' });
    await waitFor(() => crowd.away === 0, { what: 'everybody to be back', timeoutMs: backWithinMs });
    assert.ok(performance.now() - killedAt < backWithinMs);
    await someWrites();
    await writers.stop();
    assert.deepEqual(writers.failures, [], 'what has a key is asked of another gateway');
    await assertNothingLost();
    const moved = crowd.viewers.filter((viewer) => viewer.seats > (hadSeats.get(viewer) ?? 0)).length;
    assert.ok(moved > 0 && moved <= onIt, `${moved} came back, of ${onIt} who were cut off`);
    assert.ok((await fleet.viewersOf(onBlue)).get('blue-1') === viewersEach + 2);
  });

  it('count as misrouted who were meant for another group than a gateway says it is of', async () => {
    await fleet.start('blue-2', { GROUP: 'green' });
    const some = crowd.viewers.filter(({ room }) => room.room === onBlue).slice(0, 10);
    for (const viewer of some) viewer.cut();
    await waitFor(() => some.every(({ isSeated }) => isSeated), { what: 'ten to be back' });
    const wrong = await fleet.roomList('blue-2');
    assert.ok(wrong.misrouted > 0, 'an empty server gets those who come');
    assert.equal((await fleet.roomList('blue-1')).misrouted, 0);
    const checked = await fleet.ringside('check');
    const findings = checked.json['findings'] as { isFine: boolean | null; sentence: string }[];
    const told = findings.filter(({ isFine }) => isFine === false).map(({ sentence }) => sentence);
    assert.deepEqual(told, ['blue-2 of blue calls itself blue-2 of green; set NODE_ID and GROUP as in the file']);
    assert.equal(checked.code, 1);
    assert.equal(await fleet.stop('blue-2'), 0);
    await fleet.start('blue-2');
    await waitFor(() => crowd.away === 0, { what: 'everybody to be back', timeoutMs: backWithinMs });
    await assertNothingLost();
  });

  it('that are all away for a while lose nobody: every EventSource comes back by itself', async () => {
    await Promise.all(nodes.map((name) => fleet.kill(name)));
    await waitFor(() => crowd.away === crowd.viewers.length, { what: 'everybody to be cut off' });
    const turnedAway = crowd.counts.turnedAway;
    const ends = (client: Client): number => client.heard().filter(({ event }) => event === 'end').length;
    // Each has asked in vain at least once, and was told softly to come again.
    await waitFor(() => crowd.counts.turnedAway >= turnedAway + crowd.viewers.length, { what: 'all to ask in vain' });
    await waitFor(() => sources.every(({ client }) => ends(client) > 0), { what: 'the event sources to ask in vain' });
    await Promise.all(nodes.map((name) => fleet.start(name)));
    // nginx has told them to come back within 7 s.
    await waitFor(() => crowd.away === 0, { what: 'everybody to be back', timeoutMs: backWithinMs });
    writers.start();
    await someWrites();
    await writers.stop();
    assert.deepEqual(writers.failures, []);
    await assertNothingLost();
    assert.equal(judgeKept(crowd, writers), 3 * kept);
  });
});
