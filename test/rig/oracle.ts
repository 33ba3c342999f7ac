/**
 * The oracle for one viewer: reads the raw bytes of its streams with an independent parser and holds them to the one
 * promise. What it received, together with the gaps that it was told of, is everything that was published to it, in
 * order and without doubles, and nothing that was not for it.
 */

import assert from 'node:assert/strict';
import { gunzipSync, constants as zlib } from 'node:zlib';
import { createParser, type EventSourceMessage } from 'eventsource-parser';
import { type Ledger, maySee, type Person, splitId, type Written } from './ledger.ts';

interface Part {
  readonly version: number;
  readonly mark: string | undefined;
}

export interface Resume {
  readonly verdict: 'fresh' | 'exact' | 'gap' | 'reset';
  readonly from: string | null;
  readonly to: string;
  readonly missed: number | null;
  readonly cause: string | null;
}

/** A gap that was declared within a stream. */
export interface Gap {
  readonly from: string;
  readonly to: string;
  readonly missed: number | null;
  readonly lane: string;
  readonly cause: string;
  /** Nothing that the log has now was left out. */
  readonly isLeast?: boolean;
}

/** The part that holds the sum of likes, of which `likes` events tell too. */
const counterPart = 'likes';

export class Oracle {
  /** As whom it is served on this connection. */
  person: Person;
  readonly #ledger: Ledger;
  /** What the client would send as Last-Event-ID. */
  lastId: string | null = null;
  /** The state as the client knows it. */
  readonly parts = new Map<string, Part>();
  likes = 0;
  /** The last total that a `likes` event of this stream gave, until a whole state explains another one. */
  #likesTold = 0;
  /** How many watch the room, as it was told last; null before the first time. */
  audience: { readonly viewers: number; readonly users: number } | null = null;
  /** Gaps and resets that were declared, by cause. */
  readonly declared: string[] = [];
  /** The gaps within this connection's stream. */
  gaps: Gap[] = [];
  /** Set by a test when this person is banned or its token replaced: nothing later may come on this connection. */
  barrier: Written | null = null;
  resume: Resume | null = null;
  ending: string | null = null;
  received = 0;
  /** Up to here it has everything, or was told otherwise; undefined before the first `resume`. */
  #at: Written | null | undefined;
  #parser = this.#newParser();
  #bytes: Buffer[] = [];
  #isGzip = false;
  #unzipped = 0;
  #isStateOwed = false;
  /** The end of the history when it asked for this connection; undefined where a test does not say. */
  #askedAt: Written | null | undefined;
  #stateAsOf = 0;

  constructor(person: Person, ledger: Ledger) {
    this.person = person;
    this.#ledger = ledger;
  }

  /** It is about to ask for a connection: what was taken back by now must not be given on it. */
  ask(): void {
    this.#askedAt = this.#ledger.tip;
  }

  /** A new connection begins; what the old one left unfinished is discarded, as EventSource does. */
  connect(isGzip: boolean): void {
    this.#parser = this.#newParser();
    this.#bytes = [];
    this.#isGzip = isGzip;
    this.#unzipped = 0;
    this.resume = null;
    this.ending = null;
    this.gaps = [];
    this.barrier = null;
    this.#likesTold = 0;
  }

  /** The page is loaded anew: the client knows nothing any more. */
  forget(): void {
    this.lastId = null;
    this.parts.clear();
    this.likes = 0;
    this.#stateAsOf = 0;
    this.#at = undefined;
  }

