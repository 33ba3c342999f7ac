/**
 * A small world for the model test: two nodes with real hubs on one embedded store, on a clock that is moved by hand,
 * and viewers on sockets that can stall. Calls to the log take a seeded number of turns, before and after they are
 * carried out, so that everything that can overtake something else does.
 */

import assert from 'node:assert/strict';
import { Refusal } from '../../src/errors.ts';
import { Hub } from '../../src/hub/hub.ts';
import { MemoryStore } from '../../src/log/memory/memory-log.ts';
import { parsePosition } from '../../src/log/position.ts';
import { leaseMs } from '../../src/log/presence.ts';
import type { UserId } from '../../src/model.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import { FakeClock } from '../rig/fake-clock.ts';
import { asBackend, joined, type NodeLog } from '../rig/joined.ts';
import { Ledger, type Person } from '../rig/ledger.ts';
import { asOther, Breath, dice, type LogWatch, people, room, slowly, TimedSocket, toGrant, turn } from './cast.ts';
import { Chronicle } from './chronicle.ts';
import { Seat, type Visit } from './seat.ts';
import { type Ruler, Writers } from './writers.ts';

const limits = { entries: 25, ttlMs: 600_000, replayMax: 20 };
const nodes = ['one', 'two'] as const;
/** A jump of the clock that a lease does not survive. */
const longMs = 10_000;

export class World {
  readonly clock = new FakeClock();
  readonly ledger = new Ledger();
  readonly chronicle = new Chronicle(this.ledger, limits);
  readonly settings: Settings;
  readonly seats: readonly Seat[] = people.map((person) => new Seat(person, this.ledger));
  readonly faults: unknown[] = [];
  /** Nodes that follow the room and have not let it go again. */
  readonly following = new Set<string>();
  readonly writers: Writers;
  #hasTrimmed = false;
  #wasLong = false;
  readonly #store: MemoryStore;
  readonly #writer: NodeLog;
  readonly #hubs: readonly Hub[];
  readonly #breaths: readonly Breath[] = nodes.map(() => new Breath());
  /** Whether a message that is not kept may have been lost. */
  #isDisturbed = false;

  constructor(seed: number) {
    this.settings = readSettings({
      LOG_ENTRIES_MAX: String(limits.entries),
      LOG_TTL_S: String(limits.ttlMs / 1000),
      REPLAY_ENTRIES_MAX: String(limits.replayMax),
      TAPE_BYTES_MAX: '1536',
      VIEWER_BYTES_MAX: '4096',
      LINGER_MS: '1000',
      RENEW_MS: '1000',
      HEARTBEAT_MS: '5000',
      CHAT_PER_SECOND: '2',
    });
    this.#store = new MemoryStore(this.settings, this.clock);
    this.writers = new Writers(this.#store, this.clock, this.ledger, this.chronicle, limits.entries);
    this.#writer = joined(this.#store.open('writer'));
    const roll = dice(seed);
    this.#hubs = nodes.map((_, node) => {
      const breath = this.#breaths[node] ?? assert.fail();
      const log = slowly(joined(this.#store.open(nodes[node] ?? '')), roll, this.#watch(node), breath);
      return new Hub(asBackend(log), this.settings, this.clock, (error) => this.faults.push(error));
    });
  }

  /** A stream that is open now must end if the ban binds it, and is given nothing that was written after it. */
  ban(viewer: number, by: Ruler = 'host'): void {
    const { bound, watcher, isConnected } = this.#seat(viewer);
    const written = this.writers.rule('ban', bound.id, by);
    if (isConnected && this.writers.isBanned(bound)) watcher.barrier ??= written;
    this.#noteBans();
  }

  unban(viewer: number, by: Ruler = 'host'): void {
    this.#noteBans();
    this.writers.rule('unban', this.#seat(viewer).person.id, by);
  }

  restart(): void {
    this.#isDisturbed = true;
    this.chronicle.mayRename = true;
    this.#store.restart();
  }

  cutNode(node: number): void {
    this.#isDisturbed = true;
    this.#store.cut(nodes[node] ?? '');
  }

  healNodes(): void {
    for (const name of nodes) this.#store.heal(name);
  }

  /** The node stands still (`isDeaf`: hears nothing either) for longer than its lease lasts, and others write meanwhile. */
  async doze(node: number, isDeaf: boolean, users: readonly string[]): Promise<void> {
    const breath = this.#breaths[node];
    breath?.hold(isDeaf);
    await this.pass(leaseMs + 1_000);
    this.writers.publish({ users });
    this.writers.publish('all');
    await this.pass(60);
    breath?.go();
    await this.turns(6);
  }

  setAway(isAway: boolean): void {
    if (isAway) this.#isDisturbed = true;
    this.#store.fail(isAway ? 'unavailable' : null);
  }

  /** `tokenMs`: how long the token is good for; 0 for ever. */
  connect(viewer: number, node: number, isGzip: boolean, tokenMs = 0, history = 0): void {
    const seat = this.#seat(viewer);
    if (seat.isComing || seat.isConnected) return;
    this.#read();
    seat.isComing = true;
    const expiresAtMs = tokenMs === 0 ? Number.POSITIVE_INFINITY : this.#wholeSecond(tokenMs);
    seat.arriving = this.#come(seat, { node, isGzip, history, expiresAtMs }).finally(() => {
      seat.isComing = false;
    });
  }

