/** One person's place in the model: its connection, what the oracle knows of it, and what its stream had to obey. */

import assert from 'node:assert/strict';
import type { Identity } from '../../src/model.ts';
import { type Ledger, type Person, splitId, type Written } from '../rig/ledger.ts';
import { Oracle } from '../rig/oracle.ts';
import { type TimedSocket, toIdentity } from './cast.ts';
import type { Chronicle, Moment } from './chronicle.ts';

/** What this visit came with. */
export interface Visit {
  readonly node: number;
  readonly isGzip: boolean;
  readonly history: number;
  readonly expiresAtMs: number;
}

/** What of the world a declared gap may be explained by. */
export interface Excuses {
  readonly hasTrimmed: boolean;
  readonly hasLost: boolean;
  /** There were more entries than are let through of a history that nobody knew. */
  readonly wasLong: boolean;
}

export class Seat {
  /** What the newest token says. */
  person: Person;
  readonly watcher: Oracle;
  socket: TimedSocket | null = null;
  visit: Visit | null = null;
  isComing = false;
  /** Whether a ban has bound this person at any moment since it came: on this stream, and on the way to the next. */
  #hasBeenBanned = false;
  #isBannedOnTheWay = false;
  /** Settled when the hub has decided about the last visit. */
  arriving: Promise<void> = Promise.resolve();
  /** When the token runs out: the earliest and the latest, as news of a newer one may be lost. */
  earliestEndMs = Number.POSITIVE_INFINITY;
  latestEndMs = Number.POSITIVE_INFINITY;
  /** Tails that the verdict may go by, and every state of the log since. */
  readonly tails: Moment[] = [];
  readonly moments: Moment[] = [];
  #cameWith: string | null = null;
  #isJudged = true;
  #seatedAtMs = 0;
  /** Until when a newer token may have prolonged the visit that is coming, and whether one may have ended it. */
  #renewed = { untilMs: 0, mayEnd: false, mustEnd: false };
  /** Whether the log has the visit that is coming on record. */
  #isEntered = false;
  #mayEnd = false;
  #mustEnd = false;

  constructor(person: Person, ledger: Ledger) {
    this.person = person;
    this.watcher = new Oracle(person, ledger);
  }

  get isConnected(): boolean {
    return this.socket !== null && !this.socket.destroyed;
  }

  /** Whom rules bind: a stream is what it came as, until it is told of a newer token. */
  get bound(): Person {
    return this.isConnected ? this.watcher.person : this.person;
  }

  noteBan(): void {
    this.#hasBeenBanned = true;
    this.#isBannedOnTheWay = true;
  }

  /** About to ask for a stream. */
  come(visit: Visit): Identity {
    this.#isBannedOnTheWay = false;
    this.visit = visit;
    this.watcher.person = this.person;
    this.#renewed = { untilMs: 0, mayEnd: false, mustEnd: false };
    this.#isEntered = false;
    this.#cameWith = this.watcher.lastId;
    this.watcher.ask();
    this.tails.length = 0;
    this.moments.length = 0;
    return toIdentity(this.person, visit.expiresAtMs);
  }

  entered(): void {
    this.#isEntered = true;
  }

