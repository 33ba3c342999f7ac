import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { openBrowser } from '../rig/browser.ts';
import { type Origin, startOrigin } from '../rig/clients.ts';
import { type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { startNginx } from '../rig/nginx.ts';
import { nowS } from '../rig/tokens.ts';
import { waitFor } from '../rig/wait-for.ts';

interface LogMessage {
  readonly event: string;
  readonly data: Record<string, unknown>;
}

let browser: Browser;
let site: Origin;
const toClose: (() => Promise<unknown>)[] = [];

before(async () => {
  [browser, site] = await Promise.all([openBrowser(), startOrigin()]);
});
after(async () => {
  await browser?.close();
  await site?.close();
});
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close();
});

/** A gateway behind nginx as it is configured here, and a browser without any cookie. */
async function start(environment: Record<string, string> = {}) {
  const gateway = await startGateway({ environment: { RETRY_MS: '300', ...environment } });
  toClose.push(gateway.close);
  const nginx = await startNginx({
    groups: { blue: { servers: [{ name: 'blue-1', address: `127.0.0.1:${gateway.port}` }] } },
  });
  toClose.push(nginx.stop);
  const context = await browser.newContext();
  toClose.push(() => context.close());
  return { gateway, url: nginx.url, context };
}

/** A tab on a page of the gateway's own origin. */
class Tab {
  readonly page: Page;
  readonly #base: string;

  constructor(page: Page, base: string) {
    this.page = page;
    this.#base = base;
  }

  /** Opens a native EventSource. */
  watch(query = '', withCredentials = false): Promise<void> {
    return this.page.evaluate(`(() => {
      window.heard = [];
      window.source = new EventSource('${this.#base}/rooms/${room}/stream${query}', { withCredentials: ${withCredentials} });
      for (const name of ['resume', 'end', 'direct', 'note', 'move']) {
        window.source.addEventListener(name, ({ data }) => window.heard.push({ event: name, data: JSON.parse(data) }));
      }
    })()`);
  }

  session(method: string, token: string | null = null): Promise<number> {
    const headers = token === null ? {} : { authorization: `Bearer ${token}` };
    const init = JSON.stringify({ method, headers, credentials: 'include' });
    return this.page.evaluate(`fetch('${this.#base}/rooms/${room}/session', ${init}).then(({ status }) => status)`);
  }

  heard(): Promise<LogMessage[]> {
    return this.page.evaluate('window.heard');
  }

  async named(event: string): Promise<Record<string, unknown>[]> {
    return (await this.heard()).filter((one) => one.event === event).map(({ data }) => data);
  }

  /** `you` of the resume with this number, once it has come. */
  async you(number: number): Promise<unknown> {
    const resume = await waitFor(async () => (await this.named('resume'))[number - 1], {
      what: `the resume ${number}`,
      timeoutMs: 15_000,
    });
    assert.equal(resume['verdict'], number === 1 ? 'fresh' : 'exact');
    return resume['you'];
  }

  async isClosed(): Promise<void> {
    await waitFor(() => this.page.evaluate('window.source.readyState === 2'), {
      what: 'the EventSource to give up',
      timeoutMs: 15_000,
    });
  }
}

async function open(context: BrowserContext, base: string, page = `${base}/openapi.json`): Promise<Tab> {
  const opened = await context.newPage();
  await opened.goto(page);
  return new Tab(opened, base);
}

const note = (gateway: RunningGateway, audience = 'all'): Promise<string> =>
  gateway.post('signal', { type: 'note', data: {}, audience });
const direct = (gateway: RunningGateway, to: string): Promise<string> =>
  gateway.post('direct', { to: [to], type: 'text', data: { to } }, { as: tokenOf('mo', 'moderator') });
/** Sends every viewer away, to come back by itself. */
const move = async ({ gateway }: RunningGateway): Promise<void> => {
  const payload = { overMs: 0 };
  const { statusCode } = await gateway.admin.inject({ method: 'POST', url: `/ops/rooms/${room}/move`, payload });
  assert.equal(statusCode, 202);
};
const cookieNames = async (context: BrowserContext): Promise<string[]> =>
  (await context.cookies()).map(({ name }) => name).sort();

