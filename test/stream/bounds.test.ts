/** What one user and one address may take of a gateway, and that it leaves enough to everybody else. */

import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { afterEach, describe, it } from 'node:test';
import { type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { waitFor } from '../rig/wait-for.ts';

const toClose: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close();
});

async function start(environment: Record<string, string>): Promise<RunningGateway> {
  const gateway = await startGateway({ environment: { TRUSTED_PROXIES: '127.0.0.1', ...environment } });
  toClose.push(() => gateway.close());
  return gateway;
}

interface Opened {
  /** What it began with: a stream's `resume`, or the soft answer. */
  readonly first: string;
  close(): void;
}

interface Who {
  readonly token?: string;
  /** As a trusted proxy tells it. */
  readonly from?: string;
  readonly room?: string;
}

const headersOf = ({ token, from }: Who): Record<string, string> => ({
  ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  ...(from === undefined ? {} : { 'x-forwarded-for': from }),
});

async function openStream(gateway: RunningGateway, who: Who): Promise<Opened> {
  const gone = new AbortController();
  toClose.push(() => gone.abort());
  const path = `/rooms/${who.room ?? room}/stream`;
  const answer = await fetch(`${gateway.url}${path}`, { headers: headersOf(who), signal: gone.signal });
  assert.equal(answer.status, 200);
  const first = await answer.body?.getReader().read();
  return { first: Buffer.from(first?.value ?? []).toString(), close: () => gone.abort() };
}

const isOpen = ({ first }: Opened): boolean => first.includes('event: resume');
const isSoft = ({ first }: Opened): boolean => /^retry: \d+\n\nevent: end\ndata: .*"comeBack":"yes"/.test(first);

describe('streams', () => {
  it('of one user are bounded over all rooms, and room is again when one of them ends', async () => {
    const gateway = await start({ USER_STREAMS_MAX: '2' });
    const token = tokenOf('ann', 'viewer', { rooms: { '*': 'viewer' } });
    const first = await openStream(gateway, { token, room: 'a' });
    assert.ok(isOpen(first) && isOpen(await openStream(gateway, { token, room: 'b' })));
    const third = await openStream(gateway, { token, room: 'c' });
    assert.ok(isSoft(third), third.first);
    assert.ok(isOpen(await openStream(gateway, { token: tokenOf('ben') })), 'others are not meant');
    assert.equal(gateway.gateway.hub.hubCounters.turnedAway.share, 1);
    first.close();
    await waitFor(() => gateway.gateway.hub.viewers === 2, { what: 'the stream to be gone' });
  });

  it('of the platform itself are not', async () => {
    const gateway = await start({ USER_STREAMS_MAX: '1' });
    const token = tokenOf('platform', 'service');
    for (let n = 0; n < 3; n += 1) assert.ok(isOpen(await openStream(gateway, { token })));
  });

  it('without a token are bounded by address, IPv6 by its /64, and users are not', async () => {
    const gateway = await start({ ANONYMOUS_VIEWERS: 'on', ADDRESS_STREAMS_MAX: '1' });
    const open = async (from: string): Promise<boolean> => isOpen(await openStream(gateway, { from }));
    assert.deepEqual([await open('203.0.113.7'), await open('::ffff:203.0.113.7')], [true, false]);
    assert.deepEqual([await open('2001:db8:1:2::1'), await open('2001:db8:1:2:9::9')], [true, false]);
    assert.equal(await open('2001:db8:1:3::1'), true);
    for (const user of ['ann', 'ben', 'cleo']) {
      assert.ok(isOpen(await openStream(gateway, { token: tokenOf(user), from: '203.0.113.7' })));
    }
  });
});

/** Asks as fast as it can over kept connections; answers with a function that stops it and counts. */
function flood(gateway: RunningGateway, headers: Record<string, string>): () => number {
  const agent = new Agent({ keepAlive: true, maxSockets: 24 });
  let isOver = false;
  let count = 0;
  const ask = (): void => {
    if (isOver) return;
    const asked = request({ port: gateway.port, path: `/rooms/${room}/stream`, agent, headers }, (answer) => {
      count += 1;
      answer.resume();
      answer.on('end', ask);
    });
    asked.on('error', () => undefined);
    asked.end();
  };
  for (let n = 0; n < 24; n += 1) ask();
  const stop = (): number => {
    isOver = true;
    agent.destroy();
    return count;
  };
  toClose.push(stop);
  return stop;
}

