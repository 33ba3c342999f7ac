import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { FastifyInstance } from 'fastify';
import { registerProblems } from '../../../src/http/problem.ts';
import type { RoomId } from '../../../src/model.ts';
import { buildAdmin } from '../../../src/ops/admin.ts';
import type { Drain } from '../../../src/ops/admin-rooms.ts';

let admin: FastifyInstance;
let orders: unknown[];
let drain: { -readonly [Name in keyof Drain]: Drain[Name] };

beforeEach(() => {
  orders = [];
  drain = {
    *roomList() {
      yield { room: 'match-7' as RoomId, viewers: 12 };
      yield { room: 'a.b' as RoomId, viewers: 1 };
    },
    move(room, share, overMs) {
      orders.push({ room, share, overMs });
      return 6;
    },
    drain(overMs) {
      orders.push({ drain: overMs });
      return 13;
    },
    undrain() {
      orders.push('undrain');
      return true;
    },
    isDraining: false,
    misrouted: 3,
  };
  admin = buildAdmin({ whyNotReady: () => null, drain, nodeId: 'blue-1', group: 'blue', registerProblems });
});
afterEach(() => admin.close());

const post = (url: string, payload: unknown) => admin.inject({ method: 'POST', url, payload: payload as object });

describe('the admin port', () => {
  it('says who watches what', async () => {
    const answer = await admin.inject('/ops/rooms');
    assert.deepEqual(answer.json(), {
      node: 'blue-1',
      group: 'blue',
      isDraining: false,
      misrouted: 3,
      rooms: [
        { room: 'match-7', viewers: 12 },
        { room: 'a.b', viewers: 1 },
      ],
    });
  });

  it('takes an order to move a room, whole where no share is named', async () => {
    const answer = await post('/ops/rooms/match-7/move', { overMs: 5000, share: 0.5 });
    assert.equal(answer.statusCode, 202);
    assert.deepEqual(answer.json(), { moving: 6 });
    await post('/ops/rooms/match-7/move', { overMs: 0 });
    assert.deepEqual(orders, [
      { room: 'match-7', share: 0.5, overMs: 5000 },
      { room: 'match-7', share: 1, overMs: 0 },
    ]);
  });

  it('takes an order to drain, and is not ready from then on', async () => {
    assert.equal((await admin.inject('/readyz')).statusCode, 200);
    assert.deepEqual((await post('/ops/drain', { overMs: 600_000 })).json(), { moving: 13 });
    drain.isDraining = true;
    const answer = await admin.inject('/readyz');
    assert.equal(answer.statusCode, 503);
    assert.equal(answer.json().reason, 'draining');
    assert.deepEqual(orders, [{ drain: 600_000 }]);
  });

  const wrong: readonly [string, string, unknown][] = [
    ['without a time', '/ops/drain', {}],
    ['with a time that is too long', '/ops/drain', { overMs: 600_001 }],
    ['with half a millisecond', '/ops/drain', { overMs: 0.5 }],
    ['with a time in words', '/ops/drain', { overMs: '10' }],
    ['with a share of a drain', '/ops/drain', { overMs: 1, share: 1 }],
    ['that is a list', '/ops/drain', []],
    ['with a share above 1', '/ops/rooms/a/move', { overMs: 1, share: 1.1 }],
    ['with a share below 0', '/ops/rooms/a/move', { overMs: 1, share: -0.1 }],
    ['with more than is known', '/ops/rooms/a/move', { overMs: 1, force: true }],
    ['for what is no room', '/ops/rooms/a%20b/move', { overMs: 1 }],
  ];
  for (const [what, url, payload] of wrong) {
    it(`refuses an order ${what}`, async () => {
      const answer = await post(url, payload);
      assert.equal(answer.statusCode, 400);
      assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
      assert.equal(answer.json().code, 'malformed');
      assert.deepEqual(orders, []);
    });
  }

  it('takes no order from a form, which any page could send', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await admin.inject({ method: 'POST', url: '/ops/drain', headers, payload: 'overMs=1' });
    assert.equal(answer.statusCode, 415);
    assert.deepEqual(orders, []);
  });
});
