/**
 * Requires a request target in normal form, so that nginx, the router and log readers understand the same by it. nginx.conf
 * holds the same rule and refuses first; this file covers clients that reach a gateway without it.
 */

import type { FastifyInstance } from 'fastify';
import { Refusal } from '../errors.ts';

/**
 * Segments of unreserved characters (RFC 3986, section 2.3), none of them empty, `.` or `..`: Ringside uses no other
 * names. So no percent code, no `//`, no `;` or `#`, and no scheme and host before the path.
 */
const normalPath = /^\/(?:(?!\.\.?\/)[\w.~-]+\/)*(?:(?!\.\.?$)[\w.~-]+)?$/;
/** The router ends the query at a number sign and decodes names, which others do not. */
const oddQuery = /#|(?:^|&)[^=&]*%/;

export function isNormalTarget(target: string): boolean {
  const end = target.indexOf('?');
  if (end === -1) return normalPath.test(target);
  return normalPath.test(target.slice(0, end)) && !oddQuery.test(target.slice(end + 1));
}

/** Refuses every request, whatever its path would lead to, whose target is not in normal form. */
export function acceptNormalTargets(app: FastifyInstance): void {
  app.addHook('onRequest', async ({ raw }) => {
    if (isNormalTarget(raw.url ?? '')) return;
    throw new Refusal(
      'malformed',
      'The path must be in normal form with unreserved characters only. Names in the query must not be percent-encoded.',
    );
  });
}
