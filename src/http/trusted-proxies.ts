/**
 * The proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted. A unix socket has no peer address: with `unix`
 * in the settings, every process that may open the socket file is trusted.
 */

import { BlockList, isIP } from 'node:net';
import { SettingsError } from '../settings.ts';

/** For Fastify's `trustProxy`. `hop` 0 is the peer; over a unix socket it has no address. */
export type Trust = (address: string | undefined, hop: number) => boolean;

/** @throws {SettingsError} for what is neither an address, nor a range, nor `unix`. */
export function trustOf(trustedProxies: readonly string[]): Trust | false {
  if (trustedProxies.length === 0) return false;
  const trusted = new BlockList();
  for (const one of trustedProxies) if (one !== 'unix') addTo(trusted, one);
  const trustsSocket = trustedProxies.includes('unix');
  return (address, hop) => {
    if (address === undefined) return trustsSocket && hop === 0;
    const kind = isIP(address);
    return kind !== 0 && trusted.check(address, kind === 6 ? 'ipv6' : 'ipv4');
  };
}

function addTo(trusted: BlockList, one: string): void {
  const [address = '', range, ...rest] = one.split('/');
  const kind = isIP(address);
  const bits = range === undefined ? (kind === 6 ? 128 : 32) : /^[0-9]{1,3}$/.test(range) ? Number(range) : 0;
  if (kind === 0 || rest.length > 0 || bits < 1 || bits > (kind === 6 ? 128 : 32))
    throw new SettingsError(
      `TRUSTED_PROXIES must list addresses, ranges such as 10.0.0.0/8, or unix; ${one} is none of these.`,
    );
  trusted.addSubnet(address, bits, kind === 6 ? 'ipv6' : 'ipv4');
}
