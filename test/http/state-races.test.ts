import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { RoomId, UserId } from '../../src/signal.ts';
import { type Built, buildHttp } from '../helpers/build-http.ts';
import { tokenFor } from '../helpers/tokens.ts';

const room = 'match-7' as RoomId;
let real: Built;
let raced: Built;
/** How many more times somebody else changes the part right after it was read. */
let races = 0;

const change = () =>
  real.log.append({
    room,
    by: 'other' as UserId,
    once: null,
    rate: null,
    mutable: false,
    change: { type: 'put', part: 'x', value: '0', ifVersion: null },
  });

before(async () => {
  real = await buildHttp();
  raced = await buildHttp({
    log: {
      append: (write) => real.log.append(write),
      readState: async (of) => {
        const state = await real.log.readState(of);
        races -= 1;
        if (races >= 0) await change();
        return state;
      },
    },
  });
  await change();
});
after(async () => {
  await raced.close();
  await real.close();
});

const put = (payload: string, headers: Record<string, string>) =>
  raced.app.inject({
    method: 'PUT',
    url: `/rooms/${room}/state/x`,
    payload,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${tokenFor('host')}`, ...headers },
  });

describe('If-Match: *', () => {
  it('gets through though others change the part meanwhile', async () => {
    races = 3;
    assert.equal((await put('1', { 'if-match': '*' })).statusCode, 200);
  });

  it('gives up in the end, with the version that there is', async () => {
    races = 100;
    const answer = await put('2', { 'if-match': '*' });
    assert.equal(answer.statusCode, 412);
    assert.equal(answer.json().version, (await real.log.readState(room)).total);
    assert.equal(races, 96);
  });
});

describe('an idempotency key', () => {
  it('stands for the condition too', async () => {
    const key = { 'idempotency-key': 'k' };
    assert.equal((await put('3', key)).statusCode, 200);
    assert.equal((await put('3', { ...key, 'if-match': '"1"' })).json().code, 'key-reused');
  });
});
