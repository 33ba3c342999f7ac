/**
 * What an id is worth, worked out from the ledger alone: which histories the log has been through, and what it still
 * keeps by count and by age. It shares no code with the gateway, so a wrong verdict has somebody to contradict it.
 */

import assert from 'node:assert/strict';
import { type Ledger, maySee, type Person, splitId, type Written } from '../rig/ledger.ts';
import type { Resume } from '../rig/oracle.ts';

/** The log as it was when it answered. */
export interface Moment {
  readonly epoch: string;
  /** The epochs whose ids mean something, the present one among them. */
  readonly epochs: readonly string[];
  readonly tip: Written | null;
  /** The oldest offset that is kept; one more than the tip's where nothing is. */
  readonly first: number;
}

export interface Expected {
  readonly verdict: Resume['verdict'];
  readonly to: number;
  readonly missed: number | null;
  readonly cause: string | null;
}

export interface Keeping {
  readonly entries: number;
  readonly ttlMs: number;
  readonly replayMax: number;
}

/** How many former epochs the protocol lets a log remember. */
const formerMax = 16;
/** How much further than asked history is looked for. */
const lookback = 4;

export class Chronicle {
  readonly #ledger: Ledger;
  readonly #keeping: Keeping;
  readonly #writtenAtMs = new Map<Written, number>();
  #epochs: string[] = [];
  /** Whether the next call may find another epoch. */
  mayRename = true;
  hasBegunAnew = false;

  constructor(ledger: Ledger, keeping: Keeping) {
    this.#ledger = ledger;
    this.#keeping = keeping;
  }

  get epoch(): string {
    return this.#epochs.at(-1) ?? '';
  }

  get epochs(): readonly string[] {
    return this.#epochs;
  }

  /** The log has come back with these epochs of its past, or with none. */
  comeBack(epochs: readonly string[]): void {
    this.#epochs = [...epochs];
    this.mayRename = true;
  }

  /** The epoch that the log has now, and how many it says came before. */
  see(epoch: string, former: number): void {
    if (this.#epochs.at(-1) === epoch) return;
    // A room that nobody ever wrote is forgotten when it has been left alone, and begins anew.
    if (this.#ledger.tip === null && former === 0 && this.#epochs.length > 0) {
      this.#epochs = [];
      this.hasBegunAnew = true;
    } else assert.ok(this.mayRename, `the epoch became ${epoch}, and nothing had happened to the log`);
    assert.ok(!this.#epochs.includes(epoch), `the epoch ${epoch} came back`);
    this.mayRename = false;
    this.#epochs = [...this.#epochs, epoch].slice(-formerMax - 1);
    this.#ledger.learn(epoch);
  }

  note(written: Written, nowMs: number): void {
    this.#writtenAtMs.set(written, nowMs);
  }

  moment(nowMs: number): Moment {
    const { tip } = this.#ledger;
    let first = (tip?.offset ?? 0) + 1;
    let kept = 0;
    for (const record of this.#ledger.back(tip)) {
      const atMs = this.#writtenAtMs.get(record) ?? 0;
      if (kept >= this.#keeping.entries || atMs <= nowMs - this.#keeping.ttlMs) break;
      kept += 1;
      first = record.offset;
    }
    return { epoch: this.epoch, epochs: this.#epochs, tip, first };
  }

  expect(from: string | null, { epochs, tip, first }: Moment): Expected {
    const last = tip?.offset ?? 0;
    if (from === null) return { verdict: 'fresh', to: last, missed: 0, cause: null };
    if (!epochs.includes(splitId(from).epoch)) return { verdict: 'reset', to: last, missed: null, cause: null };
    const had = this.#ledger.resolve(from);
    const common = this.#shared(had, tip);
    const isLost = common !== had;
    const had0 = had?.offset ?? 0;
    const kept = Math.max(isLost ? (common?.offset ?? 0) : had0, first - 1, last - this.#keeping.replayMax);
    if (isLost) return { verdict: 'gap', to: kept, missed: null, cause: 'failover' };
    if (kept > had0) return { verdict: 'gap', to: kept, missed: kept - had0, cause: 'trimmed' };
    return { verdict: 'exact', to: had0, missed: 0, cause: null };
  }

  /** Where a first visit that wants `count` events begins, by what was kept, and not taken back, when they were looked for. */
  historyStart(person: Person, count: number, { tip }: Moment, look: Moment): number {
    const last = tip?.offset ?? 0;
    const after = Math.max(look.first - 1, last - count * lookback);
    let start = last;
    let found = 0;
    for (const record of this.#ledger.back(tip)) {
      const { offset, seen, part, leftOut } = record;
      if (offset <= after || found === count) break;
      if (part !== null || leftOut !== undefined || !maySee(seen, person)) continue;
      if (this.#ledger.isRetractedIn(record, look.tip)) continue;
      found += 1;
      start = offset - 1;
    }
    return start;
  }

  /** The newest record that two histories have in common. */
  #shared(one: Written | null, other: Written | null): Written | null {
    for (const record of this.#ledger.back(one)) if (this.#ledger.isBehind(record, other)) return record;
    return null;
  }
}
