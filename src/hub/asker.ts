/**
 * The client that admission limits count: a user by its id, whatever role its token grants; a client without a token by
 * its network. Many clients share a network (a stadium, a carrier), so its limits are high.
 */

import { isIP } from 'node:net';
import type { Identity } from '../model.ts';

export interface Asker {
  /** One text per user, and per network; no text is both. */
  readonly key: string;
  readonly isNamed: boolean;
  /** The platform's own back end: it is trusted, and may watch every room under one name. */
  readonly isPlatform: boolean;
  /** Whether its token names the requested room. A token for `*`, or no token, names none. */
  readonly namesRoom: boolean;
}

/** `address`: the address of a client without a token; empty if unknown. */
export function askerOf({ id, role, namesRoom = false }: Identity, address: string = ''): Asker {
  if (id === null) return { key: `@${networkOf(address)}`, isNamed: false, isPlatform: false, namesRoom: false };
  return { key: `u${id}`, isNamed: true, isPlatform: role === 'service', namesRoom };
}

/**
 * The range that one client can choose its addresses from: of IPv6 a /64 (RFC 6177), of IPv4 the address, also if it is
 * written as IPv6 (RFC 4291, section 2.5.5.2).
 */
export function networkOf(address: string): string {
  const [plain = ''] = address.split('%');
  if (isIP(plain) !== 6) return plain;
  const groups = groupsOf(plain);
  const [high = 0, low = 0] = groups.slice(6);
  const isMapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (isMapped) return [high >> 8, high & 255, low >> 8, low & 255].join('.');
  return `${groups
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

/** The eight groups of a valid IPv6 address. */
function groupsOf(address: string): readonly number[] {
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const [a = 0, b = 0, c = 0, d = 0] = (dotted ?? []).slice(1).map(Number);
  const last = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  const hex = dotted === null ? address : address.slice(0, dotted.index) + last;
  const [head = [], tail = []] = hex.split('::').map((part) => (part === '' ? [] : part.split(':')));
  const zeros = Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0');
  return [...head, ...zeros, ...tail].map((group) => Number.parseInt(group, 16));
}
