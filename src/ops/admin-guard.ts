/**
 * Guards the admin port. Programs may call it; a page in an operator's browser may not, neither from another site nor by
 * a host name of its own (DNS rebinding). If a token is set, orders require it too.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { Refusal } from '../errors.ts';

export interface AdminGuardOptions {
  /** What the port listens on. */
  readonly adminHost: string;
  /** Further names that it answers to. */
  readonly adminHosts: readonly string[];
  /** Null: orders require none. */
  readonly adminToken: string | null;
}

export function guardAdmin(admin: FastifyInstance, { adminHost, adminHosts, adminToken }: AdminGuardOptions): void {
  const names = new Set(['localhost', '127.0.0.1', '::1', adminHost, ...adminHosts].map(nameOf));
  for (const everyAddress of ['0.0.0.0', '::']) names.delete(everyAddress);
  admin.addHook('onRequest', async ({ headers, method, socket }) => {
    const { host } = headers;
    // Without a Host there is no DNS rebinding: HTTP/1.0, as in some health checks. A browser always sends one.
    if (host !== undefined && !names.has(nameOf(host)) && nameOf(host) !== plainOf(socket.localAddress))
      throw new Refusal(
        'cross-site',
        'The admin port does not answer to this Host. Add the name to ADMIN_HOSTS to allow it.',
      );
    const isSafe = method === 'GET' || method === 'HEAD';
    if (!isOwnSite(headers, isSafe))
      throw new Refusal('cross-site', 'The admin port refuses requests from other sites.');
    if (isSafe || adminToken === null || isToken(headers.authorization, adminToken)) return;
    throw new Refusal('unauthorized', 'Send the ADMIN_TOKEN as `Authorization: Bearer`.');
  });
}

/**
 * Whether no other site is behind the request, by Fetch Metadata and by the origin, which older browsers send alone. A
 * link on another page may lead to a read.
 */
function isOwnSite(headers: IncomingHttpHeaders, isSafe: boolean): boolean {
  const { origin, host = '' } = headers;
  const site = headers['sec-fetch-site'] ?? 'none';
  const isLink = isSafe && headers['sec-fetch-mode'] === 'navigate';
  if (site !== 'same-origin' && site !== 'none' && !isLink) return false;
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host.toLowerCase());
}

function isToken(authorization: string | undefined, token: string): boolean {
  const [, sent = ''] = /^bearer +(.*)$/i.exec(authorization ?? '') ?? [];
  return timingSafeEqual(digestOf(sent), digestOf(token));
}

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** A host without its port and brackets, in lower case. */
function nameOf(host: string): string {
  const [, bracketed] = /^\[([^\]]*)\](?::\d+)?$/.exec(host) ?? [];
  const name = bracketed ?? (/^[^:]*:[^:]*:/.test(host) ? host : host.replace(/:\d*$/, ''));
  return name.toLowerCase().replace(/\.$/, '');
}

/** The usual form of an address: IPv4-mapped IPv6 addresses become IPv4. */
const plainOf = (address: string | undefined): string | undefined => address?.replace(/^::ffff:(?=\d+\.)/, '');
