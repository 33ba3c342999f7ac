/** What a sender puts into `data` is given on as it was sent: a number that JavaScript cannot hold is not its own to change. */

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { startRedis } from '../rig/redis.ts';
import { watch } from '../rig/stream-reader.ts';

const data = '{"order":12345678901234567890,"price":1.10,"tiny":1e-400,"huge":1e999,"zero":-0.0,"s":"\\u0041"}';
const spaced = data.replaceAll(',', ' ,\n ').replaceAll(':', ' : ');
const actions: readonly (readonly [kind: string, body: string])[] = [
  ['signal', `{"type":"beat","data":${spaced}}`],
  ['direct', `{"to":["ann"],"type":"letter","data":${spaced}}`],
  ['notice', `{"title":"Sale","data":${spaced}}`],
  ['pin', `{"text":"Look","data":${spaced}}`],
  ['settings', `{"data":${spaced}}`],
];

for (const where of ['the embedded log', 'Redis']) {
  describe(`data, over ${where}`, () => {
    let gateway: RunningGateway;
    let stop = async (): Promise<void> => undefined;
    before(async () => {
      const redis = where === 'Redis' ? await startRedis() : null;
      gateway = await startGateway(redis === null ? {} : { redisUrl: redis.url });
      stop = async () => {
        await gateway.close();
        await redis?.stop();
      };
    });
    after(() => stop());

    for (const [kind, body] of actions) {
      it(`of ${kind} keeps every digit, live, in the state, by pull and on return`, async () => {
        const stream = await watch(gateway.url);
        const from = stream.lastId;
        const headers = { authorization: `Bearer ${tokenOf('hanna', 'host')}`, 'content-type': 'application/json' };
        const init = { method: 'POST', headers, body };
        const { status, text, json } = await gateway.ask(`/rooms/${room}/actions/${kind}`, init);
        assert.equal(status, 202, text);
        await stream.until(() => stream.lastId === json['id'], kind);
        stream.close();
        const back = await watch(gateway.url, { headers: { 'last-event-id': from } });
        await back.until(() => back.text.includes(data), `${kind} again, be it in the state`);
        back.close();
        const asAnn = { headers: { authorization: `Bearer ${tokenOf('ann')}` } };
        const pulled = await gateway.ask(`/rooms/${room}/events?after=${from}`, asAnn);
        for (const given of [stream.text, back.text, pulled.text]) assert.ok(given.includes(data), given);
        if (kind !== 'pin' && kind !== 'settings') return;
        const state = await gateway.ask(`/rooms/${room}/state/${kind}`, asAnn);
        assert.ok(state.text.includes(data), state.text);
      });
    }
  });
}
