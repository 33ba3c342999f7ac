import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { openBrowser } from '../rig/browser.ts';
import { type Client, type Origin, openChromium, openNpmClient, startOrigin } from '../rig/clients.ts';
import { Crowd } from '../rig/crowd.ts';
import { type Fleet, roomsOn, startFleet } from '../rig/fleet.ts';
import { tokenOf } from '../rig/gateway.ts';
import type { GroupsText } from '../rig/nginx.ts';
import { judgeKept, SteadyWriters } from '../rig/steady-writers.ts';
import { waitFor } from '../rig/wait-for.ts';

const run = promisify(execFile);
// One fleet, one crowd and one history for all that operators do to it; each test goes on where the one before ended.
const nodes = ['blue-1', 'blue-2', 'green-1', 'green-2'];
const hotViewers = 400;
const pinnedRooms = 3;
const pinnedViewers = 100;
const viewersAll = hotViewers + 2 * pinnedRooms * pinnedViewers;
const kept = 4;
const reloads = 10;
/** Reconnects per second, of `groups apply` and of a gateway that leaves by itself. */
const pace = 250;
const leavingPace = 500;
/** Those who were due at the end of one second and came a moment late, at the beginning of the next. */
const lateShare = 0.1;
const names = ['resume', 'state', 'beat', 'comment', 'gap', 'end', 'move'];
const nothingWrong = { lost: 0, doubled: 0, declared: 0, strange: 0, closedForGood: 0 };

let fleet: Fleet;
let crowd: Crowd;
let writers: SteadyWriters;
let browser: Browser;
let site: Origin;
const sources: { readonly client: Client; readonly room: string }[] = [];
let hot = '';
let base: GroupsText;
let pinned: readonly string[] = [];

before(async () => {
  [browser, site] = await Promise.all([openBrowser(), startOrigin()]);
  const environment = { CORS_ORIGINS: site.origin, RETRY_MS: '500', DRAIN_MS: '5000' };
  fleet = await startFleet({ nodes, environment });
  base = { unlimited: ['127.0.0.1'], groups: fleet.groupsOf(nodes) };
  [hot = '', ...pinned] = [...roomsOn('blue', base, pinnedRooms + 1), ...roomsOn('green', base, pinnedRooms)];
  crowd = new Crowd(fleet.nginx.port);
  for (const room of pinned) await crowd.join(room, pinnedViewers, kept);
  await crowd.join(hot, hotViewers, kept);
  for (const room of [hot, ...pinned.slice(-1)]) {
    const watched = {
      address: `${fleet.url}/rooms/${room}/stream`,
      token: tokenOf(`es-${room}`, 'viewer', roomsOf(room)),
      names,
    };
    sources.push({ room, client: await openChromium(browser, site.origin, watched) });
    for (let n = 0; n < 3; n += 1) sources.push({ room, client: await openNpmClient(watched) });
  }
  await waitFor(() => sources.every(({ client }) => client.heard().length > 0), {
    what: 'the event sources',
    timeoutMs: 10_000,
  });
});
after(async () => {
  crowd?.close();
  await Promise.all(sources.map(({ client }) => client.close()));
  await browser?.close();
  await site?.close();
  await fleet?.close();
});

const roomsOf = (room: string) => ({ rooms: { [room]: 'viewer' } });

/** Does something to the fleet while rooms are written to, and holds everybody to the promise when it is over. */
async function underLoad(change: () => Promise<void>): Promise<{ readonly beganAt: number }> {
  writers ??= new SteadyWriters({ port: fleet.nginx.port, rooms: [hot, ...pinned], everyMs: 40 });
  const beganAt = performance.now();
  const before = writers.count;
  writers.start();
  try {
    await change();
    await waitFor(() => crowd.away === 0, { what: 'everybody to be back', timeoutMs: 15_000 });
  } finally {
    await writers.stop();
  }
  assert.deepEqual(writers.failures, []);
  assert.ok(writers.count - before >= 20, 'there was no load');
  await writers.allHave(crowd);
  const { received, turnedAway, ...wrong } = crowd.counts;
  assert.deepEqual({ lost: crowd.lost, ...wrong }, nothingWrong, crowd.refusals.join());
  assert.ok(received > 0);
  for (const { room, texts, epochs } of crowd.rooms.values()) {
    assert.equal(epochs.size, 1, `${room} has lost its history`);
    assert.equal(texts.size, writers.acknowledged.get(room)?.length, `${room} was given what nobody wrote`);
  }
  await eventSourcesHave();
  return { beganAt };
}

/** Every EventSource still hears its room, has heard each comment and beat once, and was told of no gap. */
async function eventSourcesHave(): Promise<void> {
  for (const { client, room } of sources) {
    const written = writers.ledgerOf(room);
    const wanted = [...written.back()]
      .filter(({ part }) => part === null)
      .map(({ id }) => id)
      .reverse();
    const ids = (): string[] =>
      client
        .heard()
        .filter(({ event }) => event === 'beat' || event === 'comment')
        .map(({ lastId }) => lastId);
    await waitFor(() => ids().length >= wanted.length, {
      what: `${client.name} in ${room} to hear everything`,
      timeoutMs: 10_000,
    });
    assert.deepEqual(ids(), wanted, client.name);
    assert.ok(
      client.heard().every(({ event }) => event !== 'gap'),
      client.name,
    );
  }
}

