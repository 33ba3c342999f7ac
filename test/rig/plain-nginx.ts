/**
 * A real nginx of a few lines, in a directory of its own: before one gateway, with what a stream needs to pass, or as
 * whatever `server` says. One worker, no log of accesses.
 */

import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EndedEarly, startProcess } from './process.ts';
import { waitFor } from './wait-for.ts';

export interface PlainNginxOptions {
  /** An address as nginx takes it. Absent: a unix socket, so that no port has to be found. */
  readonly listen?: string;
  /** Lines of the configuration: beside `http`, in it, and in its one server. */
  readonly main?: string;
  readonly http?: string;
  readonly server: string;
  readonly connections?: number;
}

export interface PlainNginx {
  readonly pid: number;
  readonly socketPath: string;
  stop(): Promise<void>;
}

/** A location that passes everything on; `directives` may say otherwise what a stream needs to pass. */
export const passTo = (upstream: string, directives = 'proxy_buffering off;'): string => `
    location / {
      proxy_pass http://${upstream};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      ${directives}
    }`;

/** @throws {EndedEarly} where it ends instead, such as for a port that is taken. */
export async function startPlainNginx(options: PlainNginxOptions): Promise<PlainNginx> {
  const { main = '', http = '', server, connections = 256 } = options;
  const home = await mkdtemp(join(tmpdir(), 'ringside-nginx-'));
  // The worker is another user where the master is root.
  await chmod(home, 0o755);
  const [file, pidFile, log, socketPath] = ['nginx.conf', 'nginx.pid', 'error.log', 'nginx.sock'].map((name) =>
    join(home, name),
  ) as [string, string, string, string];
  const configuration = `${main}
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
daemon off;
pid ${pidFile};
error_log ${log} error;
events { worker_connections ${connections}; }
http {
  access_log off;
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path ${home}/${of};`).join('\n  ')}
  ${http}
  server {
    listen ${options.listen ?? `unix:${socketPath}`};
    ${server}
  }
}
`;
  await writeFile(file, configuration);
  // Told to end, the master ends its worker, too.
  const master = startProcess({
    command: 'nginx',
    args: ['-p', home, '-c', file, '-e', log],
    lastSignal: 'SIGTERM',
  });
  // The master writes its number after it has opened the port.
  const isOpen = async () => !master.isAlive() || (await readFile(pidFile, 'utf8').catch(() => '')) !== '';
  await waitFor(isOpen, { what: 'nginx to start; is it installed?', timeoutMs: 10_000 });
  if (!master.isAlive()) throw new EndedEarly(`nginx ended at its start: ${master.stderr()}`);
  return {
    pid: master.pid,
    socketPath,
    async stop() {
      await master.end('SIGTERM');
      await rm(home, { recursive: true, force: true });
    },
  };
}
