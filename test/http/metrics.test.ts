import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { packageVersion } from '../../src/version.ts';
import { type RunningGateway, room, type StartOptions, startGateway, tokenOf } from '../rig/gateway.ts';
import { MetricsText } from '../rig/metrics-text.ts';
import { RawViewer, type RawViewerOptions } from '../rig/raw-viewer.ts';
import { startRedis } from '../rig/redis.ts';
import { waitFor } from '../rig/wait-for.ts';

/** A gateway with viewers, all ended at the end, whatever happens. */
interface Hall {
  readonly gateway: RunningGateway;
  join(options?: RawViewerOptions): Promise<RawViewer>;
  metrics(): Promise<MetricsText>;
  text(): Promise<string>;
}

async function inHall(options: StartOptions, run: (hall: Hall) => Promise<void>): Promise<void> {
  const gateway = await startGateway(options);
  const viewers: RawViewer[] = [];
  const text = async (): Promise<string> => {
    const answer = await gateway.gateway.admin.inject('/metrics');
    assert.equal(answer.statusCode, 200);
    assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    return answer.body;
  };
  try {
    await run({
      gateway,
      text,
      async join(how = {}) {
        const viewer = new RawViewer(gateway.port, how);
        viewers.push(viewer);
        const isAnswered = (): boolean => viewer.events.some(({ event }) => event === 'state' || event === 'end');
        await waitFor(() => isAnswered() || viewer.isOver, { what: 'a viewer to be greeted' });
        return viewer;
      },
      metrics: async () => new MetricsText(await text()),
    });
  } finally {
    for (const viewer of viewers) viewer.close();
    await gateway.close();
  }
}

const say = async ({ gateway }: Hall, count: number): Promise<void> => {
  for (let n = 1; n <= count; n += 1) await gateway.post('comment', { text: `${n} ${'same '.repeat(20)}` });
};
const heard = (viewer: RawViewer, event: string, count: number): Promise<unknown> =>
  waitFor(() => viewer.named(event).length === count, { what: `${count} times ${event}` });
/** Events that are entries of the log: those with an id of their own, but for what the hub says of the stream itself. */
const entriesOf = (viewer: RawViewer): number =>
  viewer.events.filter(({ event }) => !['resume', 'gap', 'end', 'likes', 'audience', 'state'].includes(event)).length;
const sum = (viewers: readonly RawViewer[], of: (viewer: RawViewer) => number): number =>
  viewers.reduce((all, viewer) => all + of(viewer), 0);

