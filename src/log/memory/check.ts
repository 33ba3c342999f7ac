/**
 * Why the embedded log refuses a write in the present state of the room. Runs before anything is written, and changes
 * nothing except trims that are due. `log/memory/room` handles repeats.
 */

import type { UserId } from '../../model.ts';
import { type Appended, type Change, type IfVersion, type Rate, takenAfterEnd, type Write } from '../room-log.ts';
import { type MemoryLimits, type RoomRecord, trimRoom, waitForRate } from './record.ts';
import { findRetractable } from './retract.ts';
import { isBound, whyNotRule } from './rules.ts';

export type Refused = Extract<Appended, { outcome: 'refused' }>;

export const refuse = (code: Refused['code'], more: Partial<Refused> = {}): Refused => ({
  outcome: 'refused',
  code,
  retryAfterMs: 0,
  version: 0,
  ...more,
});

export const rateKey = ({ name }: Rate, by: UserId): string => `${name} ${by}`;

/** The first reason to refuse the write, or null. A refused write leaves no trace and takes no token. */
export function checkWrite(record: RoomRecord, write: Write, limits: MemoryLimits, now: number): Refused | null {
  const { by, role, rate, change } = write;
  const { rules, ended, rates } = record;
  if (ended && !takenAfterEnd.has(change.type)) return refuse('room-ended');
  if (isBound(rules, 'ban', { id: by, role }, now)) return refuse('banned');
  if (write.mutable && isBound(rules, 'mute', { id: by, role }, now)) return refuse('muted');
  const retryAfterMs = rate === null ? 0 : waitForRate(rates, rateKey(rate, by), rate, now);
  if (retryAfterMs > 0) return refuse('rate-limited', { retryAfterMs });
  if (change.type !== 'rule') return checkChange(record, change, limits, now);
  const code = whyNotRule(rules, change, role, limits.rulesMax, now);
  return code === null ? null : refuse(code);
}

function checkChange(record: RoomRecord, change: Change, limits: MemoryLimits, now: number): Refused | null {
  if (change.type === 'retract') {
    trimRoom(record, limits, now);
    return findRetractable(record, change.target) === null ? refuse('not-found') : null;
  }
  if (change.type !== 'put' && change.type !== 'remove') return null;
  const version = versionOf(record, change.part);
  const { ifVersion } = change;
  if (change.type === 'remove' && version === 0 && ifVersion !== 'any') return refuse('not-found');
  if (!isMet(ifVersion, version)) return refuse('version-conflict', { version });
  return change.type === 'put' && isOneTooMany(record, change.part, limits, now) ? refuse('state-full') : null;
}

const isMet = (ifVersion: IfVersion, version: number): boolean =>
  ifVersion === null || (ifVersion === 'any' ? version > 0 : ifVersion === version);

/** The version of a part; 0 if there is none. */
function versionOf({ parts }: RoomRecord, part: string): number {
  const known = parts.get(part);
  return known === undefined || known.value === null ? 0 : known.version;
}

/** Removed parts that readers may still ask for count too: they are kept and sent like the others. */
function isOneTooMany(record: RoomRecord, part: string, limits: MemoryLimits, now: number): boolean {
  const { parts } = record;
  if (parts.has(part) || parts.size < limits.statePartsMax) return false;
  trimRoom(record, limits, now);
  return parts.size >= limits.statePartsMax;
}
