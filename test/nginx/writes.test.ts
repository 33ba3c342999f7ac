import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { type Nginx, startNginx, startUpstream, type Upstream } from '../rig/nginx.ts';

let home: string;
let nginx: Nginx;
let limited: Nginx;
let upstreams: Upstream[] = [];
const names = ['blue-1', 'blue-2'];

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'ringside-upstreams-'));
  const servers = names.map((name) => ({ name, address: `unix:${join(home, `${name}.sock`)}` }));
  const groups = { blue: { servers } };
  nginx = await startNginx({ groups, unlimited: ['127.0.0.1'] });
  limited = await startNginx({ groups }, { change: (text) => text.replace(/burst=200/g, 'burst=3') });
});
after(async () => {
  await Promise.all([nginx.stop(), limited.stop()]);
  await rm(home, { recursive: true, force: true });
});
beforeEach(async () => {
  upstreams = await Promise.all(names.map((name) => startUpstream(name, home)));
});
afterEach(() => Promise.all(upstreams.map((upstream) => upstream.close())));

const received = (): number => upstreams.reduce((sum, upstream) => sum + upstream.received.length, 0);
const write = (method: string, headers: Record<string, string> = {}, to = nginx): Promise<Response> =>
  fetch(`${to.url}/rooms/match-7/${method === 'POST' ? 'actions/comment' : 'state/score'}`, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    body: '{"text":"hi"}',
  });
/** The first server that gets it reads the request and closes without a word. */
function cutOnce(): void {
  let isCut = false;
  for (const upstream of upstreams) {
    upstream.reply = () => {
      if (isCut) return null;
      isCut = true;
      return 'cut';
    };
  }
}

describe('a write behind nginx', () => {
  for (const method of ['POST', 'PUT', 'DELETE']) {
    it(`by ${method} without a key is sent once, and an unknown outcome is said to be unknown`, async () => {
      cutOnce();
      const answer = await write(method);
      assert.equal(answer.status, 503);
      assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
      assert.equal(answer.headers.get('retry-after'), '1');
      assert.equal(((await answer.json()) as { code: string }).code, 'outcome-unknown');
      assert.equal(received(), 1);
    });

    it(`by ${method} with a key goes to another server when the first gives no answer`, async () => {
      cutOnce();
      const answer = await write(method, { 'idempotency-key': 'k1' });
      assert.equal(answer.status, 200);
      assert.equal(received(), 2);
      const [first, second] = upstreams.flatMap((upstream) => upstream.received);
      assert.deepEqual([first?.body, first?.headers['idempotency-key']], ['{"text":"hi"}', 'k1']);
      assert.deepEqual([second?.body, second?.headers['idempotency-key']], ['{"text":"hi"}', 'k1']);
    });
  }

  it('by POST without a key does reach another server where the first cannot be connected to', async () => {
    await upstreams[0]?.close();
    for (let nth = 0; nth < 10; nth += 1) assert.equal((await write('POST')).status, 200);
    assert.equal(upstreams[1]?.received.length, 10);
  });

  it('is answered as soon as one server is back, though nginx had left all alone', async () => {
    await Promise.all(upstreams.map((upstream) => upstream.close()));
    for (let nth = 0; nth < 4; nth += 1) assert.equal((await write('POST')).status, 503);
    upstreams = await Promise.all(names.map((name) => startUpstream(name, home)));
    assert.equal((await write('POST')).status, 200);
  });

  it('gets what the gateway refuses it with, word for word', async () => {
    const headers = { 'content-type': 'application/problem+json', 'retry-after': '7' };
    for (const status of [429, 503]) {
      for (const upstream of upstreams) upstream.reply = () => ({ status, headers, body: '{"code":"its-own"}' });
      const answer = await write('POST', { 'idempotency-key': 'k' });
      assert.equal(answer.status, status);
      assert.equal(answer.headers.get('retry-after'), '7');
      assert.equal(await answer.text(), '{"code":"its-own"}');
    }
    assert.equal(received(), 2);
  });

  it('is refused with when to come back where there are too many from one address', async () => {
    const answers = await Promise.all(Array.from({ length: 40 }, () => write('POST', {}, limited)));
    const refused = answers.filter(({ status }) => status === 429);
    assert.ok(refused.length > 0 && refused.length < 40, `${refused.length} were refused`);
    for (const answer of refused) {
      assert.equal(answer.headers.get('retry-after'), '1');
      assert.equal(((await answer.json()) as { code: string }).code, 'rate-limited');
    }
    assert.equal(received(), 40 - refused.length);
  });

  it('is not limited from an address that the file excepts', async () => {
    const answers = await Promise.all(Array.from({ length: 400 }, () => write('POST')));
    assert.ok(answers.every(({ status }) => status === 200));
  });

  it('that is far too large is refused in the words of the contract', async () => {
    const answer = await fetch(`${nginx.url}/rooms/match-7/actions/comment`, {
      method: 'POST',
      body: 'x'.repeat(70_000),
    });
    assert.equal(answer.status, 413);
    assert.equal(((await answer.json()) as { code: string }).code, 'too-large');
    assert.equal(received(), 0);
  });
});
