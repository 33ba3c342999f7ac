import assert from 'node:assert/strict';
import { request } from 'node:http';
import { afterEach, describe, it } from 'node:test';
import { type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { readStream, type StreamReader, watch } from '../rig/stream-reader.ts';
import { waitFor } from '../rig/wait-for.ts';

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function start(environment: Readonly<Record<string, string>> = {}): Promise<RunningGateway> {
  const gateway = await startGateway({ environment });
  opened.push(gateway);
  return gateway;
}
async function sit({ url }: RunningGateway, count: number, inRoom = room): Promise<StreamReader[]> {
  const readers: StreamReader[] = [];
  for (let n = 0; n < count; n += 1) {
    const token = tokenOf(`v${n}`, 'viewer', { rooms: { [inRoom]: 'viewer' } });
    readers.push(await watch(url, { room: inRoom, token }));
  }
  opened.push(...readers);
  return readers;
}
/** What the admin port answers. */
const ask = async ({ gateway }: RunningGateway, method: 'GET' | 'POST', url: string, payload?: object) => {
  const answer = await gateway.admin.inject({ method, url, ...(payload === undefined ? {} : { payload }) });
  return { status: answer.statusCode, body: answer.json() as Record<string, unknown> };
};
const isMoved = ({ heard }: StreamReader): boolean => heard.at(-1)?.event === 'move';

describe('handing viewers over', () => {
  it('tells a share of a room to come back, and leaves the others and other rooms alone', async () => {
    const gateway = await start();
    const [here, elsewhere] = [await sit(gateway, 10), await sit(gateway, 2, 'another')];
    assert.deepEqual((await ask(gateway, 'GET', '/ops/rooms')).body['rooms'], [
      { room, viewers: 10 },
      { room: 'another', viewers: 2 },
    ]);
    const answer = await ask(gateway, 'POST', `/ops/rooms/${room}/move`, { overMs: 50, share: 0.4 });
    assert.deepEqual([answer.status, answer.body], [202, { moving: 4 }]);
    await waitFor(() => here.filter(({ isOver }) => isOver).length === 4, { what: 'four streams to end' });
    const moved = here.filter(isMoved);
    assert.equal(moved.length, 4);
    for (const { heard, retryMs } of moved) assert.equal(heard.at(-1)?.data['retryMs'], retryMs);
    assert.ok(elsewhere.every(({ isOver }) => !isOver));
    await waitFor(() => gateway.gateway.hub.viewers === 8, { what: 'those who left to be forgotten' });
    const id = await gateway.post('signal', { type: 'beat', data: {} });
    const stayed = here.filter(({ isOver }) => !isOver);
    await waitFor(() => stayed.every(({ heard }) => heard.at(-1)?.id === id), { what: 'the others to hear on' });
  });

  it('drains a node: nobody is left, nobody comes in, and it says that it wants no traffic', async () => {
    const gateway = await start();
    const readers = await sit(gateway, 6);
    assert.equal((await ask(gateway, 'GET', '/readyz')).status, 200);
    assert.deepEqual((await ask(gateway, 'POST', '/ops/drain', { overMs: 20 })).body, { moving: 6 });
    await waitFor(() => readers.every(isMoved), { what: 'all to be told' });
    assert.deepEqual((await ask(gateway, 'GET', '/readyz')).body, { status: 'not ready', reason: 'draining' });
    const late = await readStream(gateway.url, {});
    opened.push(late);
    await late.over();
    assert.deepEqual([late.status, late.heard.at(-1)?.data], [200, { cause: 'closing', comeBack: 'yes' }]);
    assert.ok(late.retryMs !== null);
  });

  it('takes a drain back: whoever was not told yet stays, and who comes is let in', async () => {
    const gateway = await start();
    const readers = await Promise.all(Array.from({ length: 6 }, () => readStream(gateway.url, {})));
    opened.push(...readers);
    await ask(gateway, 'POST', '/ops/drain', { overMs: 600_000 });
    const { status, body } = await ask(gateway, 'POST', '/ops/undrain', {});
    assert.deepEqual([status, body], [200, { isDraining: false }]);
    assert.deepEqual((await ask(gateway, 'GET', '/readyz')).body, { status: 'ready' });
    const late = await readStream(gateway.url, {});
    opened.push(late);
    await waitFor(() => late.heard.some(({ event }) => event === 'resume'), { what: 'the stream to open' });
    // One was due at once.
    assert.ok(gateway.gateway.hub.viewers >= 6);
    void gateway.gateway.leave();
    assert.equal((await ask(gateway, 'POST', '/ops/undrain', {})).status, 503, 'a gateway that ends stays on its way');
  });

  it('sends a proxy on to another gateway, and lets it keep no connection', async () => {
    const gateway = await start();
    const open = (path: string, headers: Record<string, string>): Promise<{ status: number; connection: string }> =>
      new Promise((resolve, reject) => {
        const asked = request(`${gateway.url}${path}`, { headers, agent: false }, (answer) => {
          answer.resume();
          resolve({ status: answer.statusCode ?? 0, connection: answer.headers.connection ?? '' });
        });
        asked.on('error', reject).end();
      });
    const authorization = `Bearer ${tokenOf('ann')}`;
    await ask(gateway, 'POST', '/ops/drain', { overMs: 0 });
    const asProxy = { authorization, connection: 'keep-alive', 'x-ringside-group': 'default' };
    assert.deepEqual(await open(`/rooms/${room}/stream`, asProxy), { status: 503, connection: 'close' });
    assert.deepEqual(await open(`/rooms/${room}/state`, asProxy), { status: 200, connection: 'close' });
  });

  it('counts who was meant for another group', async () => {
    const gateway = await start({ GROUP: 'blue' });
    for (const group of ['blue', 'green', 'hot', 'green']) {
      opened.push(await readStream(gateway.url, { headers: { 'x-ringside-group': group } }));
    }
    assert.equal((await ask(gateway, 'GET', '/ops/rooms')).body['misrouted'], 2);
  });
});
