/**
 * What was really published: one record per acknowledged write, in the order in which the log took them, with the
 * history that each was written on. Shares no code with the gateway. Where the log comes back as an older copy, the
 * history forks; records of the lost branch stay known, for viewers may have seen them.
 */

import assert from 'node:assert/strict';

/**
 * Who may see a record, said independently of the gateway's own gate. `by`: chat that is left out for all but its author
 * and staff; `crowd`: all but staff, who were told of what was left out for the crowd; `actedOn`: that person and staff.
 */
export type Seen =
  | 'all'
  | 'staff'
  | 'crowd'
  | { readonly tag: string }
  | { readonly users: readonly string[] }
  | { readonly by: string }
  | { readonly actedOn: string };

export interface Person {
  readonly id: string;
  readonly isStaff: boolean;
  readonly tags: readonly string[];
}

export interface Written {
  readonly id: string;
  readonly epoch: string;
  readonly offset: number;
  readonly seen: Seen;
  /** What tells this write from all others: it must come out as it went in. */
  readonly mark: string;
  /** Set for a change of state: the part, and its mark (null: removed). */
  readonly part: { readonly name: string; readonly mark: string | null } | null;
  /** May be left out for who is slow. */
  readonly isChat?: boolean;
  /** Set for a gap that the log itself declares: how much chat it left out since the one before. */
  readonly leftOut?: number;
  /** Can be taken back: neither state, nor a rule, nor what others count. */
  readonly isEvent?: boolean;
  /** The record before it in its history; null for the first. */
  readonly before: Written | null;
}

/** What a write says of itself. */
export type What = Pick<Written, 'seen' | 'mark' | 'part' | 'isChat' | 'leftOut' | 'isEvent'>;

export function maySee(seen: Seen, person: Person): boolean {
  if (seen === 'all') return true;
  if (seen === 'staff') return person.isStaff;
  if (seen === 'crowd') return !person.isStaff;
  if ('by' in seen) return person.isStaff || seen.by === person.id;
  if ('actedOn' in seen) return person.isStaff || seen.actedOn === person.id;
  if ('tag' in seen) return person.tags.includes(seen.tag);
  return seen.users.includes(person.id);
}

export const splitId = (id: string): { epoch: string; offset: number } => {
  const [epoch = '', offset = ''] = id.split('.');
  return { epoch, offset: Number(offset) };
};

export class Ledger {
  readonly #byId = new Map<string, Written>();
  /** What an epoch began on, for ids that name no record of their own. */
  readonly #bases = new Map<string, Written | null>();
  readonly #retractions = new Map<Written, Written>();
  /** The last record of the history that the log has now. */
  tip: Written | null = null;
  /** Every total that the counter of likes ever had; empty where a test has none. */
  readonly totals = new Set<number>();

  /** An acknowledged write. */
  add(id: string, what: What): Written {
    assert.ok(!this.#byId.has(id), `two writes were given the id ${id}`);
    const { epoch, offset } = splitId(id);
    const expected = (this.tip?.offset ?? 0) + 1;
    assert.equal(offset, expected, `the write ${id} should have the offset ${expected}`);
    this.learn(epoch);
    const written = { id, epoch, offset, ...what, before: this.tip };
    this.#byId.set(id, written);
    this.tip = written;
    return written;
  }

  /** An epoch was named for the first time: it stands on what the log has now. */
  learn(epoch: string): void {
    if (!this.#bases.has(epoch)) this.#bases.set(epoch, this.tip);
  }

  /** A record was taken back by a later one. */
  retract(record: Written, by: Written): void {
    this.#retractions.set(record, by);
  }

  /** Whether a record was ever taken back: from then on nobody has a claim to it. */
  isRetracted(record: Written): boolean {
    return this.#retractions.has(record);
  }

  /** Whether it was in a history. */
  isRetractedIn(record: Written, tip: Written | null): boolean {
    const by = this.#retractions.get(record);
    return by !== undefined && this.isBehind(by, tip);
  }

  /** The record that an id points at, by the history that its epoch knew; null for the time before the first. */
  resolve(id: string): Written | null {
    const own = this.#byId.get(id);
    if (own !== undefined) return own;
    const { epoch, offset } = splitId(id);
    const base = this.#bases.get(epoch);
    assert.ok(base !== undefined, `nobody has heard of the epoch of ${id}`);
    for (let record = base; record !== null; record = record.before) if (record.offset <= offset) return record;
    return null;
  }

  /** The history up to a record, newest first. */
  *back(from: Written | null = this.tip): Generator<Written> {
    for (let record = from; record !== null; record = record.before) yield record;
  }

  /** Whether `old` is in the history of `record`. */
  isBehind(old: Written | null, record: Written | null): boolean {
    if (old === null) return true;
    for (const one of this.back(record)) if (one === old) return true;
    return false;
  }

  /** What lies between two records of one history, the newer one included. */
  between(after: Written | null, upTo: Written | null): Written[] {
    const found: Written[] = [];
    for (const record of this.back(upTo)) {
      if (record === after || (after !== null && record.offset <= after.offset)) break;
      found.push(record);
    }
    return found;
  }

  /** The state after a record: part to mark. */
  stateAt(record: Written | null): Map<string, { mark: string; version: number }> {
    const state = new Map<string, { mark: string; version: number }>();
    const decided = new Set<string>();
    for (const { part, offset } of this.back(record)) {
      if (part === null || decided.has(part.name)) continue;
      decided.add(part.name);
      if (part.mark !== null) state.set(part.name, { mark: part.mark, version: offset });
    }
    return state;
  }
}
