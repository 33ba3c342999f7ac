/**
 * A small world for the model test: two nodes with real hubs on one embedded store, on a clock that is moved by hand,
 * and viewers on sockets that can stall. Calls to the log take a seeded number of turns, before and after they are
 * carried out, so that everything that can overtake something else does.
 */

import assert from 'node:assert/strict';
import { Refusal } from '../../src/errors.ts';
import type { From } from '../../src/hub/catch-up.ts';
import { Hub } from '../../src/hub/hub.ts';
import { MemoryStore, type Snapshot } from '../../src/log/memory-log.ts';
import { parsePosition } from '../../src/log/position.ts';
import type { Change, RoomLog, Write } from '../../src/log/room-log.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import type { Audience, Identity, RoomId, UserId } from '../../src/signal.ts';
import { FakeClock } from '../helpers/fake-clock.ts';
import { FakeSocket } from '../helpers/fake-socket.ts';
import { Ledger, type Person, type Seen, type Written } from '../helpers/ledger.ts';
import { Watcher } from '../helpers/watcher.ts';

const room = 'model' as RoomId;

export const people: readonly Person[] = [
  { id: 'ann', isStaff: false, tags: [] },
  { id: 'bob', isStaff: false, tags: ['gold'] },
  { id: 'cat', isStaff: true, tags: [] },
  { id: 'dan', isStaff: true, tags: ['gold', 'blue'] },
  { id: 'eve', isStaff: false, tags: ['blue'] },
];

export const limits = { entries: 25, ttlMs: 600_000 };

