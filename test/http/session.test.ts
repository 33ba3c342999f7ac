import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { type Answer, type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { readStream, type StreamReader, watch } from '../rig/stream-reader.ts';
import { nowS } from '../rig/tokens.ts';

const readers: StreamReader[] = [];
const gateways: RunningGateway[] = [];
afterEach(async () => {
  for (const reader of readers.splice(0)) reader.close();
  await Promise.all(gateways.splice(0).map((gateway) => gateway.close()));
});

async function start(environment: Record<string, string> = {}): Promise<RunningGateway> {
  const gateway = await startGateway({ environment });
  gateways.push(gateway);
  return gateway;
}

/** A browser's cookies for one room, as far as they matter here. */
class Jar {
  readonly gateway: RunningGateway;
  readonly kept = new Map<string, string>();

  constructor(gateway: RunningGateway) {
    this.gateway = gateway;
  }

  get headers(): Record<string, string> {
    const pairs = [...this.kept].map(([name, value]) => `${name}=${value}`);
    return { origin: this.gateway.url, ...(pairs.length === 0 ? {} : { cookie: pairs.join('; ') }) };
  }

  take(given: readonly string[]): void {
    for (const text of given) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(text) ?? [];
      if (/; Max-Age=0(?:;|$)/.test(text)) this.kept.delete(name);
      else this.kept.set(name, value);
    }
  }

  async session(
    method: 'POST' | 'DELETE',
    token: string | null = null,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const answer = await this.gateway.ask(`/rooms/${room}/session`, {
      method,
      headers: { ...this.headers, ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...headers },
    });
    this.take(answer.headers.getSetCookie());
    return answer;
  }

  async stream(lastId: string | null = null, query: Record<string, string> = {}): Promise<StreamReader> {
    const headers = { ...this.headers, ...(lastId === null ? {} : { 'last-event-id': lastId }) };
    const reader = await watch(this.gateway.url, { token: null, headers, query });
    readers.push(reader);
    this.take(reader.headers['set-cookie'] ?? []);
    return reader;
  }

  async pull(after: string | null): Promise<Record<string, unknown>> {
    const answer = await this.gateway.ask(`/rooms/${room}/events${after === null ? '' : `?after=${after}`}`, {
      headers: this.headers,
    });
    this.take(answer.headers.getSetCookie());
    return answer.json;
  }
}

const youOf = async (reader: StreamReader): Promise<unknown> => (await reader.first('resume')).data['you'];
const endOf = async (reader: StreamReader): Promise<unknown> => {
  await reader.over();
  return reader.heard.at(-1)?.data;
};
const anybody = { ANONYMOUS_VIEWERS: 'on' };
const reauthorized = { cause: 'reauthorized', comeBack: 'yes' };

describe('the cookie', () => {
  it('outlives its token, and is then refused, also where anybody may watch', async () => {
    const gateway = await start(anybody);
    const jar = new Jar(gateway);
    const { headers } = await jar.session('POST', tokenOf('ann', 'viewer', { exp: nowS() + 2 }));
    assert.match(
      headers.getSetCookie().join(),
      /^ringside=[^;]+; Max-Age=8640[0-9]; Path=\/rooms\/match-7; HttpOnly; SameSite=Lax$/,
    );
    const reader = await jar.stream();
    assert.deepEqual(await endOf(reader), { cause: 'expired', comeBack: 'with-new-token' });
    const back = await readStream(gateway.url, {
      token: null,
      headers: { ...jar.headers, 'last-event-id': reader.lastId },
    });
    readers.push(back);
    assert.equal(back.status, 401);
  });

  it('is for pages of other sites where that is set, and then Secure and kept for each of them', async () => {
    const jar = new Jar(await start({ COOKIE_SAME_SITE: 'none' }));
    const { headers } = await jar.session('POST', tokenOf('ann'));
    assert.match(headers.getSetCookie().join(), /; HttpOnly; Secure; Partitioned; SameSite=None$/);
  });

  it('is replaced by a good token whatever it was', async () => {
    const gateway = await start();
    for (const stale of ['garbage', tokenOf('bob', 'viewer', { exp: nowS() - 5 }), tokenOf('bob'), 'x'.repeat(5000)]) {
      const jar = new Jar(gateway);
      jar.kept.set('ringside', stale);
      const { status } = await jar.session('POST', tokenOf('ann'), { origin: 'https://evil.example' });
      assert.equal(status, 200);
      assert.deepEqual(await youOf(await jar.stream()), { id: 'ann', role: 'viewer' });
    }
  });
});

