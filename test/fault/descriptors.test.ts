import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { Author } from '../rig/author.ts';
import { startCountedGateway } from '../rig/counted-gateway.ts';
import { RawViewer } from '../rig/raw-viewer.ts';
import { startRedis } from '../rig/redis.ts';
import { waitFor } from '../rig/wait-for.ts';

const descriptorsMax = 128;
const viewersBefore = 20;
/** Far more than it can take. */
const intruders = 400;
const heartbeatMs = 100;
/** Over so many heartbeats its CPU time is watched. */
const beatsWatched = 15;

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Opens a connection and says nothing. What becomes of it is the gateway's to decide. */
function intrude(port: number): Socket {
  const socket = connect({ host: '127.0.0.1', port }).on('error', () => undefined);
  socket.resume();
  return socket;
}

async function holdsOut(redisUrl?: string): Promise<void> {
  const gateway = await startCountedGateway({
    descriptorsMax,
    environment: { HEARTBEAT_MS: String(heartbeatMs), ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }) },
  });
  closers.push(() => gateway.close());
  const author = new Author(gateway.port);
  closers.push(() => author.close());
  await author.signal();
  const viewers: RawViewer[] = [];
  for (let n = 0; n < viewersBefore; n += 1) {
    const viewer = new RawViewer(gateway.port, { sub: `user-${n}`, ...(n % 2 ? { acceptEncoding: 'gzip' } : {}) });
    closers.push(() => viewer.close());
    viewers.push(await viewer.seated());
  }
  const sockets = Array.from({ length: intruders }, () => intrude(gateway.port));
  closers.push(() => sockets.forEach((socket) => void socket.destroy()));
  await waitFor(() => sockets.some((socket) => socket.destroyed), { what: 'connections to be turned away' });

  // Existing streams flow on, and the process does no more than they need.
  const beats = (): number => viewers[0]?.text.split('\n:\n').length ?? 0;
  const [beatsBefore, cpuBefore, startedMs] = [beats(), (await gateway.figures()).cpuMs, performance.now()];
  for (let n = 0; n < 20; n += 1) await author.signal(1000);
  await waitFor(() => beats() >= beatsBefore + beatsWatched, { what: 'heartbeats of a quiet stream' });
  const { cpuMs, viewers: seated, descriptors } = await gateway.figures();
  const busy = (cpuMs - cpuBefore) / (performance.now() - startedMs);
  assert.ok(busy < 0.6, `it keeps ${busy} of a core busy`);
  assert.equal(seated, viewersBefore);
  assert.ok(descriptors >= descriptorsMax - 2, `it was to be at its limit, and has ${descriptors} files open`);
  const { id } = await author.signal();
  await Promise.all(viewers.map((viewer) => viewer.reaches(id)));
  for (const viewer of viewers) assert.deepEqual(viewer.judge(author.ledger, 'everything'), []);

  // Some leave, and others come in.
  for (const socket of sockets) socket.destroy();
  for (const viewer of viewers.slice(0, 5)) viewer.close();
  const late = await waitFor(
    async () => {
      const viewer = new RawViewer(gateway.port, { sub: 'late' });
      closers.push(() => viewer.close());
      await waitFor(() => viewer.isOver || viewer.head !== '', { what: 'an answer, or the end' });
      return viewer.isOver ? null : viewer.seated();
    },
    { what: 'a new viewer to be seated', timeoutMs: 10_000 },
  );
  const last = await author.signal();
  for (const viewer of [late, ...viewers.slice(5)]) {
    await viewer.reaches(last.id);
    assert.deepEqual(viewer.judge(author.ledger, 'everything'), []);
  }
}

describe('a gateway that may open no more files', () => {
  it('keeps its streams flowing, does not spin, and takes viewers again when some have left', () => holdsOut());

  it('does so over Redis', async () => {
    const redis = await startRedis();
    closers.push(() => redis.stop());
    await holdsOut(redis.url);
  });
});
