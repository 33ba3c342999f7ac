/**
 * The writing side of the model: every write goes straight to the store, in one step with the ledger, which so knows of
 * it before anything else can. It also lets the store lose things, and then knows what is left.
 */

import assert from 'node:assert/strict';
import type { MemoryStore, Snapshot } from '../../src/log/memory/memory-log.ts';
import { type Appended, type Change, sampledChat, type Write } from '../../src/log/room-log.ts';
import type { Entry, Epoch, Role, UserId } from '../../src/model.ts';
import type { FakeClock } from '../rig/fake-clock.ts';
import type { Ledger, Person, What, Written } from '../rig/ledger.ts';
import { type Addressed, room, toAudience } from './cast.ts';
import type { Chronicle } from './chronicle.ts';

const counter = 'likes';
/** A repeat comes well before its key is forgotten. */
const repeatedWithinMs = 500_000;

interface Keyed {
  readonly key: string;
  readonly digest: string;
  readonly position: string;
  readonly atMs: number;
}

/** Who sets rules. The model's staff are moderators: a moderator's ban does not bind them, a host's does. */
export type Ruler = 'moderator' | 'host';

interface Copy {
  readonly snapshot: Snapshot;
  readonly tip: Written | null;
  readonly likes: number;
  readonly bans: ReadonlyMap<string, Ruler>;
  readonly epochs: readonly string[];
}

export class Writers {
  likes = 0;
  /** Who is banned, and by whom. */
  bans = new Map<string, Ruler>();
  /** Bans that the store has lost. A node that heard of one may still go by it until it has seen the loss. */
  readonly #lostBans = new Map<string, Ruler>();
  /** Whether the store has lost entries that it had acknowledged. */
  hasLost = false;
  readonly #store: MemoryStore;
  readonly #clock: FakeClock;
  readonly #ledger: Ledger;
  readonly #chronicle: Chronicle;
  readonly #entriesMax: number;
  #writes = 0;
  #copy: Copy | null = null;
  #keyed: Keyed | null = null;

  constructor(store: MemoryStore, clock: FakeClock, ledger: Ledger, chronicle: Chronicle, entriesMax: number) {
    this.#store = store;
    this.#clock = clock;
    this.#ledger = ledger;
    this.#chronicle = chronicle;
    this.#entriesMax = entriesMax;
  }

  publish(seen: Addressed): void {
    const mark = this.#mark();
    this.#keep(eventOf(mark, seen), { seen, mark, part: null, isEvent: true });
  }

