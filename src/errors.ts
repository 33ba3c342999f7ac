/**
 * The catalogue of refusals. A refusal answers a request (RFC 9457 problem+json, with a code that never changes its
 * meaning). What ends a stream is listed in `stream/viewer.ts`; anything else that goes wrong is a bug.
 * `docs/protocol.md` lists both; a test compares.
 */

export const refusals = {
  malformed: { status: 400, title: 'The request is malformed' },
  'reserved-name': { status: 400, title: 'The name is reserved' },
  unauthorized: { status: 401, title: 'A valid token is required' },
  'not-this-room': { status: 403, title: 'The token does not name this room' },
  'not-this-role': { status: 403, title: 'The role does not allow this' },
  'cross-site': { status: 403, title: 'The admin port refuses other hosts and sites' },
  'origin-refused': { status: 403, title: 'The origin is not allowed' },
  muted: { status: 403, title: 'The user is muted in this room' },
  banned: { status: 403, title: 'The user is banned from this room' },
  'not-found': { status: 404, title: 'Not found' },
  'unknown-kind': { status: 404, title: 'Unknown action' },
  'method-not-allowed': { status: 405, title: 'The method is not allowed' },
  'room-ended': { status: 409, title: 'The room has ended' },
  'state-full': { status: 409, title: 'The room has reached its limit of state parts' },
  'rules-full': { status: 409, title: 'The room has reached its limit of bans and mutes' },
  'version-conflict': { status: 412, title: 'The state part has another version' },
  'too-slow': { status: 408, title: 'The request took too long to arrive' },
  'too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': { status: 415, title: 'The body must be application/json' },
  'expectation-failed': { status: 417, title: 'The expectation is not supported' },
  'key-reused': { status: 422, title: 'The idempotency key was used for another request' },
  'head-too-large': { status: 431, title: 'The request head is too large' },
  'rate-limited': { status: 429, title: 'Rate limit exceeded' },
  internal: { status: 500, title: 'Internal error' },
  'log-unavailable': { status: 503, title: 'The room log is unavailable; nothing was written; retry' },
  'outcome-unknown': { status: 503, title: 'The write may have been logged; retry with the same idempotency key' },
  overloaded: { status: 503, title: 'The gateway is at a limit; retry later' },
} as const satisfies Record<string, { status: number; title: string }>;

export type RefusalCode = keyof typeof refusals;

/** What a refusal may add: `retryAfterS` becomes the header of that name; `version` the current version of a part. */
export interface RefusalExtras {
  readonly retryAfterS?: number;
  readonly version?: number;
}

/** An expected "no". Thrown or returned by whoever decides; turned into an answer in one place, `http/problem`. */
export class Refusal extends Error {
  readonly code: RefusalCode;
  readonly status: number;
  readonly extras: RefusalExtras;

  constructor(code: RefusalCode, detail: string, extras: RefusalExtras = {}) {
    super(detail);
    this.name = 'Refusal';
    this.code = code;
    this.status = refusals[code].status;
    this.extras = extras;
  }
}
