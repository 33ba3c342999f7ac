/** nginx for a benchmark: before the gateway, or as Nchan. One worker with many connections, on loopback. */

import { readFileSync } from 'node:fs';
import { passTo, startPlainNginx } from '../../test/rig/plain-nginx.ts';
import { childrenOf } from './process-cost.ts';
import { onFreePort, type Server, type ServerProcess } from './server.ts';

const nchanModule = '/usr/lib/nginx/modules/ngx_nchan_module.so';
/** Of one process, both sides counted. */
const connectionsMax = 40_000;

/** As many files as this process may let a child open. */
function filesMax(): number {
  const hard = /^Max open files +\S+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return Math.min(connectionsMax, Number(hard ?? connectionsMax));
}

interface NginxOptions {
  readonly name: string;
  readonly port: number;
  readonly server: string;
  readonly main?: string;
  readonly http?: string;
}

export interface Nginx extends ServerProcess {
  stop(): Promise<void>;
}

async function startNginx({ name, port, server, main = '', http = '' }: NginxOptions): Promise<Nginx> {
  const nginx = await startPlainNginx({
    listen: `127.0.0.1:${port} backlog=4096`,
    main: `${main}\nworker_rlimit_nofile ${filesMax()};`,
    http: `keepalive_requests 1000000;\n${http}`,
    server,
    connections: connectionsMax,
  });
  return { name, pids: () => [nginx.pid, ...childrenOf(nginx.pid)], stop: () => nginx.stop() };
}

/** Before a gateway: the part of the product's own configuration that a stream passes. */
export const startNginxBefore = (upstream: string, port: number): Promise<Nginx> =>
  startNginx({
    name: 'nginx',
    port,
    http: `upstream gateway { server ${upstream} max_fails=0; keepalive 16; }`,
    server: passTo('gateway', 'proxy_buffering off; proxy_read_timeout 60s;'),
  });

/** Nchan: one channel, written by POST and watched as an EventSource. It keeps what a returning viewer may ask for. */
export const startNchan = (): Promise<Server> =>
  onFreePort(async (port) => {
    const nginx = await startNginx({ name: 'nchan', port, main: `load_module ${nchanModule};`, server: nchanServer });
    return {
      name: 'nchan',
      // Its ids are a second and a number within it, so they have holes.
      stream: { port, path: '/stream', secret: null, isGapless: false },
      publish: {
        port,
        requestFor: (item, _room, text) => ({
          head: 'POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-EventSource-Event: comment',
          body: JSON.stringify({ at: Date.now(), by: { id: `user-${item.user}`, role: 'viewer' }, text }),
        }),
      },
      processes: [nginx],
      stop: () => nginx.stop(),
    };
  });

const nchanServer = `
    location = /publish {
      nchan_publisher;
      nchan_channel_id room;
      nchan_message_buffer_length 10000;
      nchan_message_timeout 1h;
    }
    location = /stream {
      nchan_subscriber eventsource;
      nchan_channel_id room;
      nchan_subscriber_first_message newest;
    }`;
