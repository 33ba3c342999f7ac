import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Built, buildHttp } from '../rig/build-http.ts';
import { tokenFor } from '../rig/tokens.ts';

let built: Built;
before(async () => {
  built = await buildHttp({ environment: { RULES_MAX: '3' } });
});
after(() => built.close());

const bearer = (role: string, sub?: string): Record<string, string> => ({
  authorization: `Bearer ${tokenFor(role, sub)}`,
});
const list = (headers: Record<string, string> = bearer('moderator')) =>
  built.app.inject({ url: '/rooms/match-7/rules', headers });
const act = (kind: string, payload: object, headers: Record<string, string>) =>
  built.app.inject({ method: 'POST', url: `/rooms/match-7/actions/${kind}`, headers, payload });

describe('the rules of a room', () => {
  it('are listed for moderators, and for nobody below', async () => {
    assert.equal((await list({})).statusCode, 401);
    assert.deepEqual([(await list(bearer('viewer'))).json().code], ['not-this-role']);
    const { statusCode, headers, body } = await list();
    assert.deepEqual([statusCode, headers['cache-control'], body], [200, 'no-store', '{"rules":[]}']);
    assert.equal(
      (await built.app.inject({ url: `/rooms/match-7/rules?access_token=${tokenFor('host')}` })).statusCode,
      200,
    );
  });

  it('say on whom, since when, until when, by whom and why, the oldest first', async () => {
    const since = built.clock.now();
    await act('mute', { user: 'bob', seconds: 60, reason: 'too "loud"' }, bearer('moderator', 'mo'));
    built.clock.advance(10);
    await act('ban', { user: 'ann' }, bearer('host', 'hanna'));
    built.clock.advance(10);
    await act('ban', { user: 'cat', seconds: 1 }, bearer('service', 'platform'));
    const { rules } = (await list()).json();
    assert.deepEqual(rules, [
      {
        rule: 'mute',
        user: 'bob',
        since,
        until: since + 60_000,
        by: { id: 'mo', name: null, role: 'moderator' },
        reason: 'too "loud"',
      },
      {
        rule: 'ban',
        user: 'ann',
        since: since + 10,
        until: null,
        by: { id: 'hanna', name: null, role: 'host' },
        reason: null,
      },
      {
        rule: 'ban',
        user: 'cat',
        since: since + 20,
        until: since + 1020,
        by: { id: 'platform', name: null, role: 'service' },
        reason: null,
      },
    ]);
    built.clock.advance(1000);
    assert.equal((await list()).json().rules.length, 2);
  });

  it('are as many as there may be, and one more is refused', async () => {
    await act('mute', { user: 'dan' }, bearer('moderator'));
    const { statusCode, ...answer } = await act('mute', { user: 'eve' }, bearer('moderator'));
    assert.deepEqual([statusCode, answer.json().code], [409, 'rules-full']);
    assert.equal((await act('unmute', { user: 'dan' }, bearer('moderator'))).statusCode, 202);
    assert.equal((await act('mute', { user: 'eve' }, bearer('moderator'))).statusCode, 202);
  });

  it('of a higher role are not lifted: not-this-role, in words', async () => {
    const refused = await act('unban', { user: 'ann' }, bearer('moderator'));
    assert.deepEqual([refused.statusCode, refused.json().code], [403, 'not-this-role']);
    assert.match(refused.json().detail, /higher role/);
  });
});
