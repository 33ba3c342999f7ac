/**
 * The one place that turns a refusal into an answer: RFC 9457 problem details, with a code that never changes its meaning.
 * An unexpected error is answered `internal` and logged; nothing of it reaches the client.
 */

import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Refusal, type RefusalCode, refusals } from '../errors.ts';

/** One fault of a request: what, and where (a JSON pointer as a URI fragment, RFC 6901). */
export interface Fault {
  readonly pointer: string;
  readonly detail: string;
}

/** A request whose shape is wrong, with every fault that was found. */
export class ShapeRefusal extends Refusal {
  readonly faults: readonly Fault[];

  constructor(detail: string, faults: readonly Fault[]) {
    super('malformed', detail);
    this.faults = faults;
  }
}

export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly body: string;
  /** Whether this is a bug, to be logged. */
  readonly isBug: boolean;
}

/** The answer to an error. `requestId` links a report of a bug to its log line. */
export function describeProblem(error: unknown, requestId: string): Problem {
  const refusal = toRefusal(error);
  const { code, status, extras } = refusal;
  const isBug = code === 'internal';
  const headers: Record<string, string> = {
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  };
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  if (status === 429 || status === 503)
    headers['retry-after'] = String(Math.max(1, Math.ceil(extras.retryAfterS ?? 1)));
  const body = JSON.stringify({
    type: `urn:ringside:problem:${code}`,
    title: refusals[code].title,
    status,
    detail: refusal.message,
    code,
    ...(isBug ? { instance: `urn:ringside:request:${requestId}` } : {}),
    ...(extras.version === undefined ? {} : { version: extras.version }),
    ...(refusal instanceof ShapeRefusal ? { errors: refusal.faults } : {}),
  });
  return { status, headers, body, isBug };
}

export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = describeProblem(error, request.id);
  if (problem.isBug) request.log.error({ err: error }, 'request failed: internal error');
  return reply.code(problem.status).headers(problem.headers).send(problem.body);
}

/**
 * Registers the error and not-found answers. Call it on the root instance before any route: it listens for routes to
 * tell a wrong method from a wrong path. `sendProblem` is also what `fastify({ frameworkErrors })` wants.
 */
export function registerProblems(app: FastifyInstance): void {
  const paths = new Map<string, { readonly pattern: RegExp; readonly methods: Set<string> }>();
  app.addHook('onRoute', ({ url, method }) => {
    // A wildcard would claim every path below it.
    if (url.includes('*')) return;
    const known = paths.get(url) ?? { pattern: patternOf(url), methods: new Set() };
    for (const one of [method].flat()) known.methods.add(one);
    paths.set(url, known);
  });
  app.setErrorHandler(sendProblem);
  const refuse = (request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    const path = request.url.split('?', 1)[0] ?? '';
    const known = [...paths.values()].find(({ pattern }) => pattern.test(path));
    if (known === undefined || known.methods.has(request.method)) {
      return sendProblem(new Refusal('not-found', 'Nothing is served at this path.'), request, reply);
    }
    const methods = [...known.methods].sort().join(', ');
    reply.header('allow', methods);
    return sendProblem(new Refusal('method-not-allowed', `This path allows ${methods}.`), request, reply);
  };
  app.setNotFoundHandler(refuse);
  // Before the body is read, whose faults do not matter here.
  app.addHook('preParsing', async (request, reply) => {
    if (request.is404) return void (await refuse(request, reply));
  });
}

const patternOf = (url: string): RegExp =>
  new RegExp(`^${url.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/:[A-Za-z]+/g, '[^/]+')}$`);

/** Refusals of libraries, by status. Their messages stay inside, because they may quote the request. */
const byStatus: Readonly<Record<number, readonly [RefusalCode, string]>> = {
  400: ['malformed', 'The request cannot be parsed.'],
  // A path that leads out of the folder of the pages.
  403: ['not-found', 'Nothing is served at this path.'],
  404: ['not-found', 'Nothing is served at this path.'],
  413: ['too-large', 'The body must not exceed 16384 bytes.'],
  414: ['malformed', 'A segment of the path is too long.'],
  415: ['unsupported-media-type', 'Send the body with `Content-Type: application/json`.'],
};

function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof Error) {
    const { validation, validationContext, statusCode, code } = error as Partial<FastifyError>;
    if (validation !== undefined) {
      const where = validationContext ?? 'request';
      return new ShapeRefusal(`The ${where} is not valid.`, faultsOf(validation));
    }
    if (code?.startsWith('FST_ERR_CTP_') && statusCode === 400) {
      return new Refusal('malformed', 'The body must be one JSON value.');
    }
    const isClients = statusCode !== undefined && statusCode >= 400 && statusCode < 500;
    const known = isClients ? (byStatus[statusCode] ?? byStatus[400]) : undefined;
    if (known !== undefined) return new Refusal(...known);
  }
  return new Refusal('internal', 'The error is not in the request. It was logged; a retry may succeed.');
}

const faultsMax = 16;
/** A plausible field name. */
const fieldName = /^[\w.-]{1,32}$/;

/** A pointer up to the first implausible name: a token pasted into the wrong place is not sent back. */
function namedIn(instancePath: string): string {
  const names = instancePath.split('/');
  const strange = names.findIndex((name, at) => at > 0 && !fieldName.test(name));
  return strange === -1 ? instancePath : names.slice(0, strange).join('/');
}

interface SchemaError {
  readonly instancePath: string;
  readonly keyword?: string | undefined;
  readonly message?: string | undefined;
}

/** Faults in the words of a schema check. An unknown field is named itself, not the object that holds it. */
export function faultsOf(errors: readonly SchemaError[]): readonly Fault[] {
  const isUnknown = ({ message }: SchemaError): boolean => message === 'schema is false';
  const namesUnknown = errors.some(isUnknown);
  return errors
    .filter(({ keyword }) => !(namesUnknown && keyword === 'additionalProperties'))
    .slice(0, faultsMax)
    .map((error) => ({
      pointer: `#${namedIn(error.instancePath)}`,
      detail: isUnknown(error) ? 'is not a known field' : (error.message ?? 'is not valid'),
    }));
}
