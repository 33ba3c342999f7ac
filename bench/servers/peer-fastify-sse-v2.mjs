/** fastify-sse-v2 as its README shows it: `reply.sse` per viewer and event. `node peer-fastify-sse-v2.mjs PORT`. */

import Fastify from 'fastify';
import { FastifySSEPlugin } from 'fastify-sse-v2';

const app = Fastify();
await app.register(FastifySSEPlugin);
const replies = new Set();
let number = 0;

app.get('/stream', (request, reply) => {
  reply.sse({ event: 'hello', data: '{}' });
  replies.add(reply);
  request.socket.on('close', () => replies.delete(reply));
});

app.post('/publish', async (request, answer) => {
  number += 1;
  const data = JSON.stringify({ at: Date.now(), ...request.body });
  for (const reply of replies) reply.sse({ id: `peer.${number}`, event: 'comment', data });
  return answer.code(202).send();
});

await app.listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
