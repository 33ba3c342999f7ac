/**
 * How the embedded log retracts events: which ones can be retracted, and the tombstone that remains.
 * Only the rules, on plain values that a snapshot includes; `log/memory/room` numbers and publishes the retraction.
 */

import type { Entry } from '../../model.ts';
import { formatPosition, type Position, parsePosition } from '../position.ts';
import { type Change, lastingKinds } from '../room-log.ts';
import { keptAt, type NewEntry, type RoomRecord, replaceKept } from './record.ts';

/** The entry that an id names, if it is kept and of a kind that can be retracted; it may be a tombstone already. */
export function findRetractable(record: RoomRecord, { epoch, offset }: Position): Entry | null {
  const entry = keptAt(record, offset);
  return entry === undefined || entry.epoch !== epoch || lastingKinds.has(entry.kind) ? null : entry;
}

/**
 * Replaces an event with a tombstone and notifies its audience. If it was retracted earlier, returns where and when.
 * `add` numbers and publishes an entry, and returns how many of its targets are connected.
 */
export function retract(
  record: RoomRecord,
  { target, body }: Extract<Change, { type: 'retract' }>,
  add: (entry: NewEntry) => number,
): { connected?: number; position?: Position; at?: number } {
  const entry = findRetractable(record, target);
  if (entry === null) return {};
  if (entry.status === 'tombstone') return retractionOf(record, entry);
  // Before `add`, which may trim the entry.
  makeTombstone(record, entry, { epoch: record.epoch, offset: record.offset + 1 });
  const connected = add({ kind: 'retract', lane: 'must', audience: entry.audience, body });
  if (entry.audience === 'all') record.retracted = record.offset;
  return { connected };
}

/** Keeps only an entry's position, time, kind and audience, and the id of the entry that retracted it. */
function makeTombstone(
  record: RoomRecord,
  { epoch, offset, at, kind, status, audience: whose }: Entry,
  by: Position,
): void {
  const audience = status === 'sampled-out' ? 'staff' : whose;
  const body = JSON.stringify({ by: formatPosition(by) });
  replaceKept(record, { epoch, offset, at, kind, lane: 'chat', status: 'tombstone', audience, body });
}

/** Where and when a tombstone was retracted. The `retract` entry is younger, so it is kept as long as the tombstone. */
function retractionOf(record: RoomRecord, tombstone: Entry): { position?: Position; at?: number } {
  const position = parsePosition((JSON.parse(tombstone.body) as { by: string }).by);
  const retraction = position === null ? undefined : keptAt(record, position.offset);
  return retraction === undefined || position === null ? {} : { position, at: retraction.at };
}