/** Small numbers from a seed: the same run for the same seed. */
export function dice(seed: number): (sides: number) => number {
  let state = seed >>> 0;
  return (sides) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Seat {
  readonly watcher: Watcher;
  readonly person: Person;
  socket: FakeSocket | null;
  isComing: boolean;
  /** Settled when the hub has decided about the last visit. */
  arriving: Promise<void>;
}

export class World {
  readonly clock = new FakeClock();
  readonly ledger = new Ledger();
  readonly settings: Settings;
  readonly seats: readonly Seat[];
  readonly faults: unknown[] = [];
  /** Nodes that follow the room and have not let it go again. */
  readonly following = new Set<RoomLog>();
  /** Whether anything happened since the last look that may cost a viewer entries. */
  hasLost = false;
  likes = 0;
  #store: MemoryStore;
  #logs: RoomLog[];
  #hubs: Hub[];
  #roll: (sides: number) => number;
  #writes = 0;
  #copy: { snapshot: Snapshot; tip: Written | null; likes: number } | null = null;
  #keyed: { key: string; digest: string; mark: string; id: string; atMs: number } | null = null;

  constructor(seed: number) {
    this.#roll = dice(seed);
    this.settings = readSettings({
      LOG_ENTRIES_MAX: String(limits.entries),
      LOG_TTL_S: String(limits.ttlMs / 1000),
      TAPE_BYTES_MAX: '1024',
      VIEWER_BYTES_MAX: '4096',
      LINGER_MS: '1000',
      RENEW_MS: '1000',
      HEARTBEAT_MS: '5000',
    });
    this.#store = new MemoryStore(this.settings, this.clock);
    this.#logs = ['one', 'two'].map((name) => this.#slow(this.#store.open(name)));
    this.#hubs = this.#logs.map((log) => new Hub(log, this.settings, this.clock, (error) => this.faults.push(error)));
    this.seats = people.map((person) => ({
      ...{ person, watcher: new Watcher(person, this.ledger), socket: null, isComing: false },
      arriving: Promise.resolve(),
    }));
  }

  // What happens in the world.

  async publish(seen: Seen): Promise<void> {
    const mark = this.#mark();
    const change: Change = {
      ...{ type: 'event', kind: 'note', lane: 'must', audience: toAudience(seen) },
      body: JSON.stringify({ text: mark }),
    };
    const id = await this.#write(change);
    if (id !== null) this.ledger.add(id, { seen, mark, part: null });
  }

  async put(name: string): Promise<void> {
    const mark = this.#mark();
    const id = await this.#write({ type: 'put', part: name, value: JSON.stringify({ mark }), ifVersion: null });
    if (id !== null) this.ledger.add(id, { seen: 'all', mark, part: { name, mark } });
  }

  async remove(name: string): Promise<void> {
    if (!this.ledger.stateAt(this.ledger.tip).has(name)) return;
    const id = await this.#write({ type: 'remove', part: name, ifVersion: null });
    if (id !== null) this.ledger.add(id, { seen: 'all', mark: '', part: { name, mark: null } });
  }

  /** The same key and body again, over whatever node: the same answer, and nothing is published. */
  async repeat(): Promise<void> {
    const kept = this.#keyed;
    if (kept !== null && this.clock.now() - kept.atMs < 500_000) {
      const again = await this.#append({ text: kept.mark }, kept);
      if (again !== null) assert.equal(again, kept.id, 'a repeat gets the first answer');
      return;
    }
    const mark = this.#mark();
    const once = { key: `key-${mark}`, digest: mark };
    const id = await this.#append({ text: mark }, once);
    if (id === null) return;
    this.ledger.add(id, { seen: 'all', mark, part: null });
    this.#keyed = { ...once, mark, id, atMs: this.clock.now() };
  }

  /** The same key with another body is refused. */
  async reuse(): Promise<void> {
    const kept = this.#keyed;
    if (kept === null || this.clock.now() - kept.atMs >= 500_000) return;
    const id = await this.#append({ text: 'another' }, { key: kept.key, digest: 'another' });
    assert.ok(id === null || id === 'key-reused', `a key was used for two bodies, and answered ${id}`);
  }

  async trim(): Promise<void> {
    for (let entry = 0; entry < limits.entries; entry += 1) await this.publish('all');
  }

  copy(): void {
    this.#copy = { snapshot: this.#store.snapshot(), tip: this.ledger.tip, likes: this.likes };
  }

  /** The store comes back as the copy that was made: what was written since is lost. */
  loseSince(): void {
    if (this.#copy === null) return;
    this.#store.restore(this.#copy.snapshot);
    this.ledger.tip = this.#copy.tip;
    this.#keyed = null;
    this.hasLost = true;
  }

  loseAll(): void {
    this.#store.forget();
    this.ledger.tip = null;
    this.#copy = null;
    this.#keyed = null;
    this.hasLost = true;
  }

  restart(): void {
    this.#store.restart();
  }

  cutNode(node: number): void {
    this.#store.cut(['one', 'two'][node] ?? 'one');
  }

  healNodes(): void {
    for (const name of ['one', 'two']) this.#store.heal(name);
  }

  setAway(isAway: boolean): void {
    this.#store.fail(isAway ? 'unavailable' : null);
  }

  connect(viewer: number, node: number, isGzip: boolean): void {
    const seat = this.#seat(viewer);
    if (seat.isComing || (seat.socket !== null && !seat.socket.destroyed)) return;
    seat.isComing = true;
    seat.arriving = this.#come(seat, node, isGzip).finally(() => {
      seat.isComing = false;
    });
  }

  cut(viewer: number): void {
    this.#read();
    this.#seat(viewer).socket?.destroy();
  }

  stall(viewer: number): void {
    this.#seat(viewer).socket?.stall();
  }

  drain(viewer: number): void {
    this.#seat(viewer).socket?.drain();
  }

  async pass(ms: number): Promise<void> {
    await this.clock.advanceGently(ms, Math.max(20, ms / 10));
    this.#read();
  }

  async turns(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1) await turn();
    this.#read();
  }

  /** Everything heals, everybody comes back and reads: then nothing may be owed to anybody. */
  async settle(): Promise<void> {
    this.setAway(false);
    this.healNodes();
    for (const { socket } of this.seats) socket?.drain();
    await this.#quiet();
    for (const [viewer, { socket }] of this.seats.entries()) {
      if (socket === null || socket.destroyed) this.connect(viewer, viewer % 2, viewer % 2 === 0);
    }
    await this.#quiet();
    for (const { watcher } of this.seats) watcher.assertComplete();
    assert.deepEqual(this.faults, [], 'the gateway made a mistake');
  }

  /** Everybody leaves; the nodes then let go of the room, and closing leaves nothing behind. */
  async leave(): Promise<void> {
    for (const { socket } of this.seats) socket?.destroy();
    await this.#quiet();
    await this.pass(this.settings.lingerMs * 3);
    assert.equal(this.following.size, 0, 'a room that nobody watches is followed');
    for (const hub of this.#hubs) {
      assert.equal(hub.rooms, 0, 'a room that nobody watches is kept');
      assert.equal(hub.viewers, 0, 'a viewer that left is kept');
      await hub.close();
    }
  }

  async #quiet(): Promise<void> {
    for (let round = 0; round < 12; round += 1) {
      await this.pass(round < 6 ? 60 : 1000);
      await this.turns(8);
      for (const { socket } of this.seats) socket?.drain();
    }
    await Promise.all(this.seats.map(({ arriving }) => arriving));
    await this.turns(20);
  }

  async #come(seat: Seat, node: number, isGzip: boolean): Promise<void> {
    const { watcher, person } = seat;
    const from: From = watcher.lastId === null ? null : (parsePosition(watcher.lastId) ?? 'unreadable');
    const request = { room, identity: toIdentity(person), from, history: 0 };
    const admission = await this.#hub(node)
      .admit(request)
      .catch((error: unknown) => {
        assert.ok(error instanceof Refusal, String(error));
        return null;
      });
    if (admission?.outcome !== 'admitted') return;
    seat.socket = new FakeSocket();
    watcher.connect(isGzip);
    admission.seat(seat.socket.asSocket, isGzip ? 'gzip' : 'identity');
  }

  /** Hands to each watcher what its socket got, also from one that was closed. */
  #read(): void {
    for (const { socket, watcher } of this.seats) if (socket) watcher.feed(socket.take());
  }

  #mark(): string {
    this.#writes += 1;
    return `mark ${this.#writes}`;
  }

  #append(body: object, once: { key: string; digest: string }): Promise<string | null> {
    const { key, digest } = once;
    const text = JSON.stringify(body);
    const change: Change = { type: 'event', kind: 'note', lane: 'must', audience: 'all', body: text };
    return this.#write(change, { key, digest });
  }

  /** The id of the kept entry, the code of a refusal, or null where the log was away. */
  async #write(change: Change, once: Write['once'] = null): Promise<string | null> {
    const write: Write = { room, by: 'ann' as UserId, once, rate: null, mutable: false, change };
    // Straight to the store: the ledger must know of a write before anything else can.
    const appended = await this.#store
      .open('writer')
      .append(write)
      .catch((error: unknown) => {
        assert.ok(error instanceof Refusal, String(error));
        return null;
      });
    if (appended === null) return null;
    if (appended.outcome === 'refused') return appended.code;
    return `${appended.position.epoch}.${appended.position.offset}`;
  }

  #slow(log: RoomLog): RoomLog {
    const delayed =
      <Args extends unknown[], Answer>(call: (...args: Args) => Promise<Answer>) =>
      async (...args: Args): Promise<Answer> => {
        for (let turns = this.#roll(3); turns > 0; turns -= 1) await turn();
        const answer = await call.apply(log, args);
        for (let turns = this.#roll(3); turns > 0; turns -= 1) await turn();
        return answer;
      };
    const follow = delayed(log.follow);
    return {
      append: log.append.bind(log),
      settle: log.settle.bind(log),
      prolong: log.prolong.bind(log),
      read: delayed(log.read),
      readState: delayed(log.readState),
      enter: delayed(log.enter),
      renew: delayed(log.renew),
      leave: log.leave.bind(log),
      follow: async (...args) => {
        this.following.add(log);
        await follow(...args);
      },
      unfollow: async (id) => {
        this.following.delete(log);
        await log.unfollow(id);
      },
      isReady: log.isReady.bind(log),
      close: log.close.bind(log),
    };
  }

  #seat(viewer: number): Seat {
    const seat = this.seats[viewer];
    assert.ok(seat);
    return seat;
  }

  #hub(node: number): Hub {
    const hub = this.#hubs[node];
    assert.ok(hub);
    return hub;
  }
}

function toAudience(seen: Seen): Audience {
  if (typeof seen === 'string') return seen;
  return 'tag' in seen ? `tag:${seen.tag}` : (seen.users as UserId[]);
}

const toIdentity = (person: Person): Identity => ({
  ...{ id: person.id as UserId, name: null, role: person.isStaff ? 'moderator' : 'viewer' },
  ...{ tags: person.tags, expiresAtMs: Number.POSITIVE_INFINITY },
});