  /** Bytes of the body, in any portions. */
  feed(bytes: Buffer): void {
    if (bytes.length === 0) return;
    if (!this.#isGzip) {
      this.#parser.feed(bytes.toString());
      return;
    }
    this.#bytes.push(bytes);
    const text = gunzipSync(Buffer.concat(this.#bytes), { finishFlush: zlib.Z_SYNC_FLUSH });
    this.#parser.feed(text.subarray(this.#unzipped).toString());
    this.#unzipped = text.length;
  }

  /** Call when nothing is under way any more: nothing may be owed then. */
  assertComplete(): void {
    assert.ok(this.#at !== undefined, `${this.#name} never got a resume`);
    const owed = this.#between(this.#at, this.#ledger.tip);
    assert.deepEqual(
      owed.map(({ id }) => id),
      [],
      `${this.#name} was never given these`,
    );
    assert.deepEqual(
      new Map([...this.parts].map(([name, { mark }]) => [name, mark])),
      new Map([...this.#ledger.stateAt(this.#ledger.tip)].map(([name, { mark }]) => [name, mark])),
      `${this.#name} knows another state`,
    );
  }

  get #name(): string {
    return `the viewer ${this.person.id}`;
  }

  #newParser(): ReturnType<typeof createParser> {
    return createParser({ onEvent: (event) => this.#take(event), onError: (error) => assert.fail(error) });
  }

  #take({ event, id, data }: EventSourceMessage): void {
    const fields = JSON.parse(data);
    assert.equal(this.ending, null, `${this.#name} got ${event} after the end`);
    // Whoever may not stay is told so before anything else.
    if (event !== 'resume' && event !== 'end')
      assert.ok(this.resume !== null, `${this.#name} got ${event} before the resume`);
    if (event === 'resume') this.#begin(fields, id);
    else if (event === 'gap') this.#gap(fields, id);
    else if (event === 'likes') this.#like(fields);
    else if (event === 'audience') this.#count(fields, id);
    else if (event === 'end') this.ending = fields.cause;
    else if (event === 'move') this.ending = 'moved';
    else if (event === 'state' && id === undefined) this.#snapshot(fields);
    else this.#entry(event ?? '', id ?? '', fields);
    if (id !== undefined) this.lastId = id;
  }

  #begin(resume: Resume, id: string | undefined): void {
    assert.equal(this.resume, null, 'one resume for each connection');
    assert.equal(id, resume.to);
    this.#ledger.learn(splitId(resume.to).epoch);
    const to = this.#ledger.resolve(resume.to);
    if (resume.verdict === 'exact') this.#mayNotSkip(to, 'resumed as exact');
    if (resume.verdict === 'gap' || resume.verdict === 'reset') this.declared.push(resume.cause ?? resume.verdict);
    if (resume.verdict !== 'exact') this.#isStateOwed = true;
    this.resume = resume;
    this.#at = to;
  }

  #gap(gap: Gap, id: string | undefined): void {
    assert.equal(id, gap.to);
    if (gap.cause === 'sampled') {
      this.#sampled(gap);
      return;
    }
    this.declared.push(gap.cause);
    this.#ledger.learn(splitId(gap.to).epoch);
    this.gaps.push({ ...gap, isLeast: !this.#leavesOut(this.#ledger.resolve(gap.to)) });
    if (gap.lane === 'chat') this.#leaveOut(gap);
    else this.#jump(gap);
  }

  /** Whether something for this person, that it was not given, lies before a record of the history that there is now. */
  #leavesOut(to: Written | null): boolean {
    for (const record of this.#ledger.back(to)) {
      if (this.#ledger.isBehind(record, this.#at ?? null)) return false;
      // Of a counter everybody is told by its sums.
      const isTold = record.part?.name === counterPart || this.#ledger.isRetracted(record);
      if (!isTold && maySee(record.seen, this.person)) return true;
    }
    return false;
  }

  /** The log says how much chat it left out for everybody: an entry like others, the same for all. */
  #sampled({ to, missed, lane }: Gap): void {
    const written = this.#ledger.resolve(to);
    assert.equal(lane, 'chat');
    assert.ok(written?.id === to && written.leftOut !== undefined, `${this.#name} got a gap ${to} of nobody's`);
    assert.equal(missed, written.leftOut, `${this.#name} was told a wrong number by ${to}`);
    this.#arrive(written);
  }

  /** Slow as it is, it got no chat for a while, and everything else. */
  #leaveOut({ from, to, missed }: Gap): void {
    const [before, last] = [this.#ledger.resolve(from), this.#ledger.resolve(to)];
    this.#mayNotSkip(before, `was told of a gap after ${from}`);
    const skipped = this.#between(before, last);
    const others = skipped.filter(({ isChat }) => !isChat).map(({ id }) => id);
    assert.deepEqual(others, [], `${this.#name} was told that chat was left out up to ${to}, but never got these`);
    // What was taken back counts where its place was left out with the chat around it.
    const mayCount = this.#mayCount(before, last).length;
    const isRight = missed !== null && missed >= skipped.length && missed <= mayCount;
    assert.ok(isRight, `${this.#name} was told ${missed} for ${from} to ${to}, not ${skipped.length} to ${mayCount}`);
    this.#at = last;
  }

  #jump(gap: Gap): void {
    const [from, to] = [this.#ledger.resolve(gap.from), this.#ledger.resolve(gap.to)];
    this.#mayNotSkip(from, `was told of a gap after ${gap.from}`);
    if (gap.missed !== null) {
      const events = this.#ledger
        .between(from, to)
        .filter((one) => this.#isShared(one) && maySee(one.seen, this.person));
      const shown = events.reduce((sum, { leftOut }) => sum + (leftOut ?? 1), 0);
      const offsets = (to?.offset ?? 0) - (from?.offset ?? 0);
      const missed = gap.cause === 'trimmed' ? offsets : shown;
      assert.equal(gap.missed, missed, `${this.#name} was told a wrong number for ${gap.from} to ${gap.to}`);
    }
    this.#at = to;
    this.#isStateOwed = true;
  }

  /** What everybody of its class gets, and so is counted where it is missed. */
  #isShared({ seen }: Written): boolean {
    return typeof seen === 'string' || 'tag' in seen || (!('users' in seen) && this.person.isStaff);
  }

  #entry(event: string, id: string, fields: Record<string, unknown>): void {
    if (event === 'state') this.#change(fields as unknown as StateData);
    const written = this.#ledger.resolve(id);
    assert.equal(written?.id, id, `${this.#name} got ${event} ${id}, which nobody wrote`);
    assert.ok(maySee(written.seen, this.person), `${this.#name} got ${id}, which was not for it`);
    const { tip } = this.#ledger;
    const isGone = this.#askedAt !== undefined && this.#ledger.isRetractedIn(written, this.#askedAt);
    assert.ok(
      !isGone || !this.#ledger.isRetractedIn(written, tip),
      `${this.#name} got ${id}, which was taken back before`,
    );
    if (event !== 'state') assert.equal(fields['text'] ?? (fields['data'] as { text: string }).text, written.mark);
    this.#arrive(written);
  }

  #arrive(written: Written): void {
    const { id } = written;
    this.#mayNotSkip(written.before, `was given ${id}`);
    assert.ok(!this.#ledger.isBehind(written, this.#at ?? null), `${this.#name} got ${id} twice or too late`);
    const isLate = this.barrier !== null && written !== this.barrier && this.#ledger.isBehind(this.barrier, written);
    assert.ok(!isLate, `${this.#name} got ${id}, and was to get nothing after ${this.barrier?.id}`);
    this.#at = written;
    this.received += 1;
  }

  /** Everything up to `to` must be what it had, or nothing that it is owed. */
  #mayNotSkip(to: Written | null, what: string): void {
    if (this.#at === undefined) return;
    assert.ok(this.#ledger.isBehind(this.#at, to), `${this.#name} ${what}, but its past is not that history`);
    const skipped = this.#between(this.#at, to).map(({ id }) => id);
    assert.deepEqual(skipped, [], `${this.#name} ${what}, but never got these`);
  }

  /** What it is owed after one record up to another. A change of state is paid by any state as new. */
  #between(after: Written | null, upTo: Written | null): Written[] {
    return this.#mayCount(after, upTo).filter((one) => !this.#ledger.isRetracted(one));
  }

  /** The same, with what was taken back. */
  #mayCount(after: Written | null, upTo: Written | null): Written[] {
    return this.#ledger
      .between(after, upTo)
      .filter(({ seen }) => maySee(seen, this.person))
      .filter(({ part, offset }) => part === null || !this.#knows(part.name, offset));
  }

  #knows(part: string, version: number): boolean {
    return this.#stateAsOf >= version || (this.parts.get(part)?.version ?? -1) >= version;
  }

  #snapshot({ total, parts, removed, whole }: StateData): void {
    assert.equal(whole === true, this.#isStateOwed, `${this.#name}: a whole state exactly where its past was broken`);
    this.#isStateOwed = false;
    if (whole) {
      this.parts.clear();
      this.likes = 0;
      this.#likesTold = 0;
    }
    this.#set(parts, removed, total);
    // A snapshot knows the state up to its total; the log has no later change then.
    this.#stateAsOf = total;
  }

  #change({ total, parts, removed }: StateData): void {
    const names = [...Object.keys(parts), ...removed];
    for (const name of names) {
      const known = this.parts.get(name)?.version ?? 0;
      assert.ok(total > known, `${this.#name}: the part ${name} went back from version ${known} to ${total}`);
    }
    this.#set(parts, removed, total);
  }

