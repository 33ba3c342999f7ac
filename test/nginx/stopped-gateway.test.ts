import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { settingsTable } from '../../src/settings-table.ts';
import { type Client, openNpmClient } from '../rig/clients.ts';
import { type Fleet, startFleet } from '../rig/fleet.ts';
import { room, tokenOf } from '../rig/gateway.ts';
import { readStream, type StreamReader, watch } from '../rig/stream-reader.ts';
import { waitFor } from '../rig/wait-for.ts';

// A process that is stopped (SIGSTOP, a frozen container, a machine that swaps) is the worst that can befall a proxy: the
// kernel goes on accepting for it, and nothing is ever said.

/** As nginx.conf has them: how long a stream and a write may be silent, and a little for a busy machine. */
const streamSilentMs = 6_000;
const writeSilentMs = 4_000;
const slackMs = 3_000;

let fleet: Fleet;
const readers: StreamReader[] = [];
const clients: Client[] = [];

before(async () => {
  fleet = await startFleet({ nodes: ['blue-1', 'blue-2'] });
});
after(() => fleet?.close());
beforeEach(async () => {
  // Nobody is left alone by nginx any more: each of some streams in turn finds the other server.
  await waitFor(
    async () => {
      const two: StreamReader[] = [];
      try {
        for (let nth = 0; nth < 2; nth += 1) two.push(await watch(fleet.url));
        return [...(await fleet.viewersOf(room)).values()].every((count) => count > 0);
      } finally {
        // Also where only one of them came in.
        for (const reader of two) reader.close();
      }
    },
    { what: 'both to be asked', timeoutMs: 15_000 },
  );
  await waitFor(async () => [...(await fleet.viewersOf(room)).values()].every((count) => count === 0), {
    what: 'those to be gone',
  });
});
afterEach(async () => {
  fleet.signal('blue-1', 'SIGCONT');
  for (const reader of readers.splice(0)) reader.close();
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

const write = async (key: string | null): Promise<{ readonly status: number; readonly ms: number }> => {
  const beganAt = performance.now();
  const answer = await fetch(`${fleet.url}/rooms/${room}/actions/comment`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${tokenOf('hanna', 'host')}`,
      'content-type': 'application/json',
      ...(key === null ? {} : { 'idempotency-key': key }),
    },
    body: JSON.stringify({ text: 'hi' }),
  });
  await answer.arrayBuffer();
  return { status: answer.status, ms: performance.now() - beganAt };
};

describe('a gateway that is stopped, one of two', () => {
  it('costs no write with a key more than one wait, and most none', async () => {
    fleet.signal('blue-1', 'SIGSTOP');
    const all = await Promise.all(Array.from({ length: 6 }, (_, nth) => write(`stopped-${nth}`)));
    const later: { status: number; ms: number }[] = [];
    for (let nth = 0; nth < 10; nth += 1) later.push(await write(`later-${nth}`));
    assert.deepEqual(
      [...all, ...later].filter(({ status }) => status !== 202),
      [],
    );
    assert.ok(
      all.some(({ ms }) => ms > writeSilentMs * 0.9),
      'the stopped one was asked',
    );
    for (const { ms } of all) assert.ok(ms < writeSilentMs + slackMs, `${Math.round(ms)} ms`);
    const slow = later.filter(({ ms }) => ms > writeSilentMs * 0.9);
    assert.ok(slow.length <= 1, `${slow.length} of ${later.length} waited`);
  });

  it('costs those who read one wait at most', async () => {
    fleet.signal('blue-1', 'SIGSTOP');
    const headers = { authorization: `Bearer ${tokenOf('ann')}` };
    const beganAt = performance.now();
    const answers = await Promise.all(
      Array.from({ length: 4 }, () => fetch(`${fleet.url}/rooms/${room}/state`, { headers })),
    );
    assert.ok(answers.every(({ status }) => status === 200));
    assert.ok(performance.now() - beganAt < 5_000 + slackMs);
  });

  it('keeps no newcomer for longer than one wait, and those after the first not at all', async () => {
    fleet.signal('blue-1', 'SIGSTOP');
    const beganAt = performance.now();
    readers.push(...(await Promise.all(Array.from({ length: 8 }, () => watch(fleet.url)))));
    assert.ok(performance.now() - beganAt < streamSilentMs + slackMs);
    assert.ok(performance.now() - beganAt > streamSilentMs * 0.9, 'the stopped one was asked');
    const times: number[] = [];
    for (let nth = 0; nth < 10; nth += 1) {
      const at = performance.now();
      readers.push(await watch(fleet.url));
      times.push(performance.now() - at);
    }
    const slow = times.filter((ms) => ms > 1_000);
    assert.ok(slow.length <= 1, `${times.map(Math.round)} ms`);
  });

  it('loses its viewers to the other after a few heartbeats, with nothing lost to them', async () => {
    const address = `${fleet.url}/rooms/${room}/stream`;
    for (let nth = 0; nth < 6; nth += 1)
      clients.push(await openNpmClient({ address, token: tokenOf(`es-${nth}`), names: ['resume', 'comment', 'gap'] }));
    const on = async (name: string) => (await fleet.viewersOf(room)).get(name) ?? 0;
    await waitFor(async () => (await on('blue-1')) > 0 && (await on('blue-1')) + (await on('blue-2')) === 6, {
      what: 'some to be on each',
    });
    fleet.signal('blue-1', 'SIGSTOP');
    const stoppedAt = performance.now();
    assert.equal((await write('while-stopped')).status, 202);
    const heard = (client: Client) => client.heard().filter(({ event }) => event === 'comment').length;
    await waitFor(() => clients.every((client) => heard(client) === 1), {
      what: 'everybody to hear it',
      timeoutMs: 4 * streamSilentMs,
    });
    const tookMs = performance.now() - stoppedAt;
    assert.ok(tookMs < 2 * streamSilentMs + slackMs, `${Math.round(tookMs)} ms`);
    const verdicts = clients.flatMap((client) => client.heard().filter(({ event }) => event === 'resume'));
    assert.ok(verdicts.length > clients.length, 'some came back');
    assert.deepEqual(
      clients.flatMap((client) => client.heard().filter(({ event }) => event === 'gap')),
      [],
    );
  });

  it('that goes on is used again', async () => {
    fleet.signal('blue-1', 'SIGSTOP');
    readers.push(await watch(fleet.url), await watch(fleet.url));
    fleet.signal('blue-1', 'SIGCONT');
    await waitFor(
      async () => {
        readers.push(await watch(fleet.url));
        return ((await fleet.viewersOf(room)).get('blue-1') ?? 0) > 0;
      },
      { what: 'a stream on it', timeoutMs: 15_000 },
    );
  });
});

describe('a quiet stream', () => {
  it('stays open for longer than nginx waits, as heartbeats come', async () => {
    const heartbeatMs = settingsTable.find(({ name }) => name === 'HEARTBEAT_MS')?.default;
    assert.ok(Number(heartbeatMs) * 3 <= streamSilentMs);
    const stream = await readStream(fleet.url);
    readers.push(stream);
    await waitFor(() => stream.comments.length >= 5, { what: 'five heartbeats', timeoutMs: 4 * streamSilentMs });
    assert.equal(stream.isOver, false);
  });
});
