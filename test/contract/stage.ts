/** What the tests of the log's contract stand on: the harness that an implementation provides, and short words. */

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import type { MemoryLimits } from '../../src/log/memory/record.ts';
import { formatPosition, type Position } from '../../src/log/position.ts';
import type { ViewerCount } from '../../src/log/presence.ts';
import type { Appended, Change, IfVersion, LogMessage, Subscriber, Write } from '../../src/log/room-log.ts';
import type { Entry, RoomId, UserId } from '../../src/model.ts';
import type { NodeLog } from '../rig/joined.ts';
import { waitFor } from '../rig/wait-for.ts';

/** What a test may set; the rest is as the implementation likes. */
export type LogSettings = MemoryLimits;

/** One store, and the nodes that share it. */
export interface Harness {
  /** The link of a node, the same one for the same id. */
  node(id: string): Promise<NodeLog>;
  /** The store restarts and keeps everything. Links may need a moment afterwards. */
  restart(): Promise<void>;
  /** The store comes back empty. */
  forget(): Promise<void>;
  /** Lets time pass for the store, by waiting or by making all that it holds so much older. */
  tick(ms: number): Promise<void>;
  /** Closes every node and the store. */
  close(): Promise<void>;
}

export type OpenHarness = (settings: Partial<LogSettings>) => Promise<Harness>;

/** The status of an entry, or its lane where it has none. */
export const markOf = ({ lane, status }: Entry): string => status ?? lane;

/** A node's ear in a room: everything that it heard, in that order. */
export class Ear implements Subscriber {
  readonly heardEntries: Extract<LogMessage, { type: 'entry' }>[] = [];
  readonly counts: Extract<LogMessage, { type: 'count' }>[] = [];
  readonly prolongs: Extract<LogMessage, { type: 'prolong' }>[] = [];
  readonly audiences: ViewerCount[] = [];
  resumes = 0;

  heard(message: LogMessage): void {
    if (message.type === 'entry') this.heardEntries.push(message);
    else if (message.type === 'count') this.counts.push(message);
    else if (message.type === 'prolong') this.prolongs.push(message);
    else this.audiences.push({ viewers: message.viewers, users: message.users });
  }

  resumed(): void {
    this.resumes += 1;
  }

  get entries(): readonly Entry[] {
    return this.heardEntries.map(({ entry }) => entry);
  }

  get offsets(): readonly number[] {
    return this.entries.map(({ offset }) => offset);
  }

  async has(count: number): Promise<void> {
    await waitFor(() => this.heardEntries.length >= count, { what: `${count} entries, heard ${this.offsets}` });
  }
}

export const user = (name: string): UserId => name as UserId;
export const freshRoom = (): RoomId => `room-${randomUUID()}` as RoomId;

export const event = (text = 'hello', audience: Entry['audience'] = 'all'): Change => ({
  type: 'event',
  kind: 'comment',
  lane: 'chat',
  audience,
  body: JSON.stringify({ text }),
});
export const put = (part: string, value: unknown, ifVersion: IfVersion = null): Change => ({
  type: 'put',
  part,
  value: JSON.stringify(value),
  ifVersion,
});
export const remove = (part: string, ifVersion: IfVersion = null): Change => ({ type: 'remove', part, ifVersion });
export const count = (by: number, counter = 'likes'): Change => ({ type: 'count', counter, by });
export const end: Change = { type: 'end', body: '{"cause":"ended"}' };

export function rule(name: 'ban' | 'mute', target: UserId, seconds: number | null): Change {
  const kind = seconds === null ? `un${name}` : name;
  return { type: 'rule', kind, rule: name, user: target, seconds, body: JSON.stringify({ user: target }) };
}

/** One room on a stage of its own, with a first node at hand. */
export class Stage {
  readonly harness: Harness;
  readonly room: RoomId = freshRoom();
  readonly log: NodeLog;

  constructor(harness: Harness, log: NodeLog) {
    this.harness = harness;
    this.log = log;
  }

  append(change: Change, more: Partial<Write> = {}, log: NodeLog = this.log): Promise<Appended> {
    const role = change.type === 'rule' ? 'moderator' : 'viewer';
    const plain: Write = { room: this.room, by: user('ann'), role, once: null, rate: null, mutable: true, change };
    return log.append({ ...plain, ...more });
  }

  /** Appends what must be kept. */
  async keep(change: Change, more: Partial<Write> = {}, log: NodeLog = this.log) {
    const answer = await this.append(change, more, log);
    assert.equal(answer.outcome, 'kept', `refused: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** Appends what must be refused with this code. */
  async refuse(code: string, change: Change, more: Partial<Write> = {}) {
    const answer = await this.append(change, more);
    assert.ok(answer.outcome === 'refused' && answer.code === code, `not ${code}: ${JSON.stringify(answer)}`);
    return answer;
  }

  async keepMany(entries: number): Promise<Position> {
    let position: Position | null = null;
    for (let n = 1; n <= entries; n += 1) ({ position } = await this.keep(event(`${n}`)));
    assert.ok(position);
    return position;
  }

  async follow(log: NodeLog = this.log): Promise<Ear> {
    const ear = new Ear();
    await log.follow(this.room, ear);
    return ear;
  }

  async tail() {
    return (await this.log.readState(this.room)).tail;
  }

  /** Settled when the store answers again. */
  async back(log: NodeLog = this.log): Promise<void> {
    await waitFor(async () => (await log.readState(this.room)) !== null, { what: 'the store to be back' });
  }
}

/** A test of the contract, on a store with these settings. */
export function promise(
  name: string,
  open: OpenHarness,
  run: (stage: Stage, t: TestContext) => Promise<void>,
  settings: Partial<LogSettings> = {},
): void {
  test(name, async (t) => {
    const harness = await open(settings);
    t.after(() => harness.close());
    await run(new Stage(harness, await harness.node('one')), t);
  });
}

export const idOf = (entry: Entry): string => formatPosition(entry);
