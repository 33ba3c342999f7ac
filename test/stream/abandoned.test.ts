import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { Author } from '../rig/author.ts';
import { type CountedGateway, type CountedOptions, type Figures, startCountedGateway } from '../rig/counted-gateway.ts';
import { room, tokenOf } from '../rig/gateway.ts';
import { RawViewer, streamRequest } from '../rig/raw-viewer.ts';
import { startRedis } from '../rig/redis.ts';
import { waitFor } from '../rig/wait-for.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** Rooms that nobody watches are let go at once, so that the figures come back to what they were. */
const environment = { LINGER_MS: '0', RENEW_MS: '50', HEARTBEAT_MS: '200', USER_STREAMS_MAX: '100000' };

async function start(options: CountedOptions = {}): Promise<CountedGateway> {
  const gateway = await startCountedGateway({ ...options, environment: { ...environment, ...options.environment } });
  closers.push(() => gateway.close());
  return gateway;
}

/** How a client abandons what it began. */
interface Abandonment {
  readonly says: string;
  /** Whether it goes only when the first bytes of the answer have come. */
  readonly waitsForAnswer?: true;
  /** `reset`: at once, as a crash does. `end`: it says goodbye, and does not listen any more. */
  readonly goes: 'reset' | 'end';
}

/** In turn from other addresses, or the ports of one would be used up by connections that have just ended. */
const addresses = 8;
let connections = 0;

async function abandon(port: number, { says, waitsForAnswer, goes }: Abandonment): Promise<void> {
  connections += 1;
  const localAddress = `127.0.0.${2 + (connections % addresses)}`;
  const socket: Socket = connect({ host: '127.0.0.1', port, localAddress });
  const closed = new Promise((resolve) => socket.on('close', resolve));
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  if (says !== '') await new Promise((sent) => socket.write(says, sent));
  if (waitsForAnswer) await Promise.race([once(socket, 'data'), closed]);
  if (goes === 'reset') socket.resetAndDestroy();
  else socket.destroy();
  await closed;
}

const isAsBefore = (before: Figures, now: Figures): boolean =>
  (['connections', 'timers', 'descriptors', 'viewers', 'rooms', 'waiting'] as const).every(
    (name) => now[name] <= before[name],
  );

/** Settles once everything that an abandoned connection can hold is let go of. */
async function backTo(before: Figures, gateway: CountedGateway): Promise<Figures> {
  let now = before;
  await waitFor(
    async () => {
      now = await gateway.collected();
      return isAsBefore(before, now);
    },
    { what: 'the gateway to hold what it held before', timeoutMs: 20_000 },
  ).catch((error: unknown) => assert.fail(`${error}: ${JSON.stringify({ before, now })}`));
  return now;
}

describe('a client that goes in the middle of its request', () => {
  it('leaves nothing behind, wherever it stopped', async () => {
    const gateway = await start();
    const author = new Author(gateway.port);
    closers.push(() => author.close());
    await author.signal();
    const witness = await new RawViewer(gateway.port).seated();
    closers.push(() => witness.close());
    const before = await gateway.figures();
    const whole = `${streamRequest({ sub: 'bob' })}\r\n`;
    const write = `POST /rooms/${room}/actions/comment HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`;
    const body = `Authorization: Bearer ${tokenOf('bob')}\r\nContent-Length: 99\r\n\r\n{"text":`;
    const beginnings = [0, 1, 3, 20, 60, whole.length - 3, whole.length - 1, whole.length].map((n) =>
      whole.slice(0, n),
    );
    for (const says of [...beginnings, write, write + body]) {
      for (const goes of ['reset', 'end'] as const) await abandon(gateway.port, { says, goes });
    }
    // One that says goodbye and would still listen has left, too: no EventSource does that.
    const half = connect({ host: '127.0.0.1', port: gateway.port, allowHalfOpen: true });
    closers.push(() => half.destroy());
    half.end(whole);
    half.resume();
    await once(half, 'end');
    half.destroy();
    await backTo(before, gateway);
    const { id } = await author.signal();
    await witness.reaches(id);
    assert.deepEqual(witness.judge(author.ledger, 'everything'), []);
    assert.equal(gateway.printed(), '', 'nobody is told of it');
  });

  it('and one that never ends its request is cut, while streams go on for longer', async () => {
    const requestTimeoutMs = 300;
    const gateway = await start({ requestTimeoutMs });
    assert.ok(
      gateway.requestTimeoutMs >= 5000 && gateway.requestTimeoutMs <= 60_000,
      'its own is neither none nor long',
    );
    const author = new Author(gateway.port);
    closers.push(() => author.close());
    await author.signal();
    const witness = await new RawViewer(gateway.port).seated();
    closers.push(() => witness.close());
    const before = await gateway.figures();
    const head = streamRequest({ sub: 'bob' });
    const post = `POST /rooms/${room}/actions/comment HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenOf('bob')}\r\n`;
    const body = 'Content-Type: application/json\r\nContent-Length: 99\r\n\r\n{"te';
    const ends = ['G', head.slice(0, 50), head, post + body].map(async (says) => {
      const socket = connect({ host: '127.0.0.1', port: gateway.port }).on('error', () => undefined);
      closers.push(() => socket.destroy());
      socket.write(says);
      socket.resume();
      await once(socket, 'close');
    });
    await Promise.all(ends);
    await backTo(before, gateway);
    const { id } = await author.signal();
    await witness.reaches(id);
    assert.deepEqual(witness.judge(author.ledger, 'everything'), [], 'it was there for longer than a request may take');
  });
});

