/**
 * What further nodes are to Redis: connections that follow every room's channel and read all that is published there.
 * What they hear is counted and thrown away, so that a node's own work is not measured with it.
 */

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface Readers {
  /** Messages that came to all of them. */
  heard(): number;
  close(): void;
}

/** Channels that one command names. */
const atOnce = 100;
const message = Buffer.from('smessage');

export async function openReaders(socketPath: string, rooms: number, count: number): Promise<Readers> {
  let heard = 0;
  const sockets: Socket[] = [];
  for (let reader = 0; reader < count; reader += 1) {
    const socket = connect(socketPath);
    sockets.push(socket);
    await once(socket, 'connect');
    let confirmed = 0;
    const ready = new Promise<void>((resolve) => {
      socket.on('data', (bytes: Buffer) => {
        heard += occurrences(bytes, message);
        if (confirmed >= rooms) return;
        confirmed += occurrences(bytes, Buffer.from('ssubscribe'));
        if (confirmed >= rooms) resolve();
      });
    });
    for (let first = 0; first < rooms; first += atOnce) {
      const channels = Array.from({ length: Math.min(atOnce, rooms - first) }, (_, n) => `rs:{room-${first + n}}`);
      socket.write(command(['SSUBSCRIBE', ...channels]));
    }
    await ready;
  }
  return {
    heard: () => heard,
    close() {
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A command as Redis reads it: an array of bulk strings. */
const command = (words: readonly string[]): string =>
  `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`;

/** A word that a read has cut in two is not found, which is rare enough for what this counts. */
function occurrences(bytes: Buffer, word: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(word); at !== -1; at = bytes.indexOf(word, at + word.length)) count += 1;
  return count;
}