describe('a log-out', () => {
  it('takes the cookie away and ends the streams of its user, and nobody else', async () => {
    const gateway = await start();
    const jar = new Jar(gateway);
    await jar.session('POST', tokenOf('ann'));
    const [own, other] = [await jar.stream(), await watch(gateway.url, { token: tokenOf('bob') })];
    const device = await watch(gateway.url, { token: tokenOf('ann') });
    readers.push(other, device);
    const { status, text, headers } = await jar.session('DELETE');
    assert.deepEqual([status, text, headers.get('cache-control')], [204, '', 'no-store']);
    assert.equal(jar.kept.has('ringside'), false);
    for (const reader of [own, device]) assert.deepEqual(await endOf(reader), reauthorized);
    assert.equal(other.isOver, false);
    // Another device still has its token and misses nothing.
    const back = await watch(gateway.url, { token: tokenOf('ann'), headers: { 'last-event-id': device.lastId } });
    readers.push(back);
    assert.equal((await back.first('resume')).data['verdict'], 'exact');
  });

  it('needs no good token, no cookie at all, and takes a bearer token too', async () => {
    const gateway = await start();
    for (const kept of [null, 'garbage', tokenOf('ann', 'viewer', { exp: nowS() - 5 })]) {
      const jar = new Jar(gateway);
      if (kept !== null) jar.kept.set('ringside', kept);
      assert.equal((await jar.session('DELETE')).status, 204);
      assert.equal(jar.kept.size, 0);
    }
    const native = await watch(gateway.url, { token: tokenOf('ann') });
    readers.push(native);
    assert.equal((await new Jar(gateway).session('DELETE', tokenOf('ann'))).status, 204);
    assert.deepEqual(await endOf(native), reauthorized);
  });

  it('is not for pages of somebody else', async () => {
    const gateway = await start();
    const jar = new Jar(gateway);
    await jar.session('POST', tokenOf('ann'));
    const own = await jar.stream();
    const answer = await jar.session('DELETE', null, { origin: 'https://evil.example' });
    assert.deepEqual([answer.status, answer.json['code']], [403, 'origin-refused']);
    assert.deepEqual(answer.headers.getSetCookie(), []);
    await gateway.post('signal', { type: 'note', data: {} });
    await own.first('note');
  });

  it('takes the cookie away also while the log is unavailable', async () => {
    const gateway = await start();
    const jar = new Jar(gateway);
    await jar.session('POST', tokenOf('ann'));
    await gateway.gateway.log.close();
    const { status } = await jar.session('DELETE');
    assert.deepEqual([status, jar.kept.has('ringside')], [503, false]);
  });
});

describe('an id that was given to another user of the browser', () => {
  it('is told as such after a log-in and a log-out, by streams and by pulls, and not when its user comes back', async () => {
    const gateway = await start(anybody);
    const jar = new Jar(gateway);
    const say = () => gateway.post('signal', { type: 'note', data: {} });
    await say();
    const nobody = await jar.stream();
    await say();
    await nobody.first('note');
    assert.deepEqual(await youOf(await jar.stream(nobody.lastId)), { id: null, role: 'viewer' });
    await jar.session('POST', tokenOf('ann'));
    assert.deepEqual((await jar.pull(nobody.lastId))['you'], { id: 'ann', role: 'viewer', changed: true });
    const ann = await jar.stream(nobody.lastId);
    assert.deepEqual(await youOf(ann), { id: 'ann', role: 'viewer', changed: true });
    await say();
    await ann.first('note');
    assert.deepEqual(await youOf(await jar.stream(ann.lastId)), { id: 'ann', role: 'viewer' });
    assert.deepEqual((await jar.pull(ann.lastId))['you'], { id: 'ann', role: 'viewer' });
    await jar.session('DELETE');
    assert.deepEqual(await youOf(await jar.stream(ann.lastId)), { id: null, role: 'viewer', changed: true });
    assert.deepEqual((await jar.pull(ann.lastId))['you'], { id: null, role: 'viewer', changed: true });
    assert.deepEqual((await jar.pull(null))['you'], { id: null, role: 'viewer' });
  });

  it('is told as such to the second tab too, by how far ids had got', async () => {
    const gateway = await start(anybody);
    const jar = new Jar(gateway);
    await jar.session('POST', tokenOf('ann'));
    const tabs = [await jar.stream(), await jar.stream()];
    await gateway.post('signal', { type: 'note', data: {} });
    for (const tab of tabs) await tab.first('note');
    await jar.session('DELETE');
    for (const tab of tabs) assert.deepEqual(await endOf(tab), reauthorized);
    for (const { lastId } of tabs) {
      assert.deepEqual(await youOf(await jar.stream(lastId)), { id: null, role: 'viewer', changed: true });
    }
  });

  it('ends what the user before had open, where another one logs in beside it', async () => {
    const gateway = await start();
    const jar = new Jar(gateway);
    await jar.session('POST', tokenOf('ann'));
    const ann = await jar.stream();
    await jar.session('POST', tokenOf('bob'));
    assert.deepEqual(await endOf(ann), reauthorized);
    assert.deepEqual(await youOf(await jar.stream(ann.lastId)), { id: 'bob', role: 'viewer', changed: true });
  });

  it('is not asked about where the page itself says who comes, and a cookie that makes no sense says nothing', async () => {
    const gateway = await start(anybody);
    const jar = new Jar(gateway);
    const { lastId } = await jar.stream();
    const before = new Map(jar.kept);
    const explicit = await jar.stream(lastId, { access_token: tokenOf('ann') });
    assert.deepEqual(await youOf(explicit), { id: 'ann', role: 'viewer' });
    assert.deepEqual(jar.kept, before, 'and it is not noted');
    for (const strange of ['', 'x', 'nobody.', 'nobody.-1', 'nobody.1e9', `${'x'.repeat(11)}.00`, '"']) {
      jar.kept.set('ringside_user', strange);
      assert.deepEqual(await youOf(await jar.stream(lastId)), { id: null, role: 'viewer' }, strange);
    }
  });

  it('names nobody: the cookie tells users apart and holds no user id', async () => {
    const jar = new Jar(await start(anybody));
    await jar.session('POST', tokenOf('ann'));
    await jar.stream();
    assert.match(jar.kept.get('ringside_user') ?? '', /^[A-Za-z0-9_-]{11}$/);
  });
});
