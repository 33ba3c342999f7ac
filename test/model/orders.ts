/**
 * Where history ends and live begins: the order in which the log's answers, the appends and their deliveries happen is
 * decided by fast-check's scheduler, around one hub and viewers who join or come back. In whatever order, each of them
 * has everything once and in order.
 */

import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Hub } from '../../src/hub/hub.ts';
import { MemoryStore } from '../../src/log/memory/memory-log.ts';
import { parsePosition } from '../../src/log/position.ts';
import { readSettings } from '../../src/settings.ts';
import { FakeClock } from '../rig/fake-clock.ts';
import { FakeSocket } from '../rig/fake-socket.ts';
import { asBackend, joined, type NodeLog } from '../rig/joined.ts';
import { Ledger } from '../rig/ledger.ts';
import { Oracle } from '../rig/oracle.ts';
import { people, room, toIdentity, turn } from './cast.ts';
import { Chronicle } from './chronicle.ts';
import { Writers } from './writers.ts';

/** Each answer, and each message of the log, comes when the scheduler says so; messages stay in their order. */
function scheduled(log: NodeLog, scheduler: fc.Scheduler): NodeLog {
  const answering =
    <Args extends unknown[], Answer>(name: string, call: (...args: Args) => Promise<Answer>) =>
    async (...args: Args): Promise<Answer> => {
      await scheduler.schedule(Promise.resolve(), `ask ${name}`);
      const answer = await call.apply(log, args);
      await scheduler.schedule(Promise.resolve(), `answer ${name}`);
      return answer;
    };
  const follow = answering('follow', log.follow);
  let delivered: Promise<unknown> = Promise.resolve();
  const inOrder = (deliver: () => void): void => {
    delivered = delivered.then(() => scheduler.schedule(Promise.resolve(), 'deliver')).then(deliver);
  };
  return {
    append: log.append.bind(log),
    settle: log.settle.bind(log),
    prolong: log.prolong.bind(log),
    read: answering('read', log.read),
    readState: answering('readState', log.readState),
    readRules: log.readRules.bind(log),
    enter: answering('enter', log.enter),
    renew: log.renew.bind(log),
    leave: log.leave.bind(log),
    follow: (id, subscriber) =>
      follow(id, {
        heard: (message) => inOrder(() => subscriber.heard(message)),
        resumed: () => inOrder(() => subscriber.resumed()),
      }),
    unfollow: log.unfollow.bind(log),
    isReady: log.isReady.bind(log),
    health: log.health.bind(log),
    close: log.close.bind(log),
  };
}

interface Order {
  readonly viewers: number;
  readonly before: number;
  readonly during: number;
  readonly isReturning: boolean;
  /** Every so many writes are a change of state, and every so many others are for the first viewer alone. */
  readonly rhythm: number;
}

const order: fc.Arbitrary<Order> = fc.record({
  viewers: fc.integer({ min: 1, max: 2 }),
  before: fc.integer({ min: 0, max: 5 }),
  during: fc.integer({ min: 5, max: 15 }),
  isReturning: fc.boolean(),
  rhythm: fc.integer({ min: 2, max: 4 }),
});

class Stage {
  readonly clock = new FakeClock();
  readonly ledger = new Ledger();
  readonly watchers: readonly Oracle[];
  readonly #sockets: FakeSocket[] = [];
  readonly #writers: Writers;
  readonly #hub: Hub;
  readonly #rhythm: number;
  #written = 0;

  constructor(scheduler: fc.Scheduler, { viewers, rhythm }: Order) {
    const settings = readSettings({ TAPE_BYTES_MAX: '1048576' });
    const store = new MemoryStore(settings, this.clock);
    const chronicle = new Chronicle(this.ledger, { entries: 1000, ttlMs: 1e9, replayMax: 1000 });
    this.#writers = new Writers(store, this.clock, this.ledger, chronicle, 0);
    this.#hub = new Hub(asBackend(scheduled(joined(store.open('node')), scheduler)), settings, this.clock, (error) => {
      throw error;
    });
    this.#rhythm = rhythm;
    this.watchers = people.slice(0, viewers).map((person) => new Oracle(person, this.ledger));
  }

  write(): void {
    this.#written += 1;
    const beat = this.#written % (this.#rhythm * 2);
    if (beat === 0) this.#writers.put('title');
    else this.#writers.publish(beat === this.#rhythm ? { users: ['ann'] } : 'all');
  }

  async join(viewer: number): Promise<void> {
    const watcher = this.watchers[viewer];
    assert.ok(watcher);
    const from = watcher.lastId === null ? null : parsePosition(watcher.lastId);
    const identity = toIdentity(watcher.person, Number.POSITIVE_INFINITY);
    const admission = await this.#hub.admit({ room, identity, from, history: 0 });
    assert.ok(admission.outcome === 'admitted');
    const socket = new FakeSocket();
    this.#sockets[viewer] = socket;
    watcher.connect(false);
    this.#hub.open(admission, socket.asSocket, 'identity', Buffer.alloc(0));
  }

  read(): void {
    for (const [viewer, watcher] of this.watchers.entries()) {
      const socket = this.#sockets[viewer];
      if (socket) watcher.feed(socket.take());
    }
  }

  /** Lets flushes run until nothing is under way. */
  async rest(): Promise<void> {
    for (let round = 0; round < 6; round += 1) await this.clock.advanceGently(100, 50);
    this.read();
  }

  leave(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): Promise<void> {
    return this.#hub.close();
  }
}

export async function tryOrders(runs: number, seed: number): Promise<void> {
  const property = fc.asyncProperty(fc.scheduler(), order, async (scheduler, how) => {
    const stage = new Stage(scheduler, how);
    for (let count = 0; count < how.before; count += 1) stage.write();
    if (how.isReturning) {
      await scheduler.waitFor(Promise.all([...stage.watchers.keys()].map((viewer) => stage.join(viewer))));
      stage.write();
      await scheduler.waitIdle();
      await stage.rest();
      stage.leave();
      await turn();
      stage.write();
    }
    const joining = [...stage.watchers.keys()].map(async (viewer) => {
      await scheduler.schedule(Promise.resolve(), `join ${viewer}`);
      await stage.join(viewer);
    });
    const writing = Array.from({ length: how.during }, (_, write) =>
      scheduler.schedule(Promise.resolve(), `write ${write}`).then(async () => {
        stage.write();
        // Flushes fall between the steps too.
        await stage.clock.advanceGently(20);
      }),
    );
    await scheduler.waitFor(Promise.all([...joining, ...writing]));
    for (let round = 0; round < 20; round += 1) {
      await scheduler.waitIdle();
      await turn();
    }
    await stage.rest();
    for (const watcher of stage.watchers) {
      watcher.assertComplete();
      assert.deepEqual(watcher.declared, [], 'nothing was lost, so nothing is declared');
    }
    const closing = stage.close();
    await scheduler.waitIdle();
    await closing;
  });
  await fc.assert(property, { numRuns: runs, seed });
}
