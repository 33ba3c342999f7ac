import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { runGroups } from '../../src/groups/command.ts';
import { readGroups } from '../../src/groups/groups-file.ts';
import { placesOf } from '../../src/groups/slots.ts';
import type { RoomId } from '../../src/model.ts';
import { buildAdmin } from '../../src/ops/admin.ts';
import type { Drain } from '../../src/ops/admin-rooms.ts';
import { type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { type GroupsText, type Nginx, startNginx, startUpstream, type Upstream } from '../rig/nginx.ts';

interface Order {
  readonly node: string;
  readonly room: string | null;
  readonly moving: number;
  readonly overMs: number;
  readonly at: number;
}

/** The admin port of a gateway, with viewers that are only numbers: who is moved is gone. */
interface Node {
  readonly admin: string;
  readonly viewers: Map<string, number>;
  /** What `/readyz` says against it. */
  whyNotReady: string | null;
  /** As if it had been told to before. */
  drain(): void;
  /** Closes the admin port. */
  close(): Promise<void>;
}

let home: string;
let orders: Order[] = [];
const toClose: (() => Promise<unknown>)[] = [];

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'ringside-command-'));
});
after(() => rm(home, { recursive: true, force: true }));
beforeEach(() => {
  orders = [];
});
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close();
});

async function startNode(name: string, viewers: Record<string, number> = {}): Promise<Node> {
  const counts = new Map(Object.entries(viewers));
  let isDraining = false;
  const take = (where: string | null, moving: number, overMs: number): number => {
    orders.push({ node: name, room: where, moving, overMs, at: performance.now() });
    return moving;
  };
  const drain: Drain = {
    roomList: () => [...counts].map(([one, many]) => ({ room: one as RoomId, viewers: many })),
    move(where, share, overMs) {
      const moving = Math.round((counts.get(where) ?? 0) * share);
      counts.set(where, (counts.get(where) ?? 0) - moving);
      return take(where, moving, overMs);
    },
    drain(overMs) {
      isDraining = true;
      const moving = [...counts.values()].reduce((sum, some) => sum + some, 0);
      counts.clear();
      return take(null, moving, overMs);
    },
    undrain() {
      isDraining = false;
      return true;
    },
    get isDraining() {
      return isDraining;
    },
    misrouted: 0,
  };
  const whyNotReady = (): string | null => node.whyNotReady;
  const admin = buildAdmin({ whyNotReady, drain, nodeId: name, group: name.split('-')[0] ?? '' });
  await admin.listen({ host: '127.0.0.1', port: 0 });
  const node: Node = {
    admin: `http://127.0.0.1:${(admin.server.address() as AddressInfo).port}`,
    viewers: counts,
    whyNotReady: null,
    drain() {
      isDraining = true;
    },
    close: () => admin.close(),
  };
  toClose.push(node.close);
  return node;
}

const upstreams = new Map<string, Upstream>();
async function upstreamOf(name: string): Promise<void> {
  const upstream = await startUpstream(name, home);
  upstreams.set(name, upstream);
  toClose.push(upstream.close);
}
/** Ends what nginx reaches of a gateway; its admin port goes on. */
const stop = async (name: string): Promise<void> => upstreams.get(name)?.close();

interface Stage {
  readonly nginx: Nginx;
  readonly nodes: Readonly<Record<string, Node>>;
  /** The groups of these servers, as a file says it. */
  groups(names: readonly string[], more?: Readonly<Record<string, object>>): Record<string, { servers: object[] }>;
}

/** Gateways that stand in, and an nginx that routes to the first of them. */
async function stage(names: readonly string[], running: readonly string[]): Promise<Stage> {
  const nodes: Record<string, Node> = {};
  for (const name of names) {
    await upstreamOf(name);
    nodes[name] = await startNode(name);
  }
  const groups: Stage['groups'] = (chosen, more = {}) => {
    const made: Record<string, { servers: object[] }> = {};
    for (const name of chosen) {
      const group = name.split('-')[0] ?? '';
      made[group] ??= { servers: [] };
      const address = `unix:${join(home, `${name}.sock`)}`;
      made[group].servers.push({ name, address, admin: nodes[name]?.admin, ...more[name] });
    }
    return made;
  };
  const nginx = await startNginx({ groups: groups(running) });
  toClose.push(nginx.stop);
  return { nginx, nodes, groups };
}

interface Told {
  readonly code: number;
  readonly text: string;
  readonly json: Record<string, unknown>;
}