const wave = 400;
/** Heap and native memory that may be owned more, as V8 has its ways: a tenth of what 20,000 viewers would leave behind. */
const ownedBytesMore = 8 * 1024 * 1024;

/** So many connections in waves, each abandoned in its own way, in one of many rooms. */
async function storm(port: number, count: number, seed: string): Promise<void> {
  const ways: readonly ((says: string) => Abandonment)[] = [
    () => ({ says: '', goes: 'end' }),
    (says) => ({ says: says.slice(0, says.length / 2), goes: 'reset' }),
    (says) => ({ says, goes: 'reset' }),
    (says) => ({ says, goes: 'end', waitsForAnswer: true }),
    (says) => ({ says, goes: 'reset', waitsForAnswer: true }),
  ];
  const requests = Array.from({ length: 50 }, (_, n) => {
    const options = { sub: `${seed}-${n}`, room: `${seed}-${n}` };
    return `${streamRequest(n % 2 === 0 ? options : { ...options, acceptEncoding: 'gzip' })}\r\n`;
  });
  for (let done = 0; done < count; done += wave) {
    await Promise.all(
      Array.from({ length: wave }, (_, n) => {
        const way = ways[(done + n) % ways.length];
        const says = requests[Math.floor((done + n) / ways.length) % requests.length];
        assert.ok(way !== undefined && says !== undefined);
        return abandon(port, way(says));
      }),
    );
  }
}

async function survives(count: number, redisUrl?: string): Promise<void> {
  const gateway = await start(redisUrl === undefined ? {} : { environment: { REDIS_URL: redisUrl } });
  const author = new Author(gateway.port);
  closers.push(() => author.close());
  await author.signal();
  const viewers = [
    await new RawViewer(gateway.port, { sub: 'ann' }).seated(),
    await new RawViewer(gateway.port, { sub: 'bob', acceptEncoding: 'gzip' }).seated(),
  ];
  closers.push(() => viewers.forEach((viewer) => void viewer.close()));
  const cold = await gateway.collected();
  // Once before, so that compiled code and tables that have grown are not taken for what was left behind.
  await storm(gateway.port, count / 5, 'early');
  const before = await backTo(cold, gateway);
  await storm(gateway.port, count, 'late');
  const after = await backTo(before, gateway);
  const more = after.ownedBytes - before.ownedBytes;
  assert.ok(more < ownedBytesMore, `${more} bytes more are owned`);
  const { id } = await author.signal();
  for (const viewer of viewers) {
    await viewer.reaches(id);
    assert.deepEqual(viewer.judge(author.ledger, 'everything'), []);
  }
  assert.equal(gateway.printed(), '');
}

describe('connections that are opened and aborted in waves', () => {
  it('20,000 of them leave no socket, timer, room or memory behind', () => survives(20_000));

  it('leave no user on record in Redis', async () => {
    const redis = await startRedis();
    closers.push(() => redis.stop());
    await survives(2000, redis.url);
    const onRecord = async (): Promise<string[]> => {
      const found: string[] = [];
      for (const key of (await redis.cli('keys', 'rs:{*}:where')).split('\n').filter((name) => name !== '')) {
        found.push(...(await redis.cli('hkeys', key)).split('\n'));
      }
      // An empty name shows that the hash is whole.
      return found.filter((name) => name !== '').sort();
    };
    await waitFor(async () => (await onRecord()).length === 2, { what: 'two users on record' });
    assert.match((await onRecord()).join(' '), /^ann\S* bob\S*$/);
  });
});
