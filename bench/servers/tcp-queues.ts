/** What the kernel holds in its TCP buffers, by its own lists. Linux only. */

import { readFileSync } from 'node:fs';

/** Of the connections that a server of this machine has accepted on a port. */
export interface Queues {
  /** Connections that have bytes queued which the other side has not acknowledged, and all of these bytes. */
  readonly queued: number;
  readonly bytes: number;
}

/** Lines of /proc/net/tcp: local address, remote address, state (01: established), tx_queue and rx_queue. */
const line = /^ *\d+: [0-9A-F]+:([0-9A-F]{4}) \S+ 01 ([0-9A-F]{8}):/gm;

export function sendQueues(port: number): Queues {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  let [queued, bytes] = [0, 0];
  for (const [, local, queue = '0'] of readFileSync('/proc/net/tcp', 'latin1').matchAll(line)) {
    const size = local === wanted ? Number.parseInt(queue, 16) : 0;
    bytes += size;
    queued += size > 0 ? 1 : 0;
  }
  return { queued, bytes };
}

const pageBytes = 4_096;

/** Memory of all TCP sockets of the machine, both ends of each connection and the kernel's own share included. */
export function tcpMemoryBytes(): number {
  const found = /^TCP:.*\bmem (\d+)/m.exec(readFileSync('/proc/net/sockstat', 'latin1'));
  return Number(found?.[1] ?? 0) * pageBytes;
}
