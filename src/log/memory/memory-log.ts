/**
 * The embedded log: the contract of `room-log` within one process, with nothing to install. `MemoryStore` is the shared
 * store, `open` returns one gateway's link to it. Several nodes may share a store, as in tests of more than one
 * gateway. Nothing outlives the process.
 *
 * Each message reaches followers in its own microtask: in order, and never within the call that caused it.
 */

import type { Clock } from '../../clock.ts';
import { Refusal } from '../../errors.ts';
import type { RoomId } from '../../model.ts';
import type { Backend } from '../backend.ts';
import type { Position } from '../position.ts';
import type {
  Appended,
  LogHealth,
  LogMessage,
  Reader,
  Reading,
  RoomLog,
  RoomState,
  Rule,
  Subscriber,
  Write,
} from '../room-log.ts';
import { MemoryPresence } from './presence.ts';
import { type MemoryLimits, newRecord, type RoomRecord } from './record.ts';
import { MemoryRoom } from './room.ts';

/**
 * How calls fail on a test's request. `unavailable`: every call fails and does nothing. `outcome-unknown`: a write is
 * done, but its answer is lost; reads are unavailable.
 */
export type Failure = 'unavailable' | 'outcome-unknown';

/** A copy of a whole store, as in a backup or a replica that is behind. */
export interface Snapshot {
  readonly rooms: ReadonlyMap<RoomId, RoomRecord>;
}

/** Rooms that each call checks, in rotation, for expiry. */
const sweptPerCall = 2;

export class MemoryStore {
  readonly #limits: MemoryLimits;
  readonly #clock: Clock;
  readonly #links = new Set<MemoryLink>();
  readonly #cut = new Set<string>();
  #rooms = new Map<RoomId, MemoryRoom>();
  #sweep = this.#rooms.entries();
  #run = 1;
  #failure: Failure | null = null;