  #set(parts: StateData['parts'], removed: readonly string[], total: number): void {
    for (const [name, { version, value }] of Object.entries(parts)) {
      const sum = value as { mark?: string; total?: number } | undefined;
      this.parts.set(name, { version, mark: name === counterPart ? String(sum?.total) : sum?.mark });
      if (name === counterPart) this.likes = sum?.total ?? 0;
    }
    for (const name of removed) this.parts.delete(name);
    assert.ok(total >= 0);
  }

  /** Fleeting: it has no id, and the newest is the one that holds. */
  #count(audience: { viewers: number; users: number }, id: string | undefined): void {
    assert.equal(id, undefined, 'how many watch is not of the log');
    assert.deepEqual(Object.keys(audience).sort(), ['users', 'viewers']);
    for (const number of Object.values(audience)) assert.ok(Number.isSafeInteger(number) && number >= 0, `${number}`);
    this.audience = audience;
  }

  #like({ delta, total }: { delta: number; total: number }): void {
    assert.ok(delta > 0, 'a sum only grows');
    const { totals } = this.#ledger;
    assert.ok(
      totals.size === 0 || totals.has(total),
      `${this.#name} was told of ${total} likes, which there never were`,
    );
    assert.ok(total > this.#likesTold, `${this.#name} was told of ${total} likes after ${this.#likesTold}`);
    this.#likesTold = total;
    this.likes = total;
  }
}

