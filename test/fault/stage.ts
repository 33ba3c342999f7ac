/**
 * What the tests of a failing Redis stand on: real gateways over HTTP on one real Redis, viewers on real sockets whose
 * every byte is kept, and writers that repeat a write with its key until it is kept. When all is over, what was
 * acknowledged is laid out as the log's history, and each viewer's bytes are held against it.
 */

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import type { RoomId } from '../../src/model.ts';
import { type RunningGateway, room, startGateway, tokenOf } from '../rig/gateway.ts';
import { metaKey } from '../rig/keys.ts';
import { Ledger, type Person, type Seen, splitId } from '../rig/ledger.ts';
import { judge, type Told } from '../rig/oracle.ts';
import { Viewer } from '../rig/viewer.ts';
import { waitFor } from '../rig/wait-for.ts';

export const deadlineMs = 800;
/** What a busy machine may add to a deadline. */
export const slackMs = 700;
/** How soon everybody must have everything once the log is back. */
const catchUpMs = 8000;

const pace = { LOG_DEADLINE_MS: String(deadlineMs), RENEW_MS: '300', HEARTBEAT_MS: '500', RETRY_MS: '100' };

export const openGateway = (redisUrl: string, nodeId: string, environment = {}): Promise<RunningGateway> =>
  startGateway({ redisUrl, environment: { NODE_ID: nodeId, ...pace, ...environment } });

/** What a gateway says of its own readiness, and waiting for it; `gateway` gives the one of the present test. */
export function readinessOf(gateway: () => RunningGateway) {
  const ready = async (): Promise<{ status: number; reason: string; risks: readonly string[] }> => {
    const answer = await gateway().gateway.admin.inject('/readyz');
    const { reason = '', risks = [] } = answer.json() as { reason?: string; risks?: string[] };
    return { status: answer.statusCode, reason, risks };
  };
  return {
    ready,
    told: (pattern: RegExp) =>
      waitFor(async () => pattern.test((await ready()).reason), {
        what: `/readyz to say ${pattern}`,
        timeoutMs: 15_000,
      }),
    isReadyAgain: () =>
      waitFor(async () => (await ready()).status === 200, { what: 'the gateway to be ready', timeoutMs: 5000 }),
    /** Log lines that match. */
    lines: (pattern: RegExp): readonly string[] => gateway().lines.filter((line) => pattern.test(line)),
  };
}

const people: readonly Person[] = [
  { id: 'ann', isStaff: false, tags: [] },
  { id: 'bob', isStaff: false, tags: ['gold'] },
  { id: 'cat', isStaff: true, tags: [] },
];

/** A Redis, of whatever kind, that answers commands. */
type Asked = { cli(...args: string[]): Promise<string> };

interface Acknowledged {
  readonly id: string;
  readonly seen: Seen;
  readonly mark: string;
  readonly part: { readonly name: string; readonly mark: string } | null;
}

/** Writes of every audience, each with a key of its own, repeated over all gateways by turns until it is kept. */
export class Writers {
  readonly acknowledged: Acknowledged[] = [];
  /** The codes of refusals, in order. */
  readonly refusals: string[] = [];
  readonly #gateways: readonly RunningGateway[];
  readonly #room: string;
  readonly #answerMsMax: number;
  #writes = 0;
  #isRunning = false;
  #loops: Promise<void>[] = [];

  constructor(gateways: readonly RunningGateway[], at = room, itsDeadlineMs = deadlineMs) {
    this.#gateways = gateways;
    this.#room = at;
    this.#answerMsMax = itsDeadlineMs + slackMs;
  }

  /** So many writes, one after the other, the last one for all. Settles with its offset. */
  async write(count: number, gateways = this.#gateways): Promise<number> {
    for (let left = count; left > 1; left -= 1) await this.#writeOne(gateways);
    const { id } = await this.#writeOne(gateways, 0);
    return splitId(id).offset;
  }

  /** Load until `stop`: some four hundred writes a second at most, so that a test's history stays one that it can check. */
  start(loops = 4): void {
    this.#isRunning = true;
    this.#loops = Array.from({ length: loops }, async () => {
      for (; this.#isRunning; await pause(10)) await this.#writeOne(this.#gateways);
    });
  }

  /** Settles when every write that was begun is kept. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#loops);
  }

  async #writeOne(gateways: readonly RunningGateway[], form?: number): Promise<Acknowledged> {
    this.#writes += 1;
    const number = this.#writes;
    const mark = `mark ${number}`;
    const { seen, part, path, method, body } = asked(form ?? number % 5, mark);
    let attempt = 0;
    const id = await waitFor(
      async () => {
        const gateway = gateways[(number + attempt) % gateways.length];
        attempt += 1;
        return gateway && this.#attempt(gateway, { path, method, body, key: `key-${number}` });
      },
      { what: `the write ${number} to be kept; refusals: ${this.refusals.slice(-5)}`, timeoutMs: 30_000 },
    );
    const kept = { id, seen, mark, part };
    this.acknowledged.push(kept);
    return kept;
  }

  /** The id of what was kept; null for a refusal that says that the log is unavailable. Nothing else may be answered. */
  async #attempt(gateway: RunningGateway, write: { path: string; method: string; body: unknown; key: string }) {
    const began = performance.now();
    const { status, json, text } = await gateway.ask(`/rooms/${this.#room}/${write.path}`, {
      method: write.method,
      headers: {
        authorization: `Bearer ${tokenOf('hanna', 'host', { rooms: { [this.#room]: 'host' } })}`,
        'content-type': 'application/json',
        'idempotency-key': write.key,
      },
      body: JSON.stringify(write.body),
    });
    const tookMs = performance.now() - began;
    assert.ok(tookMs < this.#answerMsMax, `a write was answered ${status} after ${tookMs} ms`);
    if (status < 300) return String(json['id']);
    const code = String(json['code']);
    assert.ok(status === 503 && ['log-unavailable', 'outcome-unknown'].includes(code), text);
    this.refusals.push(code);
    return null;
  }
}