  constructor(limits: MemoryLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** Opens a node's link to this store. Two links of one name are a node before and after a restart. */
  open(nodeId: string): Backend {
    const log = new MemoryLink(nodeId, this, this.#clock);
    this.#links.add(log);
    return { log, presence: new MemoryPresence(nodeId, (id, step) => log.ask(id, step)) };
  }

  /** For tests: the store restarts without loss. Rooms get a new epoch; links are notified that they broke. */
  restart(): void {
    this.#run += 1;
    this.#tellResumed();
  }

  /** For tests: a copy of everything, for `restore`. */
  snapshot(): Snapshot {
    return { rooms: new Map([...this.#rooms].map(([id, room]) => [id, structuredClone(room.record)])) };
  }

  /** For tests: the store restarts as an older copy of itself; later writes are lost. */
  restore(snapshot: Snapshot): void {
    this.#replaceRooms(this.#reviveAll(snapshot));
    this.restart();
  }

  /** For tests: the store becomes an older copy without a break, like a primary that was a replica for a while. */
  demote(snapshot: Snapshot): void {
    this.#replaceRooms(this.#reviveAll(snapshot));
    this.#run += 1;
  }

  /** For tests: the store restarts empty. */
  forget(): void {
    this.#replaceRooms(new Map());
    this.restart();
  }

  /** For tests: messages to the node are lost from now on; its calls still succeed. */
  cut(nodeId: string): void {
    this.#cut.add(nodeId);
  }

  /** For tests: messages reach the node again; its followers are notified that some may be missing. */
  heal(nodeId: string): void {
    if (this.#cut.delete(nodeId)) this.#tellResumed(nodeId);
  }

  /** For tests: calls fail in this mode from now on; null ends it. */
  fail(mode: Failure | null): void {
    this.#failure = mode;
  }

  get failure(): Failure | null {
    return this.#failure;
  }

  /** How many rooms are kept, expired ones included. */
  get rooms(): number {
    return this.#rooms.size;
  }

  /** Finds a room, or creates it if it is new or has expired. */
  room(id: RoomId, now: number): MemoryRoom {
    this.#sweepSome(now);
    let room = this.#rooms.get(id);
    if (room === undefined || room.record.forgetAtMs <= now) {
      room = MemoryRoom.create(this.#limits, this.#publisher(id), this.#run, now, room?.record);
      this.#rooms.set(id, room);
    }
    room.fence(this.#run);
    return room;
  }

  drop(link: MemoryLink): void {
    this.#links.delete(link);
  }

  #publisher(id: RoomId) {
    return (message: LogMessage, nodes: ReadonlySet<string> | null): void => {
      for (const link of this.#links) {
        const isMeant = nodes === null || nodes.has(link.nodeId);
        if (isMeant && !this.#cut.has(link.nodeId)) link.deliver(id, message);
      }
    };
  }

  #revive(id: RoomId, record: RoomRecord): MemoryRoom {
    return new MemoryRoom(this.#limits, this.#publisher(id), record);
  }

  #reviveAll({ rooms }: Snapshot): Map<RoomId, MemoryRoom> {
    return new Map([...rooms].map(([id, record]) => [id, this.#revive(id, structuredClone(record))]));
  }

  #replaceRooms(rooms: Map<RoomId, MemoryRoom>): void {
    this.#rooms = rooms;
    this.#sweep = rooms.entries();
  }

  #tellResumed(nodeId: string | null = null): void {
    for (const link of this.#links) if (nodeId === null || link.nodeId === nodeId) link.resumed();
  }

  #sweepSome(now: number): void {
    for (let looked = 0; looked < sweptPerCall; looked += 1) {
      const next = this.#sweep.next();
      if (next.done) {
        this.#sweep = this.#rooms.entries();
        return;
      }
      const [id, room] = next.value;
      if (room.record.forgetAtMs <= now) this.#forget(id, room.record, now);
    }
  }

  /** Deletes all of the room except what outlives it. */
  #forget(id: RoomId, { epoch, run, rules, ended, forgetAtMs }: RoomRecord, now: number): void {
    if (rules.keptUntilMs <= now) this.#rooms.delete(id);
    else if (forgetAtMs > 0) this.#rooms.set(id, this.#revive(id, { ...newRecord(epoch, run, 0), rules, ended }));
  }
}

class MemoryLink implements RoomLog {
  readonly nodeId: string;
  readonly #store: MemoryStore;
  readonly #clock: Clock;
  readonly #followers = new Map<RoomId, Subscriber>();
  #isClosed = false;

  constructor(nodeId: string, store: MemoryStore, clock: Clock) {
    this.nodeId = nodeId;
    this.#store = store;
    this.#clock = clock;
  }

  async append(write: Write): Promise<Appended> {
    return this.#write(write.room, (room, now) => room.append(write, now));
  }

  async settle(id: RoomId, counter: string): Promise<number> {
    return this.#write(id, (room, now) => room.settle(counter, now));
  }

  async read(id: RoomId, after: Position | null, limit: number): Promise<Reading> {
    return this.ask(id, (room, now) => room.read(after, limit, now));
  }

  async readState(id: RoomId, reader: Reader | null = null, known: Position | null = null): Promise<RoomState> {
    return this.ask(id, (room, now) => room.readState(reader, known, now));
  }

  async readRules(id: RoomId): Promise<readonly Rule[]> {
    return this.ask(id, (room, now) => room.readRules(now));
  }

  async follow(id: RoomId, subscriber: Subscriber): Promise<void> {
    this.#refuseIfAway();
    this.#followers.set(id, subscriber);
  }

  async unfollow(id: RoomId): Promise<void> {
    this.#followers.delete(id);
  }

  isReady(): boolean {
    return this.health().trouble === null;
  }

  health(): LogHealth {
    const trouble = this.#isClosed ? 'closed' : this.#store.failure;
    return { trouble, risks: [] };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#followers.clear();
    this.#store.drop(this);
  }

  /** Called by the store. A follower that unfollows before the message arrives does not receive it. */
  deliver(id: RoomId, message: LogMessage): void {
    const subscriber = this.#followers.get(id);
    if (subscriber === undefined) return;
    queueMicrotask(() => {
      if (this.#followers.get(id) === subscriber) subscriber.heard(message);
    });
  }

  /** Called by the store. */
  resumed(): void {
    for (const [id, subscriber] of this.#followers) {
      queueMicrotask(() => {
        if (this.#followers.get(id) === subscriber) subscriber.resumed();
      });
    }
  }

  #write<Answer>(id: RoomId, step: (room: MemoryRoom, now: number) => Answer): Answer {
    this.#refuseIfAway('outcome-unknown');
    const now = this.#clock.now();
    const answer = step(this.#store.room(id, now), now);
    if (this.#store.failure !== null)
      throw new Refusal('outcome-unknown', 'The room log did not answer. The write may have been logged.');
    return answer;
  }

  /** Runs a step, or refuses and does nothing. */
  ask<Answer>(id: RoomId, step: (room: MemoryRoom, now: number) => Answer): Answer {
    this.#refuseIfAway();
    const now = this.#clock.now();
    return step(this.#store.room(id, now), now);
  }

  #refuseIfAway(harmless: Failure | null = null): void {
    const { failure } = this.#store;
    if (this.#isClosed || (failure !== null && failure !== harmless)) {
      throw new Refusal('log-unavailable', 'The room log is unreachable.');
    }
  }
}
