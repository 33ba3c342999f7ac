/** The peers: other servers that do the same work, each as its own guide shows it, in one process. */

import { fileURLToPath } from 'node:url';
import { startProcess } from '../../test/rig/process.ts';
import type { PublishTarget } from '../writer.ts';
import { startNchan } from './nginx.ts';
import { onFreePort, quiet, type Server, untilAnswers } from './server.ts';

export const peerNames = ['nchan', 'better-sse', 'fastify-sse', 'fastify-sse-v2'] as const;
export type PeerName = (typeof peerNames)[number];

export const startPeer = (name: PeerName): Promise<Server> => (name === 'nchan' ? startNchan() : startNodePeer(name));

function startNodePeer(name: Exclude<PeerName, 'nchan'>): Promise<Server> {
  const script = fileURLToPath(new URL(`./peer-${name}.mjs`, import.meta.url));
  return onFreePort(async (port) => {
    const child = startProcess({ command: process.execPath, args: [script, String(port)], stdio: quiet });
    await untilAnswers(`http://127.0.0.1:${port}/nothing`, child, 404);
    return {
      name,
      stream: { port, path: '/stream', secret: null, isGapless: true },
      publish: { port, requestFor },
      processes: [{ name, pids: () => [child.pid] }],
      stop: () => child.end('SIGKILL'),
    };
  });
}

const requestFor: PublishTarget['requestFor'] = (item, _room, text) => ({
  head: 'POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json',
  body: JSON.stringify({ by: { id: `user-${item.user}`, role: 'viewer' }, text }),
});
