/** @fastify/sse as its README shows it: a kept reply per viewer. `node peer-fastify-sse.mjs PORT`. */

import fastifySse from '@fastify/sse';
import Fastify from 'fastify';

const app = Fastify();
await app.register(fastifySse);
const replies = new Set();
let number = 0;

app.get('/stream', { sse: 'only' }, async (_request, reply) => {
  reply.sse.keepAlive();
  // Without a first event the head would wait for the first heartbeat, half a minute later.
  await reply.sse.send({ event: 'hello', data: {} });
  replies.add(reply);
  reply.sse.onClose(() => replies.delete(reply));
});

app.post('/publish', async (request, answer) => {
  number += 1;
  const event = { id: `peer.${number}`, event: 'comment', data: { at: Date.now(), ...request.body } };
  for (const reply of replies) reply.sse.send(event).catch(() => replies.delete(reply));
  return answer.code(202).send();
});

await app.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