describe('a flood of requests for streams', () => {
  for (const [what, token] of [
    ['without a token', null],
    ['with a bad one', 'eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl'],
  ] as const) {
    it(`${what} turns no viewer away`, async () => {
      const gateway = await start({ JOINS_PER_SECOND: '40' });
      const stop = flood(gateway, token === null ? {} : { authorization: `Bearer ${token}` });
      for (let n = 0; n < 30; n += 1) {
        const opened = await openStream(gateway, { token: tokenOf(`honest-${n}`) });
        assert.ok(isOpen(opened), `viewer ${n} was turned away: ${opened.first}`);
      }
      assert.ok(stop() > 100, 'there was a flood');
    });
  }

  it('by one user, or by nobody where anybody may watch, leaves the pace to others', async () => {
    const gateway = await start({ JOINS_PER_SECOND: '60', ANONYMOUS_VIEWERS: 'on', USER_STREAMS_MAX: '5' });
    const stops = [{}, { authorization: `Bearer ${tokenOf('mallory')}` }].map((headers) => flood(gateway, headers));
    for (let n = 0; n < 20; n += 1) {
      const opened = await openStream(gateway, { token: tokenOf(`honest-${n}`) });
      assert.ok(isOpen(opened), `viewer ${n} was turned away: ${opened.first}`);
    }
    for (const stop of stops) stop();
  });
});

describe('rooms that nobody vouches for', () => {
  it('are bounded by address and by user, so that ROOMS_MAX is there for others', async () => {
    const gateway = await start({ ANONYMOUS_VIEWERS: 'on', ROOMS_MAX: '60', UNCLAIMED_ROOMS_MAX: '10' });
    const token = tokenOf('ann', 'viewer', { rooms: { '*': 'viewer' } });
    const pull = async (who: Who, name: string): Promise<number> =>
      (await gateway.ask(`/rooms/${name}/events`, { headers: headersOf(who) })).status;
    for (const [who, name] of [
      [{ from: '203.0.113.7' }, 'made-up'],
      [{ token }, 'also'],
    ] as const) {
      const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => pull(who, `${name}-${n}`)));
      assert.equal(answers.filter((status) => status === 200).length, 10);
      const refused = await gateway.ask(`/rooms/${name}-more/events`, { headers: headersOf(who) });
      assert.deepEqual([refused.status, refused.json['code']], [503, 'overloaded']);
      assert.ok(Number(refused.headers.get('retry-after')) >= 1);
      assert.ok(isSoft(await openStream(gateway, { ...who, room: `${name}-stream` })));
    }
    assert.equal(
      await pull({ from: '203.0.113.7' }, 'made-up-3'),
      200,
      'a room that is followed already costs nothing',
    );
    // Many addresses together take half.
    for (let n = 0; n < 30; n += 1) await pull({ from: `198.51.100.${n}` }, `by-${n}`);
    assert.equal(gateway.gateway.hub.rooms, 30);
    assert.ok(isOpen(await openStream(gateway, { token: tokenOf('ben') })), 'who has a token for a room gets in');
  });

  it('count no more once something was written there, or somebody came whose token names them', async () => {
    const gateway = await start({ ANONYMOUS_VIEWERS: 'on', UNCLAIMED_ROOMS_MAX: '1' });
    const pull = async (name: string): Promise<number> => (await gateway.ask(`/rooms/${name}/events`)).status;
    const host = (name: string): string => tokenOf('hanna', 'host', { rooms: { [name]: 'host' } });
    for (const name of ['a', 'b', 'c']) await gateway.post('comment', { text: 'x' }, { as: host(name), room: name });
    assert.deepEqual([await pull('a'), await pull('b'), await pull('c')], [200, 200, 200]);
    assert.deepEqual([await pull('d'), await pull('e')], [200, 503]);
    await openStream(gateway, { token: host('d'), room: 'd' });
    assert.equal(await pull('e'), 200);
  });
});

describe('pulls that wait', () => {
  it('are bounded by user and by address, with a word on when to come back', async () => {
    const gateway = await start({ ANONYMOUS_VIEWERS: 'on', USER_PULLS_MAX: '2', ADDRESS_PULLS_MAX: '3' });
    for (const [who, max] of [
      [{ token: tokenOf('ann') }, 2],
      [{ from: '203.0.113.7' }, 3],
    ] as const) {
      const gone = new AbortController();
      toClose.push(() => gone.abort());
      const ask = (wait: number, signal: AbortSignal = AbortSignal.timeout(30_000)) =>
        gateway.ask(`/rooms/${room}/events?wait=${wait}`, { headers: headersOf(who), signal });
      const waiting = Array.from({ length: max }, () => ask(30, gone.signal).catch(() => null));
      await waitFor(async () => (await ask(0)).status === 429, { what: 'all of them to wait' });
      const refused = await ask(0);
      assert.equal(refused.json['code'], 'rate-limited');
      assert.ok(Number(refused.headers.get('retry-after')) >= 1);
      assert.equal(
        (await gateway.ask(`/rooms/${room}/events`, { headers: headersOf({ from: '203.0.113.8' }) })).status,
        200,
      );
      gone.abort();
      await Promise.all(waiting);
      await waitFor(async () => (await ask(0)).status === 200, { what: 'room to be again' });
    }
  });
});
