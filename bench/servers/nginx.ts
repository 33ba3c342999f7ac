/** nginx in a directory of its own: before the gateway, or as Nchan. One worker, no log of accesses, loopback only. */

import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { childrenOf } from './process-cost.ts';
import { EndedEarly, onFreePort, type Server, type ServerProcess, startProcess } from './server.ts';

const nchanModule = '/usr/lib/nginx/modules/ngx_nchan_module.so';
/** Of one process, both sides counted. */
const connectionsMax = 40_000;

/** As many files as this process may let a child open. */
function filesMax(): number {
  const hard = /^Max open files +\S+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1];
  return Math.min(connectionsMax, Number(hard ?? connectionsMax));
}

interface NginxOptions {
  readonly port: number;
  /** An upstream of the gateway; null where `server` says everything. */
  readonly upstream?: string;
  readonly server?: string;
  readonly modules?: readonly string[];
  readonly name?: string;
}

export interface Nginx extends ServerProcess {
  stop(): Promise<void>;
}

/** The part of the product's own configuration that a stream passes. */
const proxyServer = `
    location / {
      proxy_pass http://gateway;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_buffering off;
      proxy_read_timeout 60s;
    }`;

export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const home = await mkdtemp(join(tmpdir(), 'ringside-nginx-'));
  // The worker is another user where the master is root.
  await chmod(home, 0o755);
  const upstream =
    options.upstream === undefined ? '' : `upstream gateway { server ${options.upstream} max_fails=0; keepalive 16; }`;
  const modules = (options.modules ?? []).map((path) => `load_module ${path};`).join('\n');
  const configuration = `${modules}
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
worker_rlimit_nofile ${filesMax()};
pid ${home}/nginx.pid;
error_log ${home}/error.log error;
daemon off;
events { worker_connections ${connectionsMax}; }
http {
  access_log off;
  client_body_temp_path ${home}/body;
  proxy_temp_path ${home}/proxy;
  fastcgi_temp_path ${home}/fastcgi;
  uwsgi_temp_path ${home}/uwsgi;
  scgi_temp_path ${home}/scgi;
  keepalive_requests 1000000;
  ${upstream}
  server {
    listen 127.0.0.1:${options.port} backlog=4096;
${options.server ?? proxyServer}
  }
}
`;
  await writeFile(join(home, 'nginx.conf'), configuration);
  const args = ['-p', home, '-c', join(home, 'nginx.conf'), '-e', join(home, 'error.log')];
  // Told to end, the master ends its worker, too.
  const master = startProcess({ command: 'nginx', args, lastSignal: 'SIGTERM' });
  const until = Date.now() + 10_000;
  // The master writes its number after it has opened the port.
  while ((await readFile(join(home, 'nginx.pid'), 'utf8').catch(() => '')) === '') {
    if (!master.isAlive()) throw new EndedEarly('nginx ended at its start.');
    if (Date.now() > until) throw new Error('nginx did not start; is it installed?');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    name: options.name ?? 'nginx',
    pids: () => [master.pid, ...childrenOf(master.pid)],
    async stop() {
      await master.end('SIGTERM');
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Nchan: one channel, written by POST and watched as an EventSource. It keeps what a returning viewer may ask for. */
export const startNchan = (): Promise<Server> =>
  onFreePort(async (port) => {
    const nginx = await startNginx({ port, name: 'nchan', modules: [nchanModule], server: nchanServer });
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
