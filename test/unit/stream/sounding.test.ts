import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../../../src/clock.ts';
import { Sounding } from '../../../src/stream/sounding.ts';
import { FakeClock } from '../../helpers/fake-clock.ts';

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

const depthOf = (sounding: Sounding, socket: Socket): Promise<number> =>
  new Promise((resolve, reject) => {
    if (!sounding.ask(socket, { sounded: resolve }, urgent)) reject(new Error('cannot be sounded'));
  });

for (const host of ['127.0.0.1', '::1', '::']) {
  test(`what the kernel holds for a reader on ${host} that reads nothing is found, and nothing for one that reads`, async () => {
    const sounding = new Sounding(systemClock);
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
      const [deep, flat] = await Promise.all([depthOf(sounding, stalled.near), depthOf(sounding, reading.near)]);
      assert.ok(deep > 65_536 && deep <= given, `${deep} bytes`);
      assert.equal(flat, 0);
    } finally {
      sounding.close();
      stalled.close();
      reading.close();
    }
  });
}

test('a connection that has been closed, or is none of TCP, cannot be sounded', async () => {
  const sounding = new Sounding(systemClock);
  const { near, close } = await open('127.0.0.1');
  close();
  assert.equal(sounding.ask(near, { sounded: () => undefined }, urgent), false);
  sounding.close();
});

test('where the kernel keeps no list, everybody is told that there is nothing', async () => {
  const sounding = new Sounding(systemClock, ['/nowhere/tcp']);
  const { near, close } = await open('127.0.0.1');
  assert.equal(await depthOf(sounding, near), 0);
  sounding.close();
  close();
});

test('nobody is told after it has gone or after closing, and no timer is left', async () => {
  const sounding = new Sounding(systemClock);
  const { near, close } = await open('127.0.0.1');
  const told: string[] = [];
  const [gone, there] = ['gone', 'there'].map((name) => ({ sounded: () => void told.push(name) }));
  assert.ok(gone && there && sounding.ask(near, gone, urgent) && sounding.ask(near, there, urgent));
  sounding.forget(gone);
  while (told.length === 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(told, ['there']);
  assert.ok(sounding.ask(near, gone, urgent));
  sounding.close();
  assert.equal(sounding.ask(near, there, urgent), false);
  close();
});

test('what is urgent overtakes what has time', async () => {
  const clock = new FakeClock();
  const sounding = new Sounding(clock);
  const { near, close } = await open('127.0.0.1');
  const told: number[] = [];
  const who = { sounded: () => void told.push(clock.now()) };
  const settled = async (): Promise<void> => {
    for (let turns = 0; turns < 200; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  sounding.ask(near, who, { isUrgent: false });
  clock.advance(0);
  await settled();
  assert.equal(told.length, 1, 'the first reading has nothing to wait for');
  sounding.ask(near, who, { isUrgent: false });
  clock.advance(100);
  await settled();
  assert.equal(told.length, 1);
  sounding.ask(near, { sounded: () => undefined }, urgent);
  clock.advance(0);
  await settled();
  assert.equal(told.length, 2, 'one reading serves all');
  sounding.close();
  close();
  assert.equal(clock.timers, 0);
});
