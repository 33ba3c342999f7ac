/** The contract of `presence` on the embedded log, for one node. */

import type { Grant, Role, RoomId, UserId } from '../../model.ts';
import type { Position } from '../position.ts';
import type { Entered, Presence, Renewed, ViewerCount } from '../presence.ts';
import type { MemoryRoom } from './room.ts';

/** Runs a step in a room of the store. */
type Ask = <Answer>(id: RoomId, step: (room: MemoryRoom, now: number) => Answer) => Answer;

export class MemoryPresence implements Presence {
  readonly #node: string;
  readonly #ask: Ask;

  constructor(node: string, ask: Ask) {
    this.#node = node;
    this.#ask = ask;
  }

  async enter(id: RoomId, user: UserId | null, role: Role = 'viewer'): Promise<Entered> {
    return this.#ask(id, (room, now) => room.enter(this.#node, user, role, now));
  }

  async leave(id: RoomId, user: UserId): Promise<void> {
    this.#ask(id, (room) => room.leave(this.#node, user));
  }

  async prolong(id: RoomId, user: UserId, grant: Grant | null): Promise<void> {
    this.#ask(id, (room, now) => room.prolong(user, grant, now));
  }

  async renew(
    id: RoomId,
    viewers = 0,
    seen: Position | null = null,
    shown: ViewerCount | null = null,
  ): Promise<Renewed> {
    return this.#ask(id, (room, now) => room.renew({ node: this.#node, viewers, seen, shown }, now));
  }
}