/** The body of one stream, as it came. */
export interface Stream {
  readonly bytes: Buffer;
  readonly isGzip: boolean;
}

/** What a viewer was told, once its bytes are held against the history. */
export interface Told {
  /** Gaps and resets that were declared. */
  readonly declared: readonly string[];
  /** The verdict of each stream. */
  readonly verdicts: readonly string[];
}

/**
 * Fails where a viewer lacks something that it was not told of, or has something twice, too early or not for it. Owed is
 * everything, or what a stream that was cut began with.
 */
export function judge(
  person: Person,
  streams: readonly Stream[],
  ledger: Ledger,
  owed: 'everything' | 'a beginning' = 'everything',
): Told {
  const oracle = new Oracle(person, ledger);
  const verdicts = streams.map(({ bytes, isGzip }) => {
    oracle.connect(isGzip);
    oracle.feed(bytes);
    const left = oracle.gaps.filter(({ cause, isLeast }) => cause === 'failover' && !isLeast);
    assert.deepEqual(left, [], `${person.id} was not given what there is`);
    return String(oracle.resume?.verdict);
  });
  if (owed === 'everything') oracle.assertComplete();
  return { declared: oracle.declared, verdicts };
}

interface StateData {
  readonly total: number;
  readonly parts: Record<string, { version: number; value?: unknown }>;
  readonly removed: readonly string[];
  readonly whole?: true;
}
