/**
 * The embedded log: the contract of `room-log` within one process, with nothing to install. `MemoryStore` stands for
 * the shared store, `open` for one gateway's link to it; several nodes may share one store, as tests of more than one
 * gateway do. Nothing outlives the process.
 *
 * Messages reach followers in a microtask of their own each, so never within the call that caused them, and in order.
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
 * How calls fail while a test wants them to. `unavailable`: every call, and nothing is done. `outcome-unknown`: a write
 * is done, and its answer is lost; what only reads is unavailable.
 */
export type Failure = 'unavailable' | 'outcome-unknown';

/** A copy of a whole store, as a backup or a replica that is behind would hold it. */
export interface Snapshot {
  readonly rooms: ReadonlyMap<RoomId, RoomRecord>;
}

/** Rooms that each call looks at, by turns, to find those that are to be forgotten. */
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

  /** A node's link to this store. Two links of one name stand for a node that was started again. */
  open(nodeId: string): Backend {
    const log = new MemoryLink(nodeId, this, this.#clock);
    this.#links.add(log);
    return { log, presence: new MemoryPresence(nodeId, (id, step) => log.ask(id, step)) };
  }

  /** For tests: the store restarts and has lost nothing. Rooms get a new epoch, links are told that they were cut. */
  restart(): void {
    this.#run += 1;
    this.#tellResumed();
  }

  /** For tests: a copy of everything, for `restore`. */
  snapshot(): Snapshot {
    return { rooms: new Map([...this.#rooms].map(([id, room]) => [id, structuredClone(room.record)])) };
  }

  /** For tests: the store comes back as an older copy of itself; what was written since is lost. */
  restore(snapshot: Snapshot): void {
    this.#replaceRooms(this.#reviveAll(snapshot));
    this.restart();
  }

  /** For tests: the store takes an older copy over without a break, as a primary does that was a replica in between. */
  demote(snapshot: Snapshot): void {
    this.#replaceRooms(this.#reviveAll(snapshot));
    this.#run += 1;
  }

  /** For tests: the store comes back empty. */
  forget(): void {
    this.#replaceRooms(new Map());
    this.restart();
  }

  /** For tests: messages to the node are lost from now on; its calls still work. */
  cut(nodeId: string): void {
    this.#cut.add(nodeId);
  }

  /** For tests: messages reach the node again, and its followers are told that some may be missing. */
  heal(nodeId: string): void {
    if (this.#cut.delete(nodeId)) this.#tellResumed(nodeId);
  }

  /** For tests: calls fail like this from now on; null ends it. */
  fail(mode: Failure | null): void {
    this.#failure = mode;
  }

  get failure(): Failure | null {
    return this.#failure;
  }

  /** How many rooms are remembered. */
  get rooms(): number {
    return this.#rooms.size;
  }

  /** The room by its id, begun or begun anew where that is due. */
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

  /** Nothing of the room is kept but what outlives it. */
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

  /** Called by the store. Whoever no longer follows when the message arrives does not hear it. */
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

  /** A step that may be refused, and then has done nothing. */
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