describe('a native EventSource in Chromium, behind nginx, where anybody may watch', () => {
  const anybody = { ANONYMOUS_VIEWERS: 'on' };

  it('is refused when the token of its cookie has run out, and never served as nobody instead', async () => {
    const { gateway, url, context } = await start(anybody);
    const tab = await open(context, url);
    assert.equal(await tab.session('POST', tokenOf('ann', 'viewer', { exp: nowS() + 3 })), 200);
    await tab.watch();
    assert.deepEqual(await tab.you(1), { id: 'ann', role: 'viewer' });
    await tab.isClosed();
    assert.deepEqual(
      (await tab.heard()).map(({ event }) => event),
      ['resume', 'end'],
    );
    assert.deepEqual(await tab.named('end'), [{ cause: 'expired', comeBack: 'with-new-token' }]);
    assert.deepEqual(await cookieNames(context), ['ringside', 'ringside_user']);
    // With a new token it goes on where it was, and gets what was for it alone.
    const missed = await direct(gateway, 'ann');
    assert.ok(missed);
    assert.equal(await tab.session('POST', tokenOf('ann')), 200);
    await tab.watch();
    assert.deepEqual(await tab.you(1), { id: 'ann', role: 'viewer' });
  });

  it('says in every tab that the user changed, when one of them logs out', async () => {
    const { gateway, url, context } = await start(anybody);
    const tabs = [await open(context, url), await open(context, url)] as const;
    await tabs[0].session('POST', tokenOf('ann'));
    for (const tab of tabs) await tab.watch();
    for (const tab of tabs) assert.deepEqual(await tab.you(1), { id: 'ann', role: 'viewer' });
    assert.equal(await tabs[0].session('DELETE'), 204);
    await direct(gateway, 'ann');
    for (const tab of tabs) {
      assert.deepEqual(await tab.you(2), { id: null, role: 'viewer', changed: true });
      assert.deepEqual(await tab.named('end'), [{ cause: 'reauthorized', comeBack: 'yes' }]);
    }
    assert.deepEqual(await cookieNames(context), ['ringside_user']);
    // Once it has an id of its own it is nobody, and that is no news.
    await note(gateway);
    for (const tab of tabs) await waitFor(async () => (await tab.named('note')).length === 1, { what: 'the note' });
    await move(gateway);
    for (const tab of tabs) assert.deepEqual(await tab.you(3), { id: null, role: 'viewer' });
    assert.equal(await tabs[1].session('DELETE'), 204, 'again is as good');
  });

  it('says in every tab that the user changed, when another one logs in', async () => {
    const { gateway, url, context } = await start(anybody);
    const tabs = [await open(context, url), await open(context, url)] as const;
    for (const tab of tabs) await tab.watch();
    for (const tab of tabs) assert.deepEqual(await tab.you(1), { id: null, role: 'viewer' });
    await tabs[0].session('POST', tokenOf('ann'));
    await move(gateway);
    for (const tab of tabs) assert.deepEqual(await tab.you(2), { id: 'ann', role: 'viewer', changed: true });
    await tabs[1].session('POST', tokenOf('bob', 'moderator'));
    for (const tab of tabs) assert.deepEqual(await tab.you(3), { id: 'bob', role: 'moderator', changed: true });
    assert.equal((await tabs[0].named('end')).length, 1);
  });

  it('says nothing of it where its user only came with a newer token', async () => {
    const { gateway, url, context } = await start(anybody);
    const tab = await open(context, url);
    await tab.session('POST', tokenOf('ann'));
    await tab.watch();
    await tab.you(1);
    await tab.session('POST', tokenOf('ann', 'viewer', { exp: nowS() + 900 }));
    await move(gateway);
    assert.deepEqual(await tab.you(2), { id: 'ann', role: 'viewer' });
    assert.equal((await tab.named('end')).length, 0);
  });
});

describe('a native EventSource in Chromium, behind nginx', () => {
  it('comes back by itself as what its user is now', async () => {
    const { gateway, url, context } = await start();
    const tab = await open(context, url);
    await tab.session('POST', tokenOf('ann', 'moderator', { tags: ['gold'] }));
    await tab.watch();
    assert.deepEqual(await tab.you(1), { id: 'ann', role: 'moderator' });
    await tab.session('POST', tokenOf('ann'));
    await note(gateway, 'staff');
    await note(gateway, 'tag:gold');
    await note(gateway);
    assert.deepEqual(await tab.you(2), { id: 'ann', role: 'viewer' });
    assert.deepEqual(await tab.named('end'), [{ cause: 'reauthorized', comeBack: 'yes' }]);
    await waitFor(async () => (await tab.named('note')).length > 0, { what: 'the note for all' });
    assert.equal((await tab.named('note')).length, 1);
  });

  it("is its page's user by the token in its address, whoever's cookie the browser has", async () => {
    const { gateway, url, context } = await start();
    const [ofAnn, ofBob] = [await open(context, url), await open(context, url)];
    await ofAnn.session('POST', tokenOf('ann'));
    await ofAnn.watch();
    await ofBob.watch(`?access_token=${tokenOf('bob')}`);
    assert.deepEqual(
      [await ofAnn.you(1), await ofBob.you(1)].map((you) => (you as { id: string }).id),
      ['ann', 'bob'],
    );
    await direct(gateway, 'ann');
    await direct(gateway, 'bob');
    for (const [tab, id] of [
      [ofAnn, 'ann'],
      [ofBob, 'bob'],
    ] as const) {
      await waitFor(async () => (await tab.named('direct')).length > 0, { what: `what is for ${id}` });
      assert.deepEqual(
        (await tab.named('direct')).map(({ data }) => data),
        [{ to: id }],
      );
    }
    await move(gateway);
    for (const tab of [ofAnn, ofBob]) assert.ok(!('changed' in ((await tab.you(2)) as object)));
    // Logged out, the one without a token of its own is refused, and the other one stays.
    await ofAnn.session('DELETE');
    await ofAnn.isClosed();
    await note(gateway);
    await waitFor(async () => (await ofBob.named('note')).length === 1, { what: "bob's note" });
  });

  for (const sameSite of ['lax', 'none'] as const) {
    it(`on a page of another site has the cookie ${sameSite === 'none' ? 'where' : 'only where'} COOKIE_SAME_SITE is none`, async () => {
      const { url, context } = await start({ COOKIE_SAME_SITE: sameSite, CORS_ORIGINS: site.origin });
      // Another site than 127.0.0.1, and one that a browser takes for as safe as https.
      const tab = await open(context, url.replace('127.0.0.1', 'localhost'), site.origin);
      assert.equal(await tab.session('POST', tokenOf('ann')), 200);
      await tab.watch('', true);
      if (sameSite === 'none') assert.deepEqual(await tab.you(1), { id: 'ann', role: 'viewer' });
      else await tab.isClosed();
    });
  }
});
