/**
 * The slot of a key, and the server of a slot. Redis Cluster has 16,384 slots, by CRC-16/XMODEM of the text between the
 * first braces of a key. All keys of a room are in one slot, because `keys` puts the room's id between them.
 */

import { type RedisAddress, type ServerName, serverName } from './address.ts';

const slotsCount = 16_384;

const crcOfByte = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

export function slotOf(key: string): number {
  const open = key.indexOf('{');
  const close = open === -1 ? -1 : key.indexOf('}', open + 1);
  const tag = close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (const byte of Buffer.from(tag)) crc = ((crc << 8) ^ (crcOfByte[((crc >> 8) ^ byte) & 0xff] ?? 0)) & 0xffff;
  return crc % slotsCount;
}

/** The server of each slot. Without a cluster it has one slot for all. */
export type SlotMap = readonly (ServerName | null)[];

/**
 * The answer to CLUSTER SLOTS: ranges, each with its servers, the primary first. A node that does not know its own address
 * omits it: then it is the queried node. Null for any other answer.
 */
export function readSlots(reply: unknown, askedHost: string): { map: SlotMap; servers: Set<ServerName> } | null {
  if (!Array.isArray(reply)) return null;
  const map = Array.from({ length: slotsCount }, (): ServerName | null => null);
  const servers = new Set<ServerName>();
  for (const range of reply as readonly unknown[]) {
    if (!Array.isArray(range)) return null;
    const [first, last, ...nodes] = range as readonly unknown[];
    const names = nodes.map((node) => readNode(node, askedHost));
    for (const name of names) if (name !== null) servers.add(name);
    for (let slot = Number(first); slot <= Math.min(Number(last), slotsCount - 1); slot += 1)
      map[slot] = names[0] ?? null;
  }
  return { map, servers };
}

function readNode(node: unknown, askedHost: string): ServerName | null {
  if (!Array.isArray(node)) return null;
  const [host, port] = node as readonly unknown[];
  // A question mark: its name is not known yet.
  if (host === '?') return null;
  return serverName(host ? String(host) : askedHost, Number(port));
}

/** `MOVED 7 host:port` and `ASK 7 host:port`: where to go instead. Null for any other error. */
export function readRedirection(message: string, askedHost: string): { isMoved: boolean; server: ServerName } | null {
  const match = /^(MOVED|ASK) [0-9]+ (.*):([0-9]+)$/.exec(message);
  if (!match) return null;
  const [, word, host, port] = match;
  return { isMoved: word === 'MOVED', server: serverName(host || askedHost, Number(port)) };
}

/** A sentinel's answer to the query for the primary. */
export function readPrimary(reply: unknown): ServerName | null {
  if (!Array.isArray(reply)) return null;
  const [host, port] = reply as readonly unknown[];
  return serverName(String(host), Number(port));
}

/** The topology query. */
export function questionFor({ kind, primary }: RedisAddress): readonly [string, ...string[]] {
  return kind === 'cluster' ? ['CLUSTER', 'SLOTS'] : ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primary];
}