/** A write as HTTP has it, and who is to see it. */
function asked(form: number, mark: string) {
  const post = (kind: string, body: object, seen: Seen) => ({
    method: 'POST',
    path: `actions/${kind}`,
    body,
    seen,
    part: null,
  });
  const data = { text: mark };
  if (form === 1) return post('signal', { type: 'note', data, audience: 'tag:gold' }, { tag: 'gold' });
  if (form === 2) return post('signal', { type: 'note', data, audience: 'staff' }, 'staff');
  if (form === 3) return post('direct', { to: ['bob'], type: 'note', data }, { users: ['bob'] });
  const part = { name: 'title', mark };
  if (form === 4) return { method: 'PUT', path: 'state/title', body: { mark }, seen: 'all' as const, part };
  return post('comment', data, 'all');
}

/** Viewers of every class on each gateway, every other one with gzip. */
export async function seatViewers(gateways: readonly Pick<RunningGateway, 'url'>[], at = room): Promise<Viewer[]> {
  const viewers: Viewer[] = [];
  for (const gateway of gateways) {
    for (const person of people) {
      const viewer = new Viewer(person, viewers.length % 2 === 1, at);
      await viewer.come(gateway);
      viewers.push(viewer);
    }
  }
  return viewers;
}

/** Settled once everybody has what lies at this offset; ids of all epochs count on. */
export async function allReach(viewers: readonly Viewer[], offset: number): Promise<void> {
  for (const viewer of viewers) {
    await waitFor(() => viewer.lastOffset === offset, {
      what: `${viewer.person.id} to reach ${offset}; it is at ${viewer.lastId}`,
      timeoutMs: catchUpMs,
    });
  }
}

/**
 * The acknowledged writes as the log's history, lost branches included: every number once in each of them. An epoch
 * goes on where its first number says; where the log still knows better, it must say the same.
 */
export async function historyOf(server: Asked, acknowledged: readonly Acknowledged[], at = room): Promise<Ledger> {
  const meta = metaKey(at as RoomId);
  const lineage = (await server.cli('hget', meta, 'lineage')).split(' ').filter((text) => text !== '');
  const lasts = new Map(lineage.map((text) => text.split(':') as [string, string]));
  const present = [...lasts.keys(), await server.cli('hget', meta, 'epoch')];
  const ledger = new Ledger();
  for (const epoch of inOrder(new Set(acknowledged.map(({ id }) => splitId(id).epoch)), present)) {
    const its = acknowledged
      .filter(({ id }) => splitId(id).epoch === epoch)
      .toSorted((a, b) => splitId(a.id).offset - splitId(b.id).offset);
    const first = its[0] && splitId(its[0].id).offset;
    ledger.tip = [...ledger.back()].find(({ offset }) => first === undefined || offset < first) ?? null;
    ledger.learn(epoch);
    for (const one of its) ledger.add(one.id, one);
    const next = present[present.indexOf(epoch) + 1];
    const known = lasts.get(epoch);
    if (next !== undefined && known !== undefined) ledger.tip = ledger.resolve(`${epoch}.${known}`);
  }
  return ledger;
}

/** Epochs as they came: those that the log knows by its lineage, those of lost branches by when they were heard of. */
function inOrder(heardOf: ReadonlySet<string>, present: readonly string[]): Set<string> {
  const ordered = new Set<string>();
  for (const epoch of heardOf) {
    for (const older of present.slice(0, present.indexOf(epoch) + 1)) ordered.add(older);
    ordered.add(epoch);
  }
  return new Set([...ordered, ...present]);
}

export const judgeViewer = ({ person, isGzip, streams }: Viewer, ledger: Ledger): Told =>
  judge(
    person,
    streams.map((parts) => ({ bytes: Buffer.concat(parts), isGzip })),
    ledger,
  );

/** Holds everybody to having had everything: no gap, no reset, and every return exact. */
export function assertNobodyLost(viewers: readonly Viewer[], ledger: Ledger): void {
  for (const viewer of viewers) {
    const { declared, verdicts } = judgeViewer(viewer, ledger);
    assert.deepEqual(declared, [], `${viewer.person.id} was told of a loss`);
    assert.deepEqual(verdicts, ['fresh', ...verdicts.slice(1).map(() => 'exact')]);
  }
}
