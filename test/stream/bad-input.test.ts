import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { Author } from '../rig/author.ts';
import { type CountedGateway, startCountedGateway } from '../rig/counted-gateway.ts';
import { RawViewer, type RawViewerOptions } from '../rig/raw-viewer.ts';
import { startRedis } from '../rig/redis.ts';
import { waitFor } from '../rig/wait-for.ts';

const viewerBytesMax = 262_144;
const tapeBytesMax = 524_288;
/** A signal that nearly fills a body, so that the kernel's buffers are full soon. */
const signalBytes = 14_000;
/** Kernels take several MiB for a viewer that does not read, and a gateway may hand them over in small parts. */
const writeWithinMs = 45_000;
/** More than the kernels of both sides hold for a connection, of which the gateway bounds one. */
const heldByKernelsBytes = 1024 * 1024;
/** Longer than a busy machine keeps a reader from reading. */
const stuckMs = 4_000;
/** What a gateway may own more than before, all viewers together: the tape, the log, and V8's own ways. */
const ownedBytesMore = 16 * 1024 * 1024;

const environment = {
  VIEWER_BYTES_MAX: String(viewerBytesMax),
  TAPE_BYTES_MAX: String(tapeBytesMax),
  LOG_BYTES_MAX: String(1024 * 1024),
  HEARTBEAT_MS: '200',
};

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Stage {
  readonly gateway: CountedGateway;
  readonly author: Author;
  seat(sub: string, more?: Omit<RawViewerOptions, 'sub'>): Promise<RawViewer>;
}

async function stage(more: Readonly<Record<string, string>> = {}): Promise<Stage> {
  const gateway = await startCountedGateway({ environment: { ...environment, ...more } });
  closers.push(() => gateway.close());
  const author = new Author(gateway.port);
  closers.push(() => author.close());
  const seat: Stage['seat'] = async (sub, options = {}) => {
    const viewer = new RawViewer(gateway.port, { sub, ...options });
    closers.push(() => viewer.close());
    return viewer.seated();
  };
  return { gateway, author, seat };
}

/** Signals that are written before the witness must have them: less than may be on the way to a viewer. */
const atATime = 10;

/**
 * Writes until it is so, as fast as a witness that reads gets it, and holds what waits for a viewer to its bound.
 */
async function writeUntil({ gateway, author }: Stage, witness: RawViewer, isSo: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + writeWithinMs;
  do {
    for (let n = 1; n < atATime; n += 1) await author.signal(signalBytes);
    await witness.reaches((await author.signal(signalBytes)).id);
    assert.ok(!witness.isOver, 'the stream of a viewer that reads was ended');
    const { waitingMostBytes } = await gateway.figures();
    assert.ok(waitingMostBytes <= viewerBytesMax, `${waitingMostBytes} bytes wait for one viewer`);
    assert.ok(performance.now() < until, `after ${author.paddedBytes} bytes it is not so yet`);
  } while (!(await isSo()));
}

async function endsSleepers(redisUrl?: string): Promise<void> {
  const set = await stage({
    VIEWER_STUCK_MS: String(stuckMs),
    ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }),
  });
  const { gateway, author, seat } = set;
  const ann = await seat('ann');
  const healthy = [ann, await seat('bob', { acceptEncoding: 'gzip' }), await seat('cat')];
  await author.signal(signalBytes);
  const before = await gateway.collected();
  const sleepers: RawViewer[] = [];
  for (let n = 0; n < 24; n += 1) {
    sleepers.push(await seat(`sleeper-${n}`, n % 3 === 0 ? { acceptEncoding: 'gzip' } : {}));
  }
  for (const sleeper of sleepers) sleeper.stall();
  await writeUntil(set, ann, async () => (await gateway.figures()).viewers === healthy.length);
  const last = await author.signal();
  for (const viewer of healthy) {
    await viewer.reaches(last.id);
    assert.deepEqual(viewer.judge(author.ledger, 'everything'), [], `${viewer.person.id} was told of a loss`);
  }
  const after = await waitFor(
    async () => {
      const figures = await gateway.collected();
      return figures.connections === before.connections && figures;
    },
    { what: `${before.connections} connections again` },
  );
  assert.ok(after.ownedBytes < before.ownedBytes + ownedBytesMore, `${after.ownedBytes} bytes are owned`);
  // What the kernel still held for them is a true beginning.
  for (const sleeper of sleepers) sleeper.read();
  await waitFor(() => sleepers.every(({ isOver }) => isOver), { what: 'every sleeper to see its end' });
  for (const sleeper of sleepers) sleeper.judge(author.ledger, 'a beginning');
}

describe('viewers that never read', () => {
  it('are held to VIEWER_BYTES_MAX, ended after VIEWER_STUCK_MS, and disturb nobody', () => endsSleepers());

  it('are ended over Redis, too', async () => {
    const redis = await startRedis();
    closers.push(() => redis.stop());
    await endsSleepers(redis.url);
  });
});

describe('a viewer that reads a trickle', () => {
  it('of single bytes gets a true beginning, and holds nothing beyond its bound', async () => {
    const set = await stage({ VIEWER_STUCK_MS: String(stuckMs) });
    const trickler = await set.seat('tina', { readBytes: 1 });
    trickler.stall();
    const witness = await set.seat('ann');
    await writeUntil(set, witness, async () => {
      trickler.read(1);
      return (await set.gateway.figures()).viewers === 1;
    });
    const last = await set.author.signal();
    await witness.reaches(last.id);
    assert.deepEqual(witness.judge(set.author.ledger, 'everything'), []);
    trickler.judge(set.author.ledger, 'a beginning');
  });

  for (const acceptEncoding of ['identity', 'gzip']) {
    it(`of a third of what is said gets it, or is told what it missed (${acceptEncoding})`, async () => {
      const set = await stage();
      const slow = await set.seat('sam', { acceptEncoding, readBytes: 4096 });
      const witness = await set.seat('ann');
      const before = set.author.paddedBytes;
      await writeUntil(set, witness, async () => {
        slow.read(10);
        return set.author.paddedBytes - before > 2 * (heldByKernelsBytes + tapeBytesMax);
      });
      slow.read();
      const last = await set.author.signal();
      for (const viewer of [slow, witness]) await viewer.reaches(last.id);
      assert.deepEqual(witness.judge(set.author.ledger, 'everything'), []);
      const declared = slow.judge(set.author.ledger, 'everything');
      assert.ok(declared.length > 0 && declared.every((cause) => cause === 'slow'), `declared: ${declared}`);
    });
  }
});

describe('an entry that is larger than the tape', () => {
  it('reaches everybody who keeps up, without a gap, and who comes back', async () => {
    const { author, seat } = await stage({ TAPE_BYTES_MAX: '1024' });
    const viewers = [await seat('ann'), await seat('bob', { acceptEncoding: 'gzip' }), await seat('cat')];
    for (let n = 0; n < 10; n += 1) {
      const { id } = await author.signal(4096);
      for (const viewer of viewers) await viewer.reaches(id);
    }
    // Several at once: the flush then holds more than one of them.
    for (let n = 0; n < 10; n += 1) await author.signal(n % 2 === 0 ? signalBytes : 10);
    const last = await author.signal(4096);
    const [first] = [...author.ledger.back()].reverse();
    viewers.push(await seat('dan', first === undefined ? {} : { lastEventId: first.id }));
    for (const viewer of viewers) {
      await viewer.reaches(last.id);
      assert.deepEqual(viewer.judge(author.ledger, 'everything'), []);
    }
  });
});
