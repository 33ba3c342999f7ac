import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../../../src/clock.ts';
import { SendQueueProbe } from '../../../src/stream/send-queue-probe.ts';
import { FakeClock } from '../../rig/fake-clock.ts';

const urgent = { isUrgent: true };

/** A connection over loopback, whose near end is the server's. */
async function open(host: string): Promise<{ near: Socket; far: Socket; close(): void }> {
  const server = createServer();
  server.listen(0, host);
  await once(server, 'listening');
  const far = connect((server.address() as AddressInfo).port, host === '::' ? '127.0.0.1' : host);
  far.pause();
  const [near] = (await once(server, 'connection')) as [Socket];
  const close = (): void => {
    near.destroy();
    far.destroy();
    server.close();
  };
  return { near, far, close };
}

const depthOf = (sendQueueProbe: SendQueueProbe, socket: Socket): Promise<number> =>
  new Promise((resolve, reject) => {
    if (!sendQueueProbe.ask(socket, { sounded: resolve }, urgent)) reject(new Error('cannot be sounded'));
  });

for (const host of ['127.0.0.1', '::1', '::']) {
  test(`what the kernel holds for a reader on ${host} that reads nothing is found, and nothing for one that reads`, async () => {
    const sendQueueProbe = new SendQueueProbe(systemClock);
    const [stalled, reading] = [await open(host), await open(host)];
    try {
      let read = 0;
      reading.far.on('data', (bytes: Buffer) => {
        read += bytes.length;
      });
      reading.far.resume();
      const given = 8 * 1024 * 1024;
      // The far end's own buffer takes some, which is no longer ours; the near process keeps what the kernel refused.
      stalled.near.write(Buffer.alloc(given));
      reading.near.write(Buffer.alloc(65_536));
      while (read < 65_536) await once(reading.far, 'data');
      const [deep, flat] = await Promise.all([
        depthOf(sendQueueProbe, stalled.near),
        depthOf(sendQueueProbe, reading.near),
      ]);
      assert.ok(deep > 65_536 && deep <= given, `${deep} bytes`);
      assert.equal(flat, 0);
    } finally {
      sendQueueProbe.close();
      stalled.close();
      reading.close();
    }
  });
}

test('a connection that has been closed, or is none of TCP, cannot be sounded', async () => {
  const sendQueueProbe = new SendQueueProbe(systemClock);
  const { near, close } = await open('127.0.0.1');
  close();
  assert.equal(sendQueueProbe.ask(near, { sounded: () => undefined }, urgent), false);
  sendQueueProbe.close();
});

test('where the kernel keeps no list, everybody is told that there is nothing', async () => {
  const sendQueueProbe = new SendQueueProbe(systemClock, ['/nowhere/tcp']);
  const { near, close } = await open('127.0.0.1');
  assert.equal(await depthOf(sendQueueProbe, near), 0);
  sendQueueProbe.close();
  close();
});

test('nobody is told after it has gone or after closing, and no timer is left', async () => {
  const sendQueueProbe = new SendQueueProbe(systemClock);
  const { near, close } = await open('127.0.0.1');
  const told: string[] = [];
  const [gone, there] = ['gone', 'there'].map((name) => ({ sounded: () => void told.push(name) }));
  assert.ok(gone && there && sendQueueProbe.ask(near, gone, urgent) && sendQueueProbe.ask(near, there, urgent));
  sendQueueProbe.forget(gone);
  while (told.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(told, ['there']);
  assert.ok(sendQueueProbe.ask(near, gone, urgent));
  sendQueueProbe.close();
  assert.equal(sendQueueProbe.ask(near, there, urgent), false);
  close();
});

test('what is urgent overtakes what has time', async () => {
  const clock = new FakeClock();
  const sendQueueProbe = new SendQueueProbe(clock);
  const { near, close } = await open('127.0.0.1');
  const told: number[] = [];
  const who = { sounded: () => void told.push(clock.now()) };
  const settled = async (): Promise<void> => {
    for (let turns = 0; turns < 200; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  sendQueueProbe.ask(near, who, { isUrgent: false });
  clock.advance(0);
  await settled();
  assert.equal(told.length, 1, 'the first reading has nothing to wait for');
  sendQueueProbe.ask(near, who, { isUrgent: false });
  clock.advance(100);
  await settled();
  assert.equal(told.length, 1);
  sendQueueProbe.ask(near, { sounded: () => undefined }, urgent);
  clock.advance(0);
  await settled();
  assert.equal(told.length, 2, 'one reading serves all');
  sendQueueProbe.close();
  close();
  assert.equal(clock.timers, 0);
});