  sit(socket: TimedSocket, nowMs: number): void {
    this.#seatedAtMs = nowMs;
    this.#hasBeenBanned = this.#isBannedOnTheWay;
    this.socket = socket;
    this.earliestEndMs = this.visit?.expiresAtMs ?? 0;
    this.latestEndMs = Math.max(this.earliestEndMs, this.#renewed.untilMs);
    this.#mayEnd = this.#renewed.mayEnd;
    this.#mustEnd = this.#renewed.mustEnd;
    this.watcher.connect(this.visit?.isGzip === true);
    this.#isJudged = false;
  }

  /**
   * The user came with a token that says this. A stream of the same rights lasts as long, any other one ends and is given
   * nothing more; where messages may have been lost, it may go on by the token that it has.
   */
  renew(person: Person, untilMs: number, { isSure, tip }: { isSure: boolean; tip: Written | null }): void {
    this.person = person;
    const isSame = hasSameRights(person, this.watcher.person);
    if (!this.isConnected) {
      if (isSame) this.#renewed.untilMs = Math.max(this.#renewed.untilMs, untilMs);
      else this.#renewed.mayEnd = true;
      this.#renewed.mustEnd ||= !isSame && isSure && this.#isEntered;
    } else if (isSame) {
      this.latestEndMs = Math.max(this.latestEndMs, untilMs);
      if (isSure) this.earliestEndMs = this.latestEndMs;
    } else {
      this.#mayEnd = true;
      this.#mustEnd ||= isSure;
      if (isSure) this.watcher.barrier ??= tip;
    }
  }

  /** Reads what came, and holds it to what could be expected. */
  read(nowMs: number, chronicle: Chronicle, excuses: Excuses): void {
    const { socket, watcher } = this;
    if (socket === null) return;
    watcher.feed(socket.take());
    this.#judge(chronicle);
    this.#excuse(socket, excuses);
    assert.ok(watcher.ending !== 'banned' || this.#hasBeenBanned, `${this.#name} was banned by nobody who may`);
    const lastMs = Math.max(this.latestEndMs, this.#seatedAtMs);
    assert.ok(socket.lastWriteAtMs <= lastMs, `${this.#name} was written to after its token had expired`);
    const isTooLate = this.#seatedAtMs >= this.latestEndMs && watcher.resume !== null;
    assert.ok(!isTooLate, `${this.#name} was served with a token that had expired`);
    assert.ok(socket.destroyed || nowMs < this.latestEndMs, `the stream of ${this.#name} outlives its token`);
    assert.ok(socket.destroyed || !this.#mustEnd, `${this.#name} is served as what it is no more`);
    assert.ok(watcher.ending !== 'reauthorized' || this.#mayEnd, `${this.#name} is what it was, and its stream ended`);
    if (watcher.ending === 'expired') {
      assert.ok((socket.closedAtMs ?? 0) >= this.earliestEndMs, `the stream of ${this.#name} expired too early`);
    }
  }

  /** A gap is declared where there was a reason, and only there. */
  #excuse(socket: TimedSocket, { hasTrimmed, hasLost, wasLong }: Excuses): void {
    const mayBe: Record<string, boolean> = { slow: socket.hasStalled, trimmed: hasTrimmed, failover: hasLost };
    for (const gap of this.watcher.gaps) {
      const isKnown = gap.missed !== null || hasTrimmed || hasLost;
      assert.ok(mayBe[gap.cause] && isKnown, `${this.#name} was told of a gap for no reason: ${JSON.stringify(gap)}`);
      const isRight = gap.cause !== 'failover' || gap.isLeast || hasTrimmed || wasLong;
      assert.ok(isRight, `${this.#name} was not given what there is: ${JSON.stringify(gap)}`);
    }
  }

  #judge(chronicle: Chronicle): void {
    const { resume } = this.watcher;
    if (this.#isJudged || resume === null) return;
    this.#isJudged = true;
    const { verdict, missed, cause } = resume;
    const { epoch, offset } = splitId(resume.to);
    const said = { verdict, to: offset, missed, cause };
    const right = this.tails.flatMap((tail) =>
      this.#expected(chronicle, tail).map((one) => ({ epoch: tail.epoch, one })),
    );
    const isRight = right.some(
      (it) => it.epoch === epoch && Object.entries(said).every(([key, value]) => it.one[key] === value),
    );
    const from = this.#cameWith ?? 'no id';
    assert.ok(
      isRight,
      `${this.#name} came with ${from} and was told ${JSON.stringify(said)}, not ${JSON.stringify(right)}`,
    );
  }

  /** What may be said by one tail: history may have been trimmed further before it was looked through. */
  #expected(chronicle: Chronicle, tail: Moment): Record<string, unknown>[] {
    const expected = chronicle.expect(this.#cameWith, tail);
    const count = this.visit?.history ?? 0;
    if (expected.verdict !== 'fresh' || count === 0) return [{ ...expected }];
    const last = tail.tip?.offset ?? 0;
    // Where the log came back as another one meanwhile, as much is promised as was found.
    const isOther = this.moments.some(({ epoch }) => epoch !== tail.epoch);
    const anywhere = isOther ? Array.from({ length: last + 1 }, (_, to) => to) : [];
    const looks = this.moments.map((look) => chronicle.historyStart(this.watcher.person, count, tail, look));
    return [...anywhere, ...looks].map((to) => ({ ...expected, to }));
  }

  get #name(): string {
    return `the viewer ${this.person.id}`;
  }
}

const hasSameRights = (one: Person, other: Person): boolean =>
  one.isStaff === other.isStaff && [...one.tags].sort().join() === [...other.tags].sort().join();
