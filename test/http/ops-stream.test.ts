import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { EventSource } from 'eventsource';
import { listenersMax } from '../../src/ops/admin-stream.ts';
import type { SecondFigures } from '../../src/ops/figures.ts';
import { type RunningGateway, startGateway } from '../rig/gateway.ts';
import { watch } from '../rig/stream-reader.ts';
import { waitFor } from '../rig/wait-for.ts';

let gateway: RunningGateway;
let url: string;

beforeEach(async () => {
  gateway = await startGateway({ environment: { NODE_ID: 'blue-1', GROUP: 'blue' } });
  const { admin } = gateway.gateway;
  await admin.listen({ host: '127.0.0.1', port: 0 });
  url = `http://127.0.0.1:${(admin.server.address() as AddressInfo).port}/ops/stream`;
});
afterEach(() => gateway.close());

interface Listener {
  readonly source: EventSource;
  readonly figures: SecondFigures[];
  errors: number;
}

function listen(): Listener {
  const listener: Listener = { source: new EventSource(url), figures: [], errors: 0 };
  listener.source.addEventListener('figures', ({ data }: { data: string }) => {
    listener.figures.push(JSON.parse(data) as SecondFigures);
  });
  listener.source.addEventListener('error', () => {
    listener.errors += 1;
  });
  return listener;
}

const open = async (): Promise<{ asked: ClientRequest; answer: IncomingMessage }> => {
  const asked = get(url, { agent: false }).on('error', () => undefined);
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  return { asked, answer: answer.on('error', () => undefined).resume() };
};

describe('/ops/stream', () => {
  it('tells once a second what the gateway does', async () => {
    const listener = listen();
    const viewer = await watch(gateway.url);
    try {
      for (let n = 0; n < 20; n += 1) await gateway.post('comment', { text: 'hello' });
      await viewer.until(() => viewer.named('comment').length === 20, '20 comments');
      await waitFor(() => listener.figures.length >= 2, { what: 'two seconds of figures' });
      const [first, second] = listener.figures;
      assert.ok(first && second);
      assert.deepEqual(
        { node: first.node, group: first.group, isReady: first.isReady, isDraining: first.isDraining },
        { node: 'blue-1', group: 'blue', isReady: true, isDraining: false },
      );
      assert.deepEqual([second.viewers, second.rooms, second.waiting], [1, 1, 0]);
      const rates = (name: 'deliveriesPerSecond' | 'joinsPerSecond'): number =>
        listener.figures.reduce((sum, figures) => sum + figures[name], 0);
      // The rates are by the true length of each second, which is a little more than one.
      await waitFor(() => Math.abs(rates('deliveriesPerSecond') - 20) < 2, { what: 'the deliveries to be told' });
      assert.ok(Math.abs(rates('joinsPerSecond') - 1) < 0.2);
      assert.ok(second.at - first.at >= 900 && second.at - first.at < 3_000);
      assert.ok(second.loopDelayMs >= 0);
    } finally {
      listener.source.close();
      viewer.close();
    }
  });

  it('has a bounded number of listeners, and room again when one leaves', async () => {
    const all = [];
    for (let n = 0; n < listenersMax; n += 1) all.push(await open());
    try {
      assert.ok(all.every(({ answer }) => answer.statusCode === 200));
      const refused = await open();
      assert.equal(refused.answer.statusCode, 503);
      assert.match(String(refused.answer.headers['content-type']), /^application\/problem\+json/);
      all[0]?.asked.destroy();
      await waitFor(
        async () => {
          const again = await open();
          all.push(again);
          return again.answer.statusCode === 200;
        },
        { what: 'the place of who left to be free' },
      );
    } finally {
      for (const { asked } of all) asked.destroy();
    }
  });

  it('keeps no gateway from closing, and its listeners come back to the next one', async () => {
    const listener = listen();
    try {
      await waitFor(() => listener.figures.length > 0, { what: 'the first figures' });
      const beganMs = performance.now();
      await gateway.close();
      assert.ok(performance.now() - beganMs < 2_000);
      await waitFor(() => listener.errors > 0, { what: 'the listener to notice' });
      assert.equal(listener.source.readyState, EventSource.CONNECTING);
    } finally {
      listener.source.close();
    }
  });
});
