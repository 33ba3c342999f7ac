/**
 * Steady writing through nginx: comments and the platform's own signals, with a key and without, and a part of the
 * state. What was acknowledged is kept as each room's ledger; anything else than an acknowledgement is noted as failed
 * and never sent again by the writer itself.
 */

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import type { Crowd } from './crowd.ts';
import { Ledger, splitId, type What } from './ledger.ts';
import { judge } from './oracle.ts';
import { sendWrite, type Write } from './send-write.ts';
import { waitFor } from './wait-for.ts';

export interface WritersOptions {
  readonly port: number;
  /** Written to in turn; a room may be named more than once. */
  readonly rooms: readonly string[];
  /** Between two writes. */
  readonly everyMs: number;
  /** Leave out what has no key. */
  readonly isKeyed?: boolean;
}

interface Acknowledged extends What {
  readonly id: string;
}

interface Planned extends Write {
  readonly part: What['part'];
}

/** Under way at a time: where answers are slow, writers wait. */
const underWayMax = 200;

export class SteadyWriters {
  readonly acknowledged = new Map<string, Acknowledged[]>();
  /** What was answered instead, a line each. */
  readonly failures: string[] = [];
  readonly #options: WritersOptions;
  readonly #underWay = new Set<Promise<void>>();
  #written = 0;
  #isRunning = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: WritersOptions) {
    this.#options = options;
    for (const room of options.rooms) this.acknowledged.set(room, []);
  }

  start(): void {
    this.#isRunning = true;
    this.#loop = this.#run();
  }

  /** Settles when every write that was begun is answered. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await this.#loop;
    await Promise.all(this.#underWay);
  }

  get count(): number {
    return [...this.acknowledged.values()].reduce((sum, all) => sum + all.length, 0);
  }

  /** Settled once everybody has the last write of each room. To be called when writing has stopped. */
  async allHave(crowd: Crowd, timeoutMs = 15_000): Promise<void> {
    for (const [room, acknowledged] of this.acknowledged) {
      const changes = acknowledged.filter(({ part }) => part !== null).map(({ id }) => splitId(id).offset);
      for (const offset of changes) crowd.rooms.get(room)?.changes.add(offset);
      const last = Math.max(0, ...acknowledged.map(({ id }) => splitId(id).offset));
      const its = crowd.viewers.filter((viewer) => viewer.room.room === room);
      const late = (): number => its.filter((viewer) => !viewer.hasAll(last)).length;
      await waitFor(() => late() === 0, { what: `everybody in ${room} to reach ${last}`, timeoutMs }).catch((error) => {
        assert.fail(`${error.message}: ${late()} of ${its.length} have not, ${crowd.away} are away`);
      });
    }
  }

  /** The acknowledged writes of a room in their order; every number must be there once. */
  ledgerOf(room: string): Ledger {
    const ledger = new Ledger();
    const all = this.acknowledged.get(room) ?? [];
    for (const one of all.toSorted((a, b) => splitId(a.id).offset - splitId(b.id).offset)) ledger.add(one.id, one);
    return ledger;
  }

  async #run(): Promise<void> {
    for (; this.#isRunning; await pause(this.#options.everyMs)) {
      if (this.#underWay.size >= underWayMax) await Promise.race(this.#underWay);
      const one: Promise<void> = this.#write().finally(() => this.#underWay.delete(one));
      this.#underWay.add(one);
    }
  }

  async #write(): Promise<void> {
    this.#written += 1;
    const number = this.#written;
    const { port, rooms, isKeyed = false } = this.#options;
    const room = rooms[number % rooms.length] ?? '';
    const mark = `mark ${number}`;
    const write = writeOf(Math.floor(number / rooms.length) % 4, mark, isKeyed);
    const { status, text } = await sendWrite({ port, room }, write);
    const id = status < 300 ? String(JSON.parse(text).id) : '';
    if (status >= 300) this.failures.push(`${write.method} ${write.path}, key ${write.key}: ${status} ${text}`);
    else this.acknowledged.get(room)?.push({ id, seen: 'all', mark, part: write.part });
  }
}

function writeOf(form: number, mark: string, isKeyed: boolean): Planned {
  const key = form % 2 === 0 || isKeyed ? mark.replace(' ', '-') : null;
  if (form === 2) {
    return { method: 'PUT', path: 'state/title', body: { mark }, key, part: { name: 'title', mark } };
  }
  if (form === 3) return { method: 'POST', path: 'actions/comment', body: { text: mark }, key, part: null };
  return { method: 'POST', path: 'actions/signal', body: { type: 'beat', data: { text: mark } }, key, part: null };
}

/** Holds the raw bytes of those who kept them against what was acknowledged; answers with how many that were. */
export function judgeKept(crowd: Crowd, writers: SteadyWriters): number {
  const ledgers = new Map([...writers.acknowledged.keys()].map((room) => [room, writers.ledgerOf(room)]));
  let judged = 0;
  for (const { room, user, isGzip, streams } of crowd.viewers) {
    const ledger = ledgers.get(room.room);
    if (streams === null || ledger === undefined) continue;
    const kept = streams.filter(({ length }) => length > 0).map((parts) => Buffer.concat(parts));
    const all = kept.map((bytes) => ({ bytes, isGzip: isGzip && bytes[0] === 0x1f }));
    const { declared } = judge({ id: user, isStaff: false, tags: [] }, all, ledger);
    assert.deepEqual(declared, [], `${user} was told of a loss`);
    judged += 1;
  }
  return judged;
}
