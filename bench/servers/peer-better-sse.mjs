/** better-sse as its guide shows it: one channel on a plain Node server. `node peer-better-sse.mjs PORT`. */

import { createServer } from 'node:http';
import { createChannel, createSession } from 'better-sse';
import { readJson } from './read-json.mjs';

const channel = createChannel();
let number = 0;

createServer(async (request, response) => {
  if (request.method === 'POST') {
    const said = await readJson(request);
    number += 1;
    channel.broadcast({ at: Date.now(), ...said }, 'comment', { eventId: `peer.${number}` });
    response.writeHead(202).end();
    return;
  }
  if (request.url !== '/stream') return void response.writeHead(404).end();
  channel.register(await createSession(request, response));
}).listen({ host: '127.0.0.1', port: Number(process.argv[2]), backlog: 4096 });
