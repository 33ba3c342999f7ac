/** Presence on Redis: the contract of `presence`, one function per call. Joins and leaves are batched. */

import type { Clock } from '../../clock.ts';
import { type Grant, type Role, type RoomId, rankOf, type UserId } from '../../model.ts';
import type { Position } from '../position.ts';
import { type Entered, leaseMs, type Presence, type Renewed, type ViewerCount } from '../presence.ts';
import { decodeTail, decodeViewerCount, encodeGrant, encodeViewerCount, readNumber } from './entry-text.ts';
import { type Attended, PresenceBatch, type Step } from './presence-batch.ts';
import type { RoomCalls } from './room-calls.ts';

export class RedisPresence implements Presence {
  readonly #calls: RoomCalls;
  readonly #nodeId: string;
  readonly #batch: PresenceBatch;

  constructor(calls: RoomCalls, nodeId: string, clock: Clock) {
    this.#calls = calls;
    this.#nodeId = nodeId;
    const attend = (room: RoomId, steps: readonly Step[]) => this.#attend(room, steps);
    this.#batch = new PresenceBatch({ attend, clock, deadlineMs: calls.settings.logDeadlineMs });
  }

  enter(room: RoomId, user: UserId | null, role: Role = 'viewer'): Promise<Entered> {
    return this.#batch.enter(room, user, role);
  }

  leave(room: RoomId, user: UserId): Promise<void> {
    return this.#batch.leave(room, user);
  }

  async prolong(room: RoomId, user: UserId, grant: Grant | null): Promise<void> {
    const { where, nodes, roomChannel } = this.#calls.keys;
    const args = [roomChannel(room), user, encodeGrant(user, grant)];
    await this.#calls.callPlain('prolong', [where(room), nodes(room)], args);
  }

  async renew(
    room: RoomId,
    viewers = 0,
    seen: Position | null = null,
    shown: ViewerCount | null = null,
  ): Promise<Renewed> {
    const { where, nodes, audience, rules } = this.#calls.keys;
    const keys = [where(room), nodes(room), audience(room), rules(room)];
    const args = [this.#nodeId, leaseMs, viewers, seen?.epoch ?? '', seen?.offset ?? 0, encodeViewerCount(shown)];
    const [tail = '', lapsed, sum = '', known = '', againMs] = await this.#calls.ask('renew', room, keys, args);
    return this.#calls.understand(room, () => ({
      tail: decodeTail(tail),
      ...readLapsed(lapsed),
      sum: decodeViewerCount(sum),
      shown: known === '' ? null : decodeViewerCount(known),
      againMs: readNumber(againMs, tail),
    }));
  }

  close(): void {
    this.#batch.close();
  }

  async #attend(room: RoomId, steps: readonly Step[]): Promise<Attended> {
    const { where, nodes, rules } = this.#calls.keys;
    const marked = steps.map(({ user, comes, role }) => `${comes ? `+${rankOf(role)}` : '-'}${user}`);
    const keys = [where(room), nodes(room), rules(room)];
    const answer = await this.#calls.ask('presence', room, keys, [this.#nodeId, leaseMs, ...marked]);
    const [tail = '', ended, lapsed, ...banned] = answer;
    return {
      tail: this.#calls.readTail(room, tail),
      ended: ended === '1',
      ...readLapsed(lapsed),
      banned: new Set(banned.flatMap((number) => steps[Number(number) - 1] ?? [])),
    };
  }
}

/** See lapsed_flag in directory.lua. */
const readLapsed = (flag: string | undefined): { readonly lapsed: boolean; readonly covered: boolean } => ({
  lapsed: flag !== '0',
  covered: flag === '2',
});