describe('the metrics of a gateway', () => {
  it('count viewers, joins, deliveries and bytes as the viewers themselves do', () =>
    inHall({}, async (hall) => {
      const plain = [await hall.join(), await hall.join({ sub: 'bob' }), await hall.join({ sub: 'mo', role: 'host' })];
      const zipped = await hall.join({ sub: 'zoe', acceptEncoding: 'gzip' });
      const all = [...plain, zipped];
      await say(hall, 12);
      for (const viewer of all) await heard(viewer, 'comment', 12);
      const metrics = await hall.metrics();
      assert.equal(metrics.of('ringside_viewers'), 4);
      assert.equal(metrics.of('ringside_viewers_waiting'), 0);
      assert.equal(metrics.of('ringside_rooms'), 1);
      assert.deepEqual(metrics.by('ringside_joins_total', 'verdict'), { fresh: 4 });
      assert.equal(metrics.of('ringside_deliveries_total'), sum(all, entriesOf));
      assert.equal(metrics.of('ringside_deliveries_total'), 48);
      const written = metrics.of('ringside_socket_writes_total');
      const sweeps = metrics.of('ringside_flush_seconds_count');
      assert.ok(written >= all.length * 2, 'a greeting for each, and at least one sweep');
      assert.ok(written <= all.length * (1 + sweeps));
      assert.ok(metrics.of('ringside_spans_total') >= 2, 'viewers and hosts have a tape each');
      const timed = metrics.of('ringside_publish_to_write_seconds_count');
      assert.ok(timed >= 1 && timed <= Math.min(12, sweeps));
      // What is said beside the entries may still be on its way when the number is read.
      const isEqual = async (): Promise<boolean> =>
        (await hall.metrics()).of('ringside_written_bytes_total') === sum(all, ({ byteCount }) => byteCount);
      await waitFor(isEqual, { what: 'as many bytes as were written' });
    }));

  it('say what gzip spared', () =>
    inHall({}, async (hall) => {
      const viewer = await hall.join({ acceptEncoding: 'gzip' });
      const greeting = { plain: viewer.plain.length, zipped: viewer.byteCount };
      await say(hall, 5);
      await heard(viewer, 'comment', 5);
      const spared = viewer.plain.length - greeting.plain - (viewer.byteCount - greeting.zipped);
      const counted = (await hall.metrics()).of('ringside_gzip_saved_bytes_total');
      // Where compression made more of a short piece, it spared nothing.
      assert.ok(spared > 300 && counted >= spared && counted < spared + 100, `${counted} counted, ${spared} spared`);
    }));

  it('tell those who return by what their id was worth, and count what they are given', () =>
    inHall({ environment: { LOG_ENTRIES_MAX: '10', TAPE_BYTES_MAX: '1024' } }, async (hall) => {
      const first = await hall.join();
      await say(hall, 4);
      await heard(first, 'comment', 4);
      const lastId = first.named('comment').at(1)?.lastId ?? '';
      const firstId = first.named('resume')[0]?.lastId ?? '';
      first.close();
      const exact = await hall.join({ lastEventId: lastId });
      await heard(exact, 'comment', 2);
      await hall.join({ lastEventId: 'zzz.3' });
      // Redis and the embedded log alike keep some more than they must.
      for (let n = 0; n < 30; n += 1) await say(hall, 10);
      await heard(exact, 'comment', 302);
      const before = (await hall.metrics()).of('ringside_deliveries_total');
      const gap = await hall.join({ lastEventId: firstId });
      const metrics = await hall.metrics();
      assert.deepEqual(metrics.by('ringside_joins_total', 'verdict'), { fresh: 1, exact: 1, reset: 1, gap: 1 });
      assert.deepEqual(metrics.by('ringside_gaps_total', 'cause'), { trimmed: 1 });
      await waitFor(() => entriesOf(gap) > 0, { what: 'what is left of the log' });
      const after = (await hall.metrics()).of('ringside_deliveries_total');
      assert.equal(after - before, entriesOf(gap));
      await waitFor(async () => (await hall.metrics()).by('ringside_endings_total', 'cause')['left'] === 1, {
        what: 'the first viewer to have left',
      });
    }));

  it('tell endings and those who were turned away by their causes', () =>
    inHall({ environment: { VIEWERS_MAX: '2' } }, async (hall) => {
      const bob = await hall.join({ sub: 'bob' });
      const ann = await hall.join({ sub: 'ann' });
      const third = await hall.join({ sub: 'cleo' });
      assert.ok(third.named('end').length === 1, 'more than VIEWERS_MAX');
      const host = { as: tokenOf('hanna', 'host') };
      await hall.gateway.post('ban', { user: 'bob' }, host);
      await waitFor(() => bob.isOver, { what: 'the banned one to go' });
      const back = new RawViewer(hall.gateway.port, { sub: 'bob' });
      await hall.gateway.post('end', {}, host);
      await waitFor(() => ann.isOver, { what: 'the stream to end' });
      const late = new RawViewer(hall.gateway.port, { sub: 'ann' });
      await waitFor(async () => (await hall.metrics()).by('ringside_turned_away_total', 'cause')['ended'] === 1, {
        what: 'who comes to an ended room to be turned away',
      });
      const metrics = await hall.metrics();
      assert.deepEqual(metrics.by('ringside_turned_away_total', 'cause'), { viewers: 1, banned: 1, ended: 1 });
      assert.deepEqual(metrics.by('ringside_endings_total', 'cause'), { banned: 1, ended: 1 });
      assert.equal(metrics.of('ringside_viewers'), 0);
      back.close();
      late.close();
    }));

  it('count a gap for each viewer that is told of chat beyond what people can read', () =>
    inHall({ environment: { CHAT_PER_SECOND: '2' } }, async (hall) => {
      const viewers = [await hall.join({ sub: 'a' }), await hall.join({ sub: 'b' }), await hall.join({ sub: 'c' })];
      await say(hall, 10);
      await hall.gateway.post('end', {});
      for (const viewer of viewers) await waitFor(() => viewer.isOver, { what: 'the room to have ended' });
      const told = sum(viewers, (viewer) => viewer.named('gap').length);
      assert.ok(told >= viewers.length);
      assert.deepEqual((await hall.metrics()).by('ringside_gaps_total', 'cause'), { sampled: told });
    }));

  it('hold no room, no user and no token', () =>
    inHall({ environment: { NODE_ID: 'blue-1', GROUP: 'blue' } }, async (hall) => {
      await hall.join({ sub: 'ursula-of-the-sea' });
      await say(hall, 2);
      const text = await hall.text();
      for (const secret of [room, 'ursula', 'hanna', tokenOf('ursula-of-the-sea'), 'eyJ']) {
        assert.ok(!text.includes(secret), `the text holds ${secret}`);
      }
      const labels = new Set(new MetricsText(text).samples.flatMap((sample) => Object.keys(sample.labels)));
      assert.deepEqual(
        [...labels].sort(),
        ['cause', 'function', 'group', 'kind', 'le', 'node', 'reason', 'verdict', 'version'],
        'a label was added: make sure that its values are few, and list it here',
      );
      assert.equal(
        new MetricsText(text).of('ringside_node_info', { node: 'blue-1', group: 'blue', version: packageVersion() }),
        1,
      );
    }));

  it('time the calls of the log, and say what it refused and whom a failover told of a loss', async () => {
    const redis = await startRedis();
    try {
      await inHall({ redisUrl: redis.url, environment: { LOG_DEADLINE_MS: '500' } }, async (hall) => {
        const viewers = [await hall.join({ sub: 'a' }), await hall.join({ sub: 'b' })];
        await say(hall, 3);
        for (const viewer of viewers) await heard(viewer, 'comment', 3);
        const metrics = await hall.metrics();
        assert.equal(metrics.of('ringside_log_call_seconds_count', { function: 'append' }), 3);
        assert.equal(metrics.of('ringside_log_call_seconds_count', { function: 'enter' }), 2);
        assert.deepEqual(metrics.by('ringside_log_errors_total', 'kind'), {});
        assert.ok(Math.abs(metrics.of('ringside_log_clock_ahead_seconds')) <= 0.002, 'one machine has one clock');
        assert.equal(metrics.of('ringside_ready'), 1);

        // All is lost: what comes after it is of another history.
        await redis.flush();
        await say(hall, 1);
        for (const viewer of viewers) await heard(viewer, 'gap', 1);
        assert.deepEqual((await hall.metrics()).by('ringside_gaps_total', 'cause'), { failover: 2 });

        await redis.kill('SIGKILL');
        await waitFor(async () => (await hall.metrics()).of('ringside_ready') === 0, { what: 'not to be ready' });
        assert.equal((await hall.gateway.tryPost('comment', { text: 'nobody hears' })).status, 503);
        const errors = (await hall.metrics()).by('ringside_log_errors_total', 'kind');
        assert.ok((errors['log-unavailable'] ?? 0) + (errors['outcome-unknown'] ?? 0) > 0);
        await redis.restart();
        await waitFor(async () => (await hall.metrics()).of('ringside_ready') === 1, {
          what: 'to be ready again',
          timeoutMs: 20_000,
        });
      });
    } finally {
      await redis.stop();
    }
  });
});
