/**
 * What a log line says of a request: method and path, never a header, a query or a body, because those may hold a token.
 * Errors are reduced to fields that this program or Node wrote, because client libraries attach whole requests to theirs.
 */

import type { FastifyReply, FastifyRequest, FastifyServerOptions } from 'fastify';
import type { Settings } from '../settings.ts';

/** A query begins at the first `?`; a semicolon or a fragment never reaches a server as anything but path. */
const pathOf = (url: string): string => url.split('?', 1)[0] ?? '';

interface LogTarget {
  write(line: string): void;
}

/** The logger options for `fastify()`. `target` absent: standard output. */
export function loggerOptions(
  settings: Pick<Settings, 'logLevel'>,
  target?: LogTarget,
): Exclude<FastifyServerOptions['logger'], boolean | undefined> {
  return {
    level: settings.logLevel,
    ...(target === undefined ? {} : { stream: target }),
    serializers: {
      req: (request: FastifyRequest) => ({ method: request.method, path: pathOf(request.url ?? '') }),
      res: (reply: Pick<FastifyReply, 'statusCode'>) => ({ statusCode: reply.statusCode }),
      err: describeError,
    },
  };
}

/** Anything can be thrown; a value that is no error is logged as its text. */
function describeError(thrown: unknown): { type: string; message: string; stack: string; code?: string } {
  if (!(thrown instanceof Error)) return { type: typeof thrown, message: String(thrown), stack: '' };
  const { name, message, stack = '', code } = thrown as Error & { code?: unknown };
  return { type: name, message, stack, ...(typeof code === 'string' ? { code } : {}) };
}
