/** Sends a write to a room as its host, over a connection of its own or one that is kept. */

import { type Agent, type IncomingMessage, request } from 'node:http';
import { tokenOf } from './gateway.ts';

export interface Write {
  readonly method: 'POST' | 'PUT';
  /** Behind the room's. */
  readonly path: string;
  readonly body: object;
  readonly key: string | null;
}

export interface WriteTarget {
  readonly port: number;
  readonly room: string;
  /** Absent: the connection is not kept. */
  readonly agent?: Agent;
}

/** An answer that never comes is the status 599. */
export function sendWrite({ port, room, agent }: WriteTarget, { method, path, body, key }: Write) {
  const headers = {
    authorization: `Bearer ${tokenOf('hanna', 'host', { rooms: { [room]: 'host' } })}`,
    'content-type': 'application/json',
    ...(key === null ? {} : { 'idempotency-key': key }),
  };
  return new Promise<{ status: number; text: string }>((resolve) => {
    const fail = (error: Error): void => resolve({ status: 599, text: error.message });
    const take = (answer: IncomingMessage): void => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part: string) => {
        text += part;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text })).on('error', fail);
    };
    const to = { host: '127.0.0.1', port, path: `/rooms/${room}/${path}`, method, agent: agent ?? false, headers };
    request(to, take).on('error', fail).end(JSON.stringify(body));
  });
}
