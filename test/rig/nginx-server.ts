/**
 * A real nginx before a gateway, as plain as one can be: one worker, a unix socket to listen on, so that no port has to
 * be found for it, and what a stream needs to pass (`proxy_buffering off`), unless a test says otherwise.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitFor } from './wait-for.ts';

export interface NginxServer {
  /** Where it listens. */
  readonly socketPath: string;
  stop(): Promise<void>;
}

const alive = new Set<ChildProcess>();
// A test that fails or is interrupted must not leave a server behind; its master takes the worker with it.
process.on('exit', () => {
  for (const child of alive) child.kill('SIGTERM');
});

const usualDirectives = 'proxy_buffering off;';

const configurationOf = (home: string, socketPath: string, upstreamPort: number, directives: string): string => `
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
daemon off;
pid ${home}/nginx.pid;
error_log ${home}/error.log;
events { worker_connections 256; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${home}/${of};`).join('\n  ')}
  server {
    listen unix:${socketPath};
    location / {
      proxy_pass http://127.0.0.1:${upstreamPort};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      ${directives}
    }
  }
}
`;

/** `directives`: what its one location says beside where to pass requests. */
export async function startNginx(upstreamPort: number, directives = usualDirectives): Promise<NginxServer> {
  const home = await mkdtemp(join(tmpdir(), 'ringside-nginx-'));
  // The worker is another user where the master is not root.
  await chmod(home, 0o755);
  const socketPath = join(home, 'nginx.sock');
  await writeFile(join(home, 'nginx.conf'), configurationOf(home, socketPath, upstreamPort, directives));
  const args = ['-p', home, '-c', join(home, 'nginx.conf'), '-e', join(home, 'error.log')];
  const child = spawn('nginx', args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let printed = '';
  child.stderr.on('data', (bytes: Buffer) => {
    printed += bytes.toString();
  });
  child.on('error', (error) => {
    printed += error.message;
  });
  alive.add(child);
  const ended = once(child, 'close').then(() => alive.delete(child));
  const answers = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = createConnection(socketPath, () => {
        socket.destroy();
        resolve(true);
      });
      socket.on('error', () => resolve(false));
    });
  await waitFor(answers, { what: 'nginx to listen' }).catch(() => assert.fail(`nginx did not start: ${printed}`));
  return {
    socketPath,
    async stop() {
      if (alive.has(child)) child.kill('SIGTERM');
      await ended;
      await rm(home, { recursive: true, force: true });
    },
  };
}
