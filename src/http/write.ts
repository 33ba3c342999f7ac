/** Shared by the writing routes: the idempotency key of a request, and the log's outcome as a refusal. */

import { hash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { Refusal } from '../errors.ts';
import type { Appended, Rate, RoomLog, Write } from '../log/room-log.ts';

/** The entry that a write became. */
type Kept = Extract<Appended, { outcome: 'kept' }>;

const bareKey = /^[\x21\x23-\x7e][\x20-\x7e]*$/;
/** A string of RFC 8941: quoted, and inside it only the quote and the backslash are escaped. */
const quotedKey = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;
const keyLengthMax = 128;

/**
 * The request's `Idempotency-Key`; null if it has none. The draft standard writes the key as a quoted string, most clients
 * write it bare: both are the same key.
 * @throws {Refusal} `malformed`
 */
export function readKey(request: FastifyRequest): string | null {
  const sent = request.headers['idempotency-key'];
  if (sent === undefined) return null;
  const text = String(sent).trim();
  const quoted = quotedKey.exec(text)?.[1]?.replace(/\\(.)/g, '$1');
  const key = quoted ?? (bareKey.test(text) ? text : '');
  if (key.length >= 1 && key.length <= keyLengthMax) return key;
  throw new Refusal('malformed', `Idempotency-Key must have 1 to ${keyLengthMax} printable ASCII characters.`);
}

/**
 * Makes a repeat harmless: the key, and a digest of the request's meaning, which tells another request from the same.
 * `asked` returns everything that the meaning depends on, in canonical form.
 */
export function once(key: string | null, asked: () => readonly string[]): Write['once'] {
  if (key === null) return null;
  // As a JSON list, two different requests never look the same.
  return { key, digest: hash('sha256', JSON.stringify(asked()), 'base64url') };
}

/** At any scale one write must fit into the burst; otherwise it would never pass. */
export const scaleRate = (rate: Rate, percent: number): Rate => ({
  ...rate,
  burst: Math.max(rate.cost, (rate.burst * percent) / 100),
  perSecond: (rate.perSecond * percent) / 100,
});

/**
 * Appends a write.
 * @throws {Refusal} the log's, or the one that its answer stands for.
 */
export async function append(log: Pick<RoomLog, 'append'>, write: Write): Promise<Kept> {
  const appended = await log.append(write);
  if (appended.outcome === 'kept') return appended;
  const { code, retryAfterMs, version } = appended;
  const { change } = write;
  switch (code) {
    case 'rate-limited':
      throw new Refusal(code, 'Retry after the time in Retry-After.', {
        retryAfterS: Math.max(1, Math.ceil(retryAfterMs / 1000)),
      });
    case 'version-conflict':
      throw new Refusal(
        code,
        version === 0 ? 'The state part does not exist.' : `The state part has version ${version}.`,
        {
          version,
        },
      );
    default:
      throw new Refusal(code, code === 'not-found' && change.type === 'retract' ? noSuchEvent : details[code]);
  }
}

const noSuchEvent = 'The room log holds no retractable event with this id.';
const details = {
  banned: 'The user is banned from this room.',
  muted: 'The user is muted in this room.',
  'room-ended': 'The room has ended. Only moderation is allowed.',
  'key-reused': 'This Idempotency-Key was used for another request within the last 10 minutes.',
  'state-full': 'Remove a state part before adding one.',
  'not-found': 'The state part does not exist.',
  'not-this-role': 'A higher role set this rule.',
  'rules-full': 'Lift a ban or mute before setting another.',
} as const;