const sumOf = (counts: ReadonlyMap<string, number>, group: string): number =>
  [...counts].filter(([name]) => name.startsWith(group)).reduce((sum, [, viewers]) => sum + viewers, 0);

/** Applies a groups file; answers with how many viewers were to move by the plan. */
async function apply(groups: GroupsText): Promise<number> {
  await fleet.nginx.edit({ unlimited: ['127.0.0.1'], ...groups });
  const { code, text, json } = await fleet.ringside('apply', '--pace', String(pace), '--yes');
  assert.equal(code, 0, text);
  const { viewers } = json['plan'] as { viewers: number };
  assert.ok(Number(json['moved']) >= viewers);
  return viewers;
}

function assertPace(beganAt: number, perSecond: number): void {
  const most = crowd.opensPerSecond(beganAt);
  assert.ok(most <= perSecond * (1 + lateShare), `${most} reconnects in one second`);
}

describe('1,000 viewers behind nginx, while rooms are written to', () => {
  it('notice nothing of ten reloads, and nobody has to come back', async () => {
    const { beganAt } = await underLoad(async () => {
      for (let n = 0; n < reloads; n += 1) {
        const [command = '', ...words] = fleet.nginx.words;
        await run(command, [...words, '-s', 'reload']);
        // Some come in by old workers and some by new ones.
        const some = crowd.viewers.slice(n * 5, n * 5 + 5);
        for (const viewer of some) viewer.cut();
        await waitFor(() => some.every(({ isSeated }) => isSeated), { what: 'those who were cut off to be back' });
      }
    });
    assert.equal(crowd.opensSince(beganAt), reloads * 5, 'nobody else came back');
  });

  it('lose nothing when a room becomes hot, and when it cools', async () => {
    const { beganAt } = await underLoad(async () => {
      const moved = await apply({ ...base, hotRooms: { [hot]: ['blue', 'green'] } });
      assert.ok(Math.abs(moved - (hotViewers + sourcesIn(hot)) / 2) <= 2, `${moved} were to move`);
      await waitFor(() => crowd.away === 0, { what: 'those who were moved to be back' });
      const spread = await fleet.viewersOf(hot);
      assert.ok(
        [...spread.values()].every((viewers) => viewers >= hotViewers / 8),
        `spread as ${[...spread]}`,
      );
      await apply(base);
      await waitFor(() => crowd.away === 0, { what: 'those who were moved to be back' });
      await waitFor(async () => sumOf(await fleet.viewersOf(hot), 'green') === 0, { what: 'all to be on blue again' });
    });
    assertPace(beganAt, pace);
  });

  it('lose nothing when a group is added, and when it is taken away', async () => {
    const more = ['red-1', 'red-2'];
    await Promise.all(more.map((name) => fleet.start(name)));
    const three = { ...base, groups: fleet.groupsOf([...nodes, ...more]) };
    const moving = [hot, ...pinned].filter((room) => roomsOn('red', three, 300).includes(room));
    const { beganAt } = await underLoad(async () => {
      const moved = await apply(three);
      assert.ok(moving.length > 0 && moved >= moving.length * pinnedViewers, `${moved} of ${moving} moved`);
      await waitFor(() => crowd.away === 0, { what: 'those who were moved to be back' });
      for (const room of moving) assert.ok(sumOf(await fleet.viewersOf(room), 'red') >= pinnedViewers, room);
      // First without rooms, then out of the file.
      await apply({ ...base, groups: fleet.groupsOf([...nodes, ...more], { red: { weight: 0 } }) });
      await waitFor(() => crowd.away === 0, { what: 'those who were moved back to be back' });
      await apply(base);
      for (const name of more) assert.equal(await fleet.stop(name), 0);
    });
    assertPace(beganAt, pace);
  });

  it('lose nothing in a rolling restart of all gateways', async () => {
    const { beganAt } = await underLoad(async () => {
      for (const name of nodes) {
        assert.equal(await fleet.stop(name), 0, `${name} must end by itself`);
        await fleet.start(name);
        await waitFor(() => crowd.away === 0, { what: `those of ${name} to be back`, timeoutMs: 15_000 });
      }
    });
    assert.ok(crowd.opensSince(beganAt) >= viewersAll, 'everybody was moved at least once');
    assertPace(beganAt, leavingPace);
  });

  it('were each given, byte by byte, what was acknowledged', () => {
    assert.equal(judgeKept(crowd, writers), (2 * pinnedRooms + 1) * kept);
  });
});

const sourcesIn = (room: string): number => sources.filter((source) => source.room === room).length;
