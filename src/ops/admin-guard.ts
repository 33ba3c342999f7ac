/**
 * Who may call the admin port. Programs may; a page in an operator's browser may not, neither from another site nor by a
 * name of its own that leads here (DNS rebinding). Where there is a token, orders need it too.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyInstance } from 'fastify';
import { Refusal } from '../errors.ts';

export interface AdminDoor {
  /** What the port listens on. */
  readonly adminHost: string;
  /** Names by which it may be called besides. */
  readonly adminHosts: readonly string[];
  /** Null: orders need none. */
  readonly adminToken: string | null;
}

export function guardAdmin(admin: FastifyInstance, { adminHost, adminHosts, adminToken }: AdminDoor): void {
  const names = new Set(['localhost', '127.0.0.1', '::1', adminHost, ...adminHosts].map(nameOf));
  for (const everyAddress of ['0.0.0.0', '::']) names.delete(everyAddress);
  admin.addHook('onRequest', async ({ headers, method, socket }) => {
    const { host } = headers;
    // Without a name nobody was misled: HTTP/1.0, as some health checks speak it. A browser always sends one.
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
 * Whether no other site is behind the request. What a browser says of itself (Fetch Metadata) counts, and the origin,
 * which older browsers send alone. A link from another page may lead to what can only be read.
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

/** An address as its owner writes it: an IPv4 one that came over IPv6 without what IPv6 puts before it. */
const plainOf = (address: string | undefined): string | undefined => address?.replace(/^::ffff:(?=\d+\.)/, '');