  /** A newer token of what the user is. */
  prolong(viewer: number): void {
    this.#renew(this.#seat(viewer), this.#seat(viewer).person);
  }

  /** A newer token of another role or other tags, or the same. */
  change(viewer: number, isStaff: boolean, hasGold: boolean): void {
    this.#renew(this.#seat(viewer), asOther(this.#seat(viewer).person, isStaff, hasGold));
  }

  #renew(seat: Seat, person: Person): void {
    if (this.#store.failure !== null || (seat.isConnected && this.clock.now() >= seat.latestEndMs)) return;
    const expiresAtMs = this.#wholeSecond(3_000);
    seat.renew(person, expiresAtMs, { isSure: !this.#isDisturbed && !this.writers.hasLost, tip: this.ledger.tip });
    void this.#writer.prolong(room, person.id as UserId, toGrant(person, expiresAtMs));
    // Telling somebody may begin the room.
    this.#seeEpoch();
  }

  cut(viewer: number): void {
    this.#read();
    this.#seat(viewer).socket?.destroy();
  }

  /** The page is loaded anew: the viewer comes back without an id. */
  reload(viewer: number): void {
    const seat = this.#seat(viewer);
    if (seat.isComing) return;
    this.cut(viewer);
    seat.watcher.forget();
  }

  stall(viewer: number): void {
    this.#seat(viewer).socket?.stall();
  }

  drain(viewer: number): void {
    this.#seat(viewer).socket?.drain();
  }

  /** On the stream that is open, a loss of this cause was declared. */
  assertTold(viewer: number, cause: string): void {
    this.#read();
    const { person, watcher } = this.#seat(viewer);
    assert.ok(watcher.declared.includes(cause), `the viewer ${person.id} was never told of the loss`);
  }

  /** Whoever is banned now is not served. */
  assertEnded(viewer: number): void {
    const { bound, isConnected } = this.#seat(viewer);
    assert.ok(!(isConnected && this.writers.isBanned(bound)), `${bound.id} is banned, and is served`);
  }

  async pass(ms: number): Promise<void> {
    if (ms >= longMs) this.#isDisturbed = true;
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
    await this.#quiet();
    for (const [viewer, { bound, isConnected, visit }] of this.seats.entries()) {
      if (this.writers.isBanned(bound)) {
        assert.ok(!isConnected, `${bound.id} is banned, and still watches`);
        this.connect(viewer, viewer % 2, true);
      } else if (visit?.expiresAtMs !== Number.POSITIVE_INFINITY) this.cut(viewer);
    }
    await this.#quiet();
    for (const [viewer, { person, bound, isConnected }] of this.seats.entries()) {
      assert.ok(!(isConnected && this.writers.isBanned(bound)), `${bound.id} is banned, and was let in`);
      if (this.writers.isBanned(person)) this.unban(viewer);
    }
    for (const viewer of this.seats.keys()) this.connect(viewer, viewer % 2, viewer % 2 === 0);
    await this.#quiet();
    this.writers.settle();
    await this.#quiet();
    for (const { watcher, person } of this.seats) {
      watcher.assertComplete();
      assert.equal(watcher.likes, this.writers.likes, `${person.id} counts other likes`);
    }
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
      // In all for longer than the longest pause between two tries of a log that was away.
      await this.pass(round < 6 ? 60 : 1400);
      await this.turns(8);
      for (const { socket } of this.seats) socket?.drain();
    }
    await Promise.all(this.seats.map(({ arriving }) => arriving));
    await this.turns(20);
  }

  async #come(seat: Seat, visit: Visit): Promise<void> {
    const { watcher } = seat;
    const identity = seat.come(visit);
    this.#noteBans();
    const from = watcher.lastId === null ? null : (parsePosition(watcher.lastId) ?? 'unreadable');
    const hub = this.#hubs[visit.node];
    assert.ok(hub);
    const admission = await hub
      .admit({ room, identity, from, history: visit.history })
      .catch((error: unknown) => assert.ok(error instanceof Refusal, String(error)));
    if (admission?.outcome !== 'admitted') return;
    const socket = new TimedSocket(this.clock);
    seat.sit(socket, this.clock.now());
    hub.open(admission, socket.asSocket, visit.isGzip ? 'gzip' : 'identity', Buffer.alloc(0));
  }