/** Where `answer` is given there is somebody to ask, who says no. */
type Operated = Nginx & { readonly answer?: (question: string) => void };

async function ringside(nginx: Operated, command: string, ...words: string[]): Promise<Told> {
  const lines: string[] = [];
  const { answer } = nginx;
  const ask = async (question: string): Promise<string> => {
    answer?.(question);
    return 'n';
  };
  const terminal = { print: (line: string) => void lines.push(line), ask: answer ? ask : null };
  const called = nginx.words.map((word) => (word.includes(' ') ? `"${word}"` : word)).join(' ');
  const code = await runGroups([command, '--file', nginx.file, '--nginx', called, ...words], terminal);
  const text = lines.join('\n');
  return { code, text, json: words.includes('--json') ? JSON.parse(text) : {} };
}

const conf = (nginx: Nginx): Promise<string> => readFile(join(nginx.folder, 'groups.conf'), 'utf8');
const digestOf = async (nginx: Nginx): Promise<string> =>
  ((await (await fetch(`${nginx.url}/ringside-groups`)).json()) as { digest: string }).digest;
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
      /83 of 250 slots would be with the group red, which has no server/,
      /red-1 takes nothing: /,
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
    node.whyNotReady = 'the room log is away';
    await refusesToLeave(
      here,
      changed,
      /125 of 250 slots/,
      /red-1 takes nothing: it is not ready: the room log is away/,
    );
    node.whyNotReady = null;
    node.drain();
    await refusesToLeave(
      here,
      changed,
      /125 of 250 slots/,
      /red-1 takes nothing: it is draining: take that back with POST \/ops\/undrain/,
    );
    const other = await startNode('green-7');
    const misnamed = { groups: here.groups(['blue-1', 'red-1'], { 'red-1': { admin: other.admin } }) };
    await refusesToLeave(here, misnamed, /125 of 250 slots/, /red-1 takes nothing: .* is the admin port of green-7/);
  });

  it('refuses to leave a hot room without a server, though its group gets no slots', async () => {
    const here = await stage(['blue-1', 'red-1'], ['blue-1']);
    await stop('red-1');
    const groups = here.groups(['blue-1', 'red-1']);
    const changed = { groups: { ...groups, red: { ...groups['red'], weight: 0 } }, hotRooms: { final: ['red'] } };
    await refusesToLeave(here, changed, /The hot room final would be with red/, /red-1\.sock does not answer/);
  });

  it('says which servers take nothing where others of the group do, and goes on', async () => {
    const { nginx, groups } = await stage(['blue-1', 'blue-2', 'red-1'], ['blue-1', 'blue-2']);
    await stop('blue-2');
    await nginx.edit({ groups: groups(['blue-1', 'blue-2', 'red-1']) });
    const { code, text } = await ringside(nginx, 'apply', '--yes');
    assert.equal(code, 0, text);
    assert.match(text, /blue-2 takes nothing: .*blue-2\.sock does not answer/);
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
    assert.match(text, /^Not all was done: 0 viewers/m);
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
    assert.match(text, /nginx did not take up [0-9a-f]+ within 15 s.*Nobody was moved/);
    assert.deepEqual(orders, []);
  });

  it('asks first, and without anybody to ask does nothing', async () => {
    const { nginx, groups } = await stage(['blue-1', 'green-1'], ['blue-1']);
    const digest = await digestOf(nginx);
    await nginx.edit({ groups: groups(['blue-1', 'green-1']) });
    const { code, text } = await ringside(nginx, 'apply');
    assert.equal(code, 1);
    assert.match(text, /say --yes/);
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

describe('a groups file that is refused', () => {
  const unchanged = async (nginx: Nginx, what: () => Promise<Told>, sentence: RegExp): Promise<void> => {
    const [text, digest, names] = [await conf(nginx), await digestOf(nginx), await readdir(nginx.home)];
    const told = await what();
    assert.equal(told.code, 1);
    assert.match(told.text, sentence);
    assert.equal(await conf(nginx), text);
    assert.equal(await digestOf(nginx), digest);
    assert.deepEqual(await readdir(nginx.home), names, 'nothing is left behind');
  };

  it('is told why, all at once, and nothing is written', async () => {
    const { nginx, groups } = await stage(['blue-1'], ['blue-1']);
    await nginx.edit({ groups: groups(['blue-1']), hotRooms: { '': ['blue'], a: ['red'] } });
    for (const command of ['plan', 'render', 'check', 'apply']) {
      await unchanged(nginx, () => ringside(nginx, command, '--yes'), /no room id[\s\S]*"red", which is not there/);
    }
  });

  it('by nginx itself is not written either', async () => {
    const { nginx } = await stage(['blue-1'], ['blue-1']);
    const servers = [{ name: 'blue-1', address: 'nobody.invalid:80' }];
    await nginx.edit({ groups: { blue: { servers } } });
    await unchanged(
      nginx,
      () => ringside(nginx, 'render'),
      /nginx does not take the configuration[\s\S]*nobody\.invalid/,
    );
    await unchanged(nginx, () => ringside(nginx, 'apply', '--yes'), /nobody\.invalid/);
  });

  it('is told so as JSON where JSON is wanted', async () => {
    const { nginx } = await stage(['blue-1'], ['blue-1']);
    await writeFile(nginx.file, '{');
    assert.match(String((await ringside(nginx, 'plan', '--json')).json['refused']), /not JSON/);
  });
});

describe('ringside groups check', () => {
  let gateway: RunningGateway;
  let nginx: Nginx;
  let tokenFile: string;
  let base: Record<string, unknown>;

  beforeEach(async () => {
    gateway = await startGateway({ environment: { NODE_ID: 'blue-1', GROUP: 'blue' } });
    toClose.push(gateway.close);
    const node = await startNode('blue-1');
    const servers = [{ name: 'blue-1', address: `127.0.0.1:${gateway.port}`, admin: node.admin }];
    base = { groups: { blue: { servers } } };
    nginx = await startNginx(base);
    toClose.push(nginx.stop);
    tokenFile = join(home, 'token');
    await writeFile(tokenFile, `${tokenOf('ann')}\n`);
  });
  const checked = async (...words: string[]): Promise<Record<string, boolean | null> & { code: number }> => {
    const { code, json } = await ringside(nginx, 'check', '--room', room, '--json', ...words);
    const findings = json['findings'] as { what: string; isFine: boolean | null }[];
    return Object.assign(Object.fromEntries(findings.map(({ what, isFine }) => [what, isFine])), { code });
  };

  it('finds all well where it is, the stream among it', async () => {
    assert.deepEqual(await checked('--token-file', tokenFile), {
      ...{ rendered: true, nginx: true, running: true, server: true, stream: true },
      code: 0,
    });
    assert.equal((await checked()).stream, null, 'without a token it cannot know');
  });

  it('finds a file that was not rendered, and a rendering that does not run', async () => {
    await nginx.edit({ ...base, unlimited: ['10.0.0.1'] });
    const { rendered, running, code } = await checked();
    assert.deepEqual([rendered, running, code], [false, false, 1]);
    assert.equal((await ringside(nginx, 'render')).code, 0);
    const later = await checked();
    assert.deepEqual([later.rendered, later.running, later.code], [true, false, 1]);
    assert.equal((await ringside(nginx, 'apply', '--yes')).code, 0);
    const last = await checked();
    assert.deepEqual([last.rendered, last.running, last.code], [true, true, 0]);
  });

  it('finds a hand on what was rendered', async () => {
    await writeFile(join(nginx.folder, 'groups.conf'), (await conf(nginx)).replace('weight=1', 'weight=9'));
    assert.equal((await checked()).rendered, false);
  });

  it('finds a gateway that is not the one that the file names', async () => {
    const other = await startNode('green-7');
    await nginx.edit({
      groups: { blue: { servers: [{ name: 'blue-1', address: 'unix:/x.sock', admin: other.admin }] } },
    });
    assert.equal((await checked()).server, false);
  });

  it('finds a way that gathers what it should pass on', async () => {
    // As another proxy before nginx might: the gateway's own word against it is not heard, and chunks, which would be passed
    // on one by one, are not asked for.
    const path = join(nginx.home, 'nginx.conf');
    const text = await readFile(path, 'utf8');
    const presenceBatch = 'proxy_buffering on; proxy_http_version 1.0; proxy_ignore_headers X-Accel-Buffering;';
    await writeFile(path, text.replace('proxy_buffering off;', presenceBatch));
    await nginx.edit({ ...base, unlimited: ['10.0.0.1'] });
    assert.equal((await ringside(nginx, 'apply', '--yes')).code, 0);
    const found = await checked('--token-file', tokenFile);
    assert.deepEqual([found.stream, found.code], [false, 1]);
  });

  it('finds a way that ends in "not now"', async () => {
    await gateway.close();
    assert.equal((await checked('--token-file', tokenFile)).stream, false);
  });
});
