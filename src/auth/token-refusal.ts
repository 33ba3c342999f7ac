/**
 * Why a token was refused. The client learns only that it is bad. The operator gets a counter by reason and a line at
 * level debug; neither holds anything of the token.
 */

import { Refusal, type RefusalCode } from '../errors.ts';

/**
 * `absent`: a token is required. `malformed`: no JWT, or too long. `algorithm`: not accepted. `key`: no key for it.
 * `signature`: not by that key. `expired`, `early`: by `exp` and `nbf`. `issuer`, `audience`: another one is required.
 * `dates`: `exp`, `nbf` or `iat` is impossible. `claims`: another claim is missing or malformed. `room`: valid, but not
 * for this room. `origin`: a cookie sent by a page of another site.
 */
export const tokenFaults = [
  ...(['absent', 'malformed', 'algorithm', 'key', 'signature', 'expired', 'early'] as const),
  ...(['issuer', 'audience', 'dates', 'claims', 'room', 'origin'] as const),
];
export type TokenFault = (typeof tokenFaults)[number];

export class TokenRefusal extends Refusal {
  readonly fault: TokenFault;

  constructor(fault: TokenFault, code: RefusalCode = 'unauthorized', detail: string = unauthorizedDetail) {
    super(code, detail);
    this.fault = fault;
  }
}

/** The same for every fault. */
export const unauthorizedDetail = 'Send a valid, unexpired token as `Authorization: Bearer`.';

/** By the messages of @fastify/jwt and fast-jwt, because their codes say less. They never leave this file. */
const byMessage: readonly (readonly [RegExp, TokenFault])[] = [
  [/token algorithm/, 'algorithm'],
  [/signature is invalid|signature is missing|unsigned/i, 'signature'],
  [/\b(?:exp|nbf|iat) claim/, 'dates'],
  [/\biss claim/, 'issuer'],
  [/\baud claim/, 'audience'],
  [/claim/, 'claims'],
  [/key/i, 'key'],
];

/** The fault that the library's error stands for. */
export function faultOf(error: unknown): TokenFault {
  const { code, message = '' } = error as { code?: string; message?: string };
  if (code === 'FST_JWT_AUTHORIZATION_TOKEN_EXPIRED') return 'expired';
  if (code === 'FAST_JWT_INACTIVE') return 'early';
  if (error instanceof RangeError) return 'dates';
  return byMessage.find(([pattern]) => pattern.test(message))?.[1] ?? 'malformed';
}
