/**
 * A TCP proxy that loses every connection when it is told to, and remembers what each of them began with: the head of
 * its request and the head of the answer, as they went over the wire.
 */

import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';

interface Heads {
  readonly request: string;
  readonly response: string;
}

export interface CutProxy {
  readonly url: string;
  /** One for each connection so far, the oldest first. */
  readonly heads: readonly Heads[];
  /** Destroys all connections, as a tunnel does. */
  cut(): void;
  close(): Promise<void>;
}

const headOf = (soFar: string, bytes: Buffer): string =>
  soFar.includes('\r\n\r\n') ? soFar : (soFar + bytes.toString('latin1')).replace(/(\r\n\r\n).*$/s, '$1');

/** `target`: a port of the loopback, or the path of a unix socket. */
export async function startCutProxy(target: number | string): Promise<CutProxy> {
  const sockets = new Set<Socket>();
  const heads: { request: string; response: string }[] = [];
  const listener = createServer((near) => {
    const far = createConnection(typeof target === 'string' ? { path: target } : { host: '127.0.0.1', port: target });
    const head = { request: '', response: '' };
    heads.push(head);
    near.on('data', (bytes) => {
      head.request = headOf(head.request, bytes);
    });
    far.on('data', (bytes) => {
      head.response = headOf(head.response, bytes);
    });
    near.pipe(far);
    far.pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.once('close', () => {
        sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    heads,
    cut,
    async close() {
      cut();
      listener.close();
      await once(listener, 'close');
    },
  };
}
