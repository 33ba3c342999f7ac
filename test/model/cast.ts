/** Who takes part in the model: people with their rights, a log whose calls take a while, sockets that note times. */

import type { Position } from '../../src/log/position.ts';
import type { Audience, Grant, Identity, RoomId, UserId } from '../../src/model.ts';
import type { FakeClock } from '../rig/fake-clock.ts';
import { FakeSocket } from '../rig/fake-socket.ts';
import type { NodeLog } from '../rig/joined.ts';
import type { Person, Seen } from '../rig/ledger.ts';

export const room = 'model' as RoomId;

/** What a writer chooses; the rest is the log's to decide. */
export type Addressed = Exclude<Seen, 'crowd' | { readonly by: string } | { readonly actedOn: string }>;

export const people: readonly Person[] = [
  { id: 'ann', isStaff: false, tags: [] },
  { id: 'bob', isStaff: false, tags: ['gold'] },
  { id: 'cat', isStaff: true, tags: [] },
  { id: 'dan', isStaff: true, tags: ['gold', 'blue'] },
  { id: 'eve', isStaff: false, tags: ['blue'] },
  { id: 'fay', isStaff: false, tags: [] },
];

/** Small numbers from a seed: the same run for the same seed. */
export function dice(seed: number): (sides: number) => number {
  let state = seed >>> 0;
  return (sides) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Of what a host may address. */
export function toAudience(seen: Addressed): Audience {
  if (typeof seen === 'string') return seen;
  return 'tag' in seen ? `tag:${seen.tag}` : (seen.users as UserId[]);
}

/** Another person of the same name: what a newer token may make of it. */
export const asOther = ({ id, tags }: Person, isStaff: boolean, hasGold: boolean): Person => ({
  id,
  isStaff,
  tags: [...tags.filter((tag) => tag !== 'gold'), ...(hasGold ? ['gold'] : [])],
});

export const toGrant = ({ isStaff, tags }: Person, expiresAtMs: number): Grant => ({
  role: isStaff ? 'moderator' : 'viewer',
  tags,
  expiresAtMs,
});

export const toIdentity = (person: Person, expiresAtMs: number): Identity => ({
  id: person.id as UserId,
  name: null,
  ...toGrant(person, expiresAtMs),
});

/** A socket that knows when it was last written to, and when it was closed. */
export class TimedSocket extends FakeSocket {
  readonly #clock: FakeClock;
  lastWriteAtMs = 0;
  closedAtMs: number | null = null;
  hasStalled = false;

  constructor(clock: FakeClock) {
    super();
    this.#clock = clock;
  }

  override write(bytes: Buffer | string, done?: () => void): boolean {
    if (bytes.length > 0) this.lastWriteAtMs = this.#clock.now();
    return super.write(bytes, done);
  }

  override stall(): void {
    this.hasStalled = true;
    super.stall();
  }

  override destroy(): this {
    this.closedAtMs ??= this.#clock.now();
    return super.destroy();
  }
}

/** Told in the very step in which the log answers, before anything else can happen to it. */
export interface LogWatch {
  entering(user: UserId | null): void;
  reading(after: Position | null): void;
  following(isBegun: boolean): void;
}

/** Whether a node goes on: while it holds its breath, its calls are neither sent nor answered. */
export class Breath {
  #held: { readonly over: Promise<void>; readonly end: () => void; readonly isDeaf: boolean } | null = null;
  #unheard: (() => void)[] = [];

  hold(isDeaf: boolean): void {
    if (this.#held !== null) return;
    let end = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#held = { over, end, isDeaf };
  }

  /** What came meanwhile is heard now, in order. */
  go(): void {
    this.#held?.end();
    this.#held = null;
    for (const hear of this.#unheard.splice(0)) hear();
  }

  /** Settled while the node goes on. */
  async taken(): Promise<void> {
    while (this.#held !== null) await this.#held.over;
  }

  hear(hear: () => void): void {
    if (this.#held?.isDeaf) this.#unheard.push(hear);
    else hear();
  }
}

/** A log whose calls take a number of turns, before and after they are carried out. */
export function slowly(log: NodeLog, roll: (sides: number) => number, watch: LogWatch, breath: Breath): NodeLog {
  const delayed =
    <Args extends unknown[], Answer>(call: (...args: Args) => Promise<Answer>, seen?: (...args: Args) => void) =>
    async (...args: Args): Promise<Answer> => {
      for (let turns = roll(3); turns > 0; turns -= 1) await turn();
      await breath.taken();
      const answering = call.apply(log, args);
      seen?.(...args);
      const answer = await answering;
      for (let turns = roll(3); turns > 0; turns -= 1) await turn();
      await breath.taken();
      return answer;
    };
  const follow = delayed(log.follow);
  return {
    append: log.append.bind(log),
    settle: log.settle.bind(log),
    prolong: log.prolong.bind(log),
    read: delayed(log.read, (_room, after) => watch.reading(after)),
    readState: delayed(log.readState),
    readRules: log.readRules.bind(log),
    enter: delayed(log.enter, (_room, user) => watch.entering(user)),
    renew: delayed(log.renew),
    leave: log.leave.bind(log),
    follow: async (id, subscriber) => {
      watch.following(true);
      await follow(id, {
        heard: (message) => breath.hear(() => subscriber.heard(message)),
        resumed: () => breath.hear(() => subscriber.resumed()),
      });
    },
    unfollow: async (id) => {
      watch.following(false);
      await log.unfollow(id);
    },
    isReady: log.isReady.bind(log),
    health: log.health.bind(log),
    close: log.close.bind(log),
  };
}