  /** Chat, of which the log leaves out what is more than people can read; by somebody in the room or by a stranger. */
  say(by: string, count: number): void {
    for (let left = count; left > 0; left -= 1) {
      const mark = this.#mark();
      const body = JSON.stringify({ from: { id: by, name: null, role: 'viewer' }, text: mark });
      const answer = this.#write({ type: 'event', kind: 'comment', lane: 'chat', audience: 'all', body });
      if (answer === null) return;
      assert.ok(answer.outcome === 'kept');
      const { offset } = answer.position;
      this.#noteGaps(offset);
      const isSampledOut = this.#entryAt(offset)?.status === 'sampled-out';
      this.#note({
        offset,
        seen: isSampledOut ? { by } : 'all',
        mark,
        part: null,
        isChat: true,
        isEvent: !isSampledOut,
      });
    }
  }

  /** Takes back an event that is kept, so many before the newest one; again changes nothing. */
  retract(back: number): void {
    const { first } = this.#chronicle.moment(this.#clock.now());
    const kept = [...this.#ledger.back()].filter(({ offset, isEvent }) => isEvent && offset >= first);
    const target = kept[back % Math.max(1, kept.length)];
    if (target === undefined) return;
    const mark = this.#mark();
    const body = JSON.stringify({ from: { id: 'writer', name: null, role: 'host' }, id: target.id, text: mark });
    const position = { epoch: target.epoch as Epoch, offset: target.offset };
    const isAgain = this.#ledger.isRetractedIn(target, this.#ledger.tip);
    const answer = this.#write({ type: 'retract', target: position, body });
    if (answer === null) return;
    assert.ok(answer.outcome === 'kept', `${target.id} cannot be taken back`);
    if (isAgain) return;
    const by = this.#note({ offset: answer.position.offset, seen: target.seen, mark, part: null });
    this.#ledger.retract(target, by);
  }

  put(name: string): void {
    const mark = this.#mark();
    const change: Change = { type: 'put', part: name, value: JSON.stringify({ mark }), ifVersion: null };
    this.#keep(change, { seen: 'all', mark, part: { name, mark } });
  }

  remove(name: string): void {
    if (!this.#ledger.stateAt(this.#ledger.tip).has(name)) return;
    const part = { name, mark: null };
    this.#keep({ type: 'remove', part: name, ifVersion: null }, { seen: 'all', mark: '', part });
  }

  /** The same key and body again: the same answer, and nothing is published. */
  repeat(): void {
    const kept = this.#keyed;
    if (kept !== null && this.#clock.now() - kept.atMs < repeatedWithinMs) {
      const again = this.#write(eventOf(kept.digest, 'all'), kept);
      if (again === null) return;
      assert.equal(again.outcome === 'kept' && again.position.offset, Number(kept.position.split('.')[1]));
      return;
    }
    const mark = this.#mark();
    const once = { key: `key ${mark}`, digest: mark };
    const written = this.#keep(eventOf(mark, 'all'), { seen: 'all', mark, part: null }, once);
    if (written !== null) this.#keyed = { ...once, position: written.id, atMs: this.#clock.now() };
  }

  /** The same key with another body is refused. */
  reuse(): void {
    const kept = this.#keyed;
    if (kept === null || this.#clock.now() - kept.atMs >= repeatedWithinMs) return;
    const answer = this.#write(eventOf('another', 'all'), { key: kept.key, digest: 'another' });
    assert.ok(answer === null || answer.outcome === 'refused', 'a key was used for two bodies');
  }

  like(by: number): void {
    const answer = this.#write({ type: 'count', counter, by });
    if (answer === null) return;
    assert.ok(answer.outcome === 'kept');
    this.likes += by;
    this.#ledger.totals.add(this.likes);
    assert.equal(answer.total, this.likes, 'the log counts otherwise');
    this.#noteSum(answer.position.offset);
  }

  /** Bans a person or lifts the ban; null where the log is unavailable, or the ban is a higher role's and stays. */
  rule(kind: 'ban' | 'unban', user: string, role: Ruler): Written | null {
    const mark = this.#mark();
    const seconds = kind === 'ban' ? 0 : null;
    const body = JSON.stringify({ from: { id: 'writer', name: null, role }, user, text: mark });
    const change: Change = { type: 'rule', kind, rule: 'ban', user: user as UserId, seconds, body };
    const answer = this.#write(change, null, role);
    if (answer === null) return null;
    const isRefused = this.bans.get(user) === 'host' && role === 'moderator';
    assert.equal(answer.outcome === 'kept' ? 'kept' : answer.code, isRefused ? 'not-this-role' : 'kept');
    if (answer.outcome !== 'kept') return null;
    if (kind === 'ban') this.bans.set(user, role);
    else this.bans.delete(user);
    return this.#note({ offset: answer.position.offset, seen: { actedOn: user }, mark, part: null });
  }

  isBanned({ id, isStaff }: Person, bans: ReadonlyMap<string, Ruler> = this.bans): boolean {
    const by = bans.get(id);
    return by === 'host' || (by === 'moderator' && !isStaff);
  }

  mayCountAsBanned(person: Person): boolean {
    return this.isBanned(person) || this.isBanned(person, this.#lostBans);
  }

  trim(): void {
    for (let entry = 0; entry < this.#entriesMax; entry += 1) this.publish('all');
  }

  copy(): void {
    const { tip } = this.#ledger;
    const { epochs } = this.#chronicle;
    const snapshot = this.#store.snapshot();
    this.#copy = { snapshot, tip, likes: this.likes, bans: new Map(this.bans), epochs };
  }

  /** The store comes back as the copy that was made: what was written since is lost. */
  loseSince(): void {
    if (this.#copy !== null) this.#comeBack(this.#copy);
  }

  /** The store takes the copy over while everybody stays connected, as a primary that was a replica in between. */
  loseQuietly(): void {
    if (this.#copy !== null) this.#comeBack(this.#copy, (snapshot) => this.#store.demote(snapshot));
  }

  loseAll(): void {
    const snapshot = { rooms: new Map() };
    this.#comeBack({ snapshot, tip: null, likes: 0, bans: new Map(), epochs: [] });
    this.#copy = null;
  }

  /** What was counted becomes state, and what was left out is declared. */
  settle(): void {
    const now = this.#clock.now();
    const at = this.#store.room(room, now);
    at.settle(counter, now);
    this.#noteSum(at.tail(now).offset);
    at.settle(sampledChat, now);
    this.#noteGaps(at.tail(now).offset + 1);
    for (const { seen, leftOut } of this.#ledger.back()) {
      if (leftOut !== undefined) break;
      assert.ok(typeof seen === 'string' || !('by' in seen), 'chat was left out and never declared');
    }
  }

  #comeBack(
    { snapshot, tip, likes, bans, epochs }: Copy,
    restore = (older: Snapshot): void => this.#store.restore(older),
  ): void {
    restore(snapshot);
    this.#ledger.tip = tip;
    this.likes = likes;
    for (const [user, by] of this.bans) if (!bans.has(user)) this.#lostBans.set(user, by);
    this.bans = new Map(bans);
    this.#chronicle.comeBack(epochs);
    this.#keyed = null;
    this.hasLost = true;
  }

  /** A sum that became state is an entry like others. */
  #noteSum(offset: number): void {
    if (offset === (this.#ledger.tip?.offset ?? 0)) return;
    const mark = String(this.likes);
    this.#note({ offset, seen: 'all', mark, part: { name: counter, mark } });
  }

  /** Gaps that the log has declared by itself before an offset. What it left out is judged where the log is tested. */
  #noteGaps(before: number): void {
    for (let offset = (this.#ledger.tip?.offset ?? 0) + 1; offset < before; offset += 1) {
      const entry = this.#entryAt(offset);
      assert.equal(entry?.kind, 'gap', `nobody wrote the entry ${offset}`);
      const { missed } = JSON.parse(entry.body) as { missed: number };
      this.#note({ offset, seen: 'crowd', mark: '', part: null, leftOut: missed });
    }
  }

  #entryAt(offset: number): Entry | undefined {
    return this.#store.room(room, this.#clock.now()).record.entries.list.findLast((entry) => entry.offset === offset);
  }

  #keep(change: Change, what: What, once: Write['once'] = null): Written | null {
    const answer = this.#write(change, once);
    if (answer === null) return null;
    assert.ok(answer.outcome === 'kept', `a write was refused: ${JSON.stringify(answer)}`);
    return this.#note({ offset: answer.position.offset, ...what });
  }

  #note({ offset, ...what }: What & Pick<Written, 'offset'>): Written {
    const written = this.#ledger.add(`${this.#chronicle.epoch}.${offset}`, what);
    this.#chronicle.note(written, this.#clock.now());
    return written;
  }

  /** Null where the log is unavailable. */
  #write(change: Change, once: Write['once'] = null, role: Role = 'host'): Appended | null {
    if (this.#store.failure !== null) return null;
    const now = this.#clock.now();
    const at = this.#store.room(room, now);
    this.#chronicle.see(at.record.epoch, at.record.lineage.length);
    const given = once === null ? null : { key: once.key, digest: once.digest };
    return at.append({ room, by: 'writer' as UserId, role, once: given, rate: null, mutable: false, change }, now);
  }

  #mark(): string {
    this.#writes += 1;
    return `mark ${this.#writes}`;
  }
}

const eventOf = (text: string, seen: Addressed): Change => ({
  type: 'event',
  kind: 'note',
  lane: 'must',
  audience: toAudience(seen),
  body: JSON.stringify({ text }),
});
