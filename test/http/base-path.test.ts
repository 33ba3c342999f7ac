import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { withoutBase } from '../../src/http/base-path.ts';
import { readSettings, SettingsError } from '../../src/settings.ts';
import { openBrowser } from '../rig/browser.ts';
import { type RunningGateway, room, startGateway, startGatewayProcess, tokenOf } from '../rig/gateway.ts';
import { watch } from '../rig/stream-reader.ts';

let gateway: RunningGateway;
before(async () => {
  gateway = await startGateway({ environment: { BASE_PATH: '/live/', DEMO: 'on' } });
});
after(() => gateway.close());

describe('BASE_PATH', () => {
  it('is served with it and without it, whether a proxy takes it off or not', async () => {
    for (const base of ['', '/live']) {
      const stream = await watch(`${gateway.url}${base}`);
      stream.close();
      const headers = { authorization: `Bearer ${tokenOf('ann')}` };
      assert.equal((await gateway.ask(`${base}/rooms/${room}/state?since=0`, { headers })).status, 200);
      assert.equal((await gateway.ask(`${base}/openapi.json`)).status, 200);
    }
    assert.equal((await gateway.ask(`/lively/rooms/${room}/state`)).status, 404);
  });

  it('is in the path of the cookie, in links and in the document', async () => {
    const init = { method: 'POST', headers: { authorization: `Bearer ${tokenOf('ann')}` } };
    const session = await gateway.ask(`/live/rooms/${room}/session`, init);
    assert.match(session.headers.get('set-cookie') ?? '', new RegExp(`Path=/live/rooms/${room};`));
    const demo = await gateway.ask('/demo?room=x', { redirect: 'manual' });
    assert.equal(demo.headers.get('location'), '/live/demo/?room=x');
    assert.deepEqual((await gateway.ask('/openapi.json')).json['servers'], [{ url: '/live' }]);
  });

  it('is where the demo room finds its streams and writes to', async () => {
    const browser = await openBrowser();
    const page = await browser.newPage();
    try {
      const asked: string[] = [];
      page.on('request', (request) => void asked.push(new URL(request.url()).pathname));
      await page.goto(`${gateway.url}/live/demo/?room=${room}#token=${tokenOf('ann')}`);
      await page.waitForRequest((request) => request.url().includes('/stream?'));
      const stranger = asked.filter((path) => !path.startsWith('/live/') && path !== '/favicon.ico');
      assert.deepEqual(stranger, []);
    } finally {
      await browser.close();
    }
  });

  it('is in the links that a gateway without a key prints', async () => {
    const process = await startGatewayProcess({ BASE_PATH: '/a/b' });
    try {
      await process.prints(/http:\/\/127\.0\.0\.1:\d+\/a\/b\/demo\/\?room=demo#token=/);
    } finally {
      await process.close();
    }
  });

  it('may end with a slash or not, and is a path', () => {
    for (const [given, read] of [
      ['/live', '/live'],
      ['/live/', '/live'],
      ['/a/b.c/', '/a/b.c'],
      ['/', ''],
    ])
      assert.equal(readSettings({ BASE_PATH: given }).basePath, read);
    for (const wrong of ['live', 'https://x.org/live', '//x', '/a b', '/a/../b', '/.', '/a?b', '/%61'])
      assert.throws(() => readSettings({ BASE_PATH: wrong }), SettingsError, wrong);
  });

  it('is taken off where it is a whole part of the path', () => {
    const cases = { '/live/x?y': '/x?y', '/live': '/', '/live?y': '/?y', '/livex': '/livex', '/x/live': '/x/live' };
    for (const [url, without] of Object.entries(cases)) assert.equal(withoutBase(url, '/live'), without);
  });
});