  /** Hands to each watcher what its socket got, also from one that was closed. */
  #read(): void {
    this.#noteBans();
    const now = this.clock.now();
    this.#hasTrimmed ||= this.chronicle.moment(now).first > 1;
    this.#wasLong ||= (this.ledger.tip?.offset ?? 0) > limits.replayMax;
    const hasLost = this.writers.hasLost || this.chronicle.hasBegunAnew;
    const excuses = { hasTrimmed: this.#hasTrimmed, hasLost, wasLong: this.#wasLong };
    for (const seat of this.seats) seat.read(now, this.chronicle, excuses);
  }

  #noteBans(): void {
    for (const seat of this.seats) if (this.writers.mayCountAsBanned(seat.bound)) seat.noteBan();
  }

  /** Notes how the log stands whenever it answers somebody who joins at a node. */
  #watch(node: number): LogWatch {
    const note = (isTail: (seat: Seat) => boolean): void => {
      if (this.#store.failure !== null) return;
      this.#seeEpoch();
      const moment = this.chronicle.moment(this.clock.now());
      for (const seat of this.seats) {
        if (seat.visit?.node !== node) continue;
        seat.moments.push(moment);
        if (isTail(seat)) seat.tails.push(moment);
      }
    };
    const name = nodes[node] ?? '';
    return {
      entering: (user) => {
        for (const seat of this.seats) if (seat.person.id === user && seat.visit?.node === node) seat.entered();
        note(({ person }) => person.id === user);
      },
      reading: (after) => note(() => after === null),
      following: (isBegun) => void (isBegun ? this.following.add(name) : this.following.delete(name)),
    };
  }

  #seeEpoch(): void {
    const { epoch, lineage } = this.#store.room(room, this.clock.now()).record;
    this.chronicle.see(epoch, lineage.length);
  }

  /** A token ends with a full second, as its time is counted in seconds. */
  #wholeSecond(ms: number): number {
    return Math.ceil((this.clock.now() + ms) / 1000) * 1000;
  }

  #seat(viewer: number): Seat {
    const seat = this.seats[viewer];
    assert.ok(seat);
    return seat;
  }
}
