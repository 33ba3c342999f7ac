import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Refusal } from '../../../src/errors.ts';
import type { Loss } from '../../../src/fanout/gap.ts';
import type { Position } from '../../../src/log/position.ts';
import { leaseMs } from '../../../src/log/presence.ts';
import type { LogMessage, Reading, RoomLog, RoomState } from '../../../src/log/room-log.ts';
import type { Entry, Epoch, RoomId, UserId } from '../../../src/model.ts';
import { asideMax, Intake, type Sink } from '../../../src/room/intake.ts';
import { FakeClock } from '../../rig/fake-clock.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const entryAt = (offset: number, epoch: string): Entry => ({
  epoch: epoch as Epoch,
  offset,
  at: 0,
  kind: 'note',
  lane: 'must',
  audience: 'all',
  body: '{}',
});
const heard = (offset: number, previous = offset - 1, epoch = 'e1'): LogMessage => ({
  type: 'entry',
  entry: entryAt(offset, epoch),
  previous,
});

const bare = ({ epoch, offset }: Position): Position => ({ epoch, offset });

/** A log that a test sets by hand: where it stands, what it keeps, and whether it answers. */
function build() {
  const clock = new FakeClock();
  const log = {
    epoch: 'e1',
    offset: 0,
    first: 1,
    lineage: [] as { epoch: Epoch; last: number }[],
    isAway: false,
    reads: 0,
    isFollowed: false,
    gate: Promise.resolve(),
    /** Entries for one user alone. */
    peers: new Map<number, string>(),
  };
  const tail = () => ({ ...log, epoch: log.epoch as Epoch });
  const answer = async <Answer>(make: () => Answer): Promise<Answer> => {
    await log.gate;
    if (log.isAway) throw new Refusal('log-unavailable', 'away');
    return make();
  };
  const roomLog: Pick<RoomLog, 'follow' | 'unfollow' | 'read' | 'readState'> = {
    follow: async () => {
      log.isFollowed = true;
    },
    unfollow: async () => {
      log.isFollowed = false;
    },
    read: (_room: RoomId, after: Position | null, limit: number): Promise<Reading> =>
      answer(() => {
        log.reads += 1;
        const from = Math.max((after?.offset ?? 0) + 1, log.first);
        const count = Math.max(0, Math.min(limit, log.offset - from + 1));
        const entries = Array.from({ length: count }, (_, at) => {
          const user = log.peers.get(from + at);
          return user === undefined ? entryAt(from + at, log.epoch) : peerAt(from + at, user);
        });
        return { tail: tail(), entries, retracted: 0 };
      }),
    readState: () =>
      answer((): RoomState => ({ tail: tail(), total: 0, parts: new Map(), banned: false, ended: false })),
  };
  const taken: number[] = [];
  const losses: Loss[] = [];
  const words: string[] = [];
  const here: string[] = [];
  const sink: Sink = {
    apply: (entry) => taken.push(entry.offset),
    counted: (counter, total) => words.push(`${counter} ${total}`),
    watched: ({ viewers }) => words.push(`watched ${viewers}`),
    prolonged: (user) => words.push(`prolonged ${user}`),
    lost: ({ from, to, ...loss }) => losses.push({ from: bare(from), to: bare(to), ...loss }),
    renamed: ({ epoch }) => words.push(`renamed ${epoch}`),
    register: async () => void words.push('register'),
    hasUsers: () => here.length > 0,
    isHere: (users) => users.some((user) => here.includes(user)),
    renew: () => {
      const call = intake.leaseCall();
      return answer(() => {
        if (call.position.epoch === log.epoch && call.position.offset > log.offset) {
          log.lineage = [{ epoch: log.epoch as Epoch, last: log.offset }];
          log.epoch = 'e2';
        }
        intake.leased(call, { lapsed: false });
      });
    },
  };
  const intake = new Intake('room' as RoomId, roomLog as RoomLog, clock, sink, 1000);
  const hear = (...messages: LogMessage[]): void => {
    for (const message of messages) {
      if (message.type === 'entry') log.offset = Math.max(log.offset, message.entry.offset);
      intake.heard(message);
    }
  };
  const open = async (): Promise<void> => {
    await intake.open();
    intake.begin();
  };
  return { clock, log, intake, taken, losses, words, here, hear, open };
}

test('entries that are heard in order go straight on, without a read', async () => {
  const { open, hear, taken, log } = build();
  await open();
  hear(heard(1), heard(2), heard(3));
  assert.deepEqual(taken, [1, 2, 3]);
  assert.equal(log.reads, 0);
});

test('an entry that is heard twice is let through once', async () => {
  const { open, hear, taken } = build();
  await open();
  hear(heard(1), heard(1), heard(2), heard(1));
  assert.deepEqual(taken, [1, 2]);
});

test('what is heard while the room is opened waits, and what the state holds already is left out', async () => {
  const { intake, hear, taken, log } = build();
  log.offset = 2;
  const opening = intake.open();
  hear(heard(2), heard(3));
  await opening;
  // The state was read when the log stood at 3.
  hear(heard(4));
  intake.begin();
  assert.deepEqual(taken, [4]);
});

test('entries that were for others leave holes that are no break', async () => {
  const { open, hear, taken, log } = build();
  await open();
  hear(heard(1), heard(4, 1), heard(5, 4));
  assert.deepEqual(taken, [1, 4, 5]);
  assert.equal(log.reads, 0);
});

test('a break in the numbers is read from the log before anything later is let through', async () => {
  const { open, hear, taken, losses } = build();
  await open();
  hear(heard(1), heard(4));
  assert.deepEqual(taken, [1]);
  hear(heard(5));
  await turn();
  assert.deepEqual(taken, [1, 2, 3, 4, 5]);
  assert.deepEqual(losses, []);
});

test('a cut link makes it put its users on record again, and read what it missed', async () => {
  const { open, hear, taken, words, log, intake } = build();
  await open();
  hear(heard(1));
  log.offset = 3;
  intake.resumed();
  await turn();
  assert.deepEqual(taken, [1, 2, 3]);
  assert.deepEqual(words, ['register']);
});

test('whoever asks for a tail waits until everything up to there was let through', async () => {
  const { open, taken, log, intake } = build();
  await open();
  log.offset = 7;
  await intake.reach({ epoch: 'e1' as Epoch, offset: 7, first: 1, lineage: [] });
  assert.deepEqual(taken, [1, 2, 3, 4, 5, 6, 7]);
});

test('entries that the log no longer has are declared, with their number', async () => {
  const { open, hear, taken, losses, log } = build();
  await open();
  hear(heard(1));
  log.first = 6;
  hear(heard(8));
  await turn();
  assert.deepEqual(taken, [1, 6, 7, 8]);
  const [from, to] = [1, 5].map((offset) => ({ epoch: 'e1', offset }));
  assert.deepEqual(losses, [{ from, to, missed: 4, cause: 'trimmed' }]);
});

test('another epoch that continues the same history is a new name and no loss', async () => {
  const { open, hear, taken, losses, words, log } = build();
  await open();
  hear(heard(1), heard(2));
  log.epoch = 'e2';
  log.lineage = [{ epoch: 'e1' as Epoch, last: 2 }];
  hear(heard(3, 2, 'e2'));
  await turn();
  assert.deepEqual(taken, [1, 2, 3]);
  assert.deepEqual(losses, []);
  assert.ok(words.includes('renamed e2') && words.includes('register'));
});

test('entries of a history that was lost are declared, and nobody claims to know how many', async () => {
  const { open, hear, taken, losses, log } = build();
  await open();
  hear(heard(1), heard(2), heard(3));
  log.epoch = 'e2';
  log.offset = 2;
  log.lineage = [{ epoch: 'e1' as Epoch, last: 1 }];
  hear(heard(2, 1, 'e2'));
  await turn();
  assert.deepEqual(taken, [1, 2, 3, 2]);
  const loss = { from: { epoch: 'e1', offset: 3 }, to: { epoch: 'e2', offset: 1 } };
  assert.deepEqual(losses, [{ ...loss, missed: null, cause: 'failover' }]);
});

test('while the log is unavailable it tries again with pauses, and then lets everything through once', async () => {
  const { open, hear, taken, log, clock } = build();
  await open();
  hear(heard(1));
  log.isAway = true;
  hear(heard(3), heard(4));
  await clock.advanceGently(20_000, 50);
  assert.deepEqual(taken, [1]);
  log.isAway = false;
  await clock.advanceGently(10_000, 50);
  assert.deepEqual(taken, [1, 2, 3, 4]);
});

test('a link that is back ends the pause', async () => {
  const { open, hear, taken, log, clock, intake } = build();
  await open();
  log.isAway = true;
  hear(heard(2, 1));
  await clock.advanceGently(60_000, 50);
  log.isAway = false;
  intake.resumed();
  await turn();
  assert.deepEqual(taken, [1, 2]);
});

test('what is kept aside is bounded; what is beyond the bound is read from the log', async () => {
  const { open, hear, taken, log } = build();
  await open();
  let answer = (): void => undefined;
  log.gate = new Promise((resolve) => {
    answer = resolve;
  });
  for (let offset = 2; offset <= asideMax + 500; offset += 1) hear(heard(offset));
  assert.deepEqual(taken, []);
  answer();
  await turn();
  assert.deepEqual(
    taken,
    Array.from({ length: asideMax + 500 }, (_, at) => at + 1),
  );
});

test('fleeting words go straight on, also while it is behind', async () => {
  const { open, hear, words, log } = build();
  await open();
  log.isAway = true;
  hear(heard(5), { type: 'count', epoch: 'e1' as Epoch, counter: 'likes', total: 9 });
  assert.deepEqual(words, ['likes 9']);
});

test('nothing is let through after closing, no timer is left, and the room is not followed', async () => {
  const { open, hear, taken, log, clock, intake } = build();
  await open();
  log.isAway = true;
  hear(heard(3));
  await turn();
  assert.equal(clock.timers, 1);
  await intake.close();
  hear(heard(4));
  await turn();
  assert.deepEqual(taken, []);
  assert.equal(clock.timers, 0);
  assert.equal(log.isFollowed, false);
});

const peerAt = (offset: number, user: string): Entry => ({ ...entryAt(offset, 'e1'), audience: [user as UserId] });

test('while the lease may have run out nothing passes before the users are on record again and the log was read', async () => {
  const { open, hear, taken, words, log, here, intake, clock } = build();
  await open();
  here.push('ann');
  intake.leased(intake.leaseCall(), { lapsed: true });
  hear(heard(1));
  clock.advance(leaseMs);
  log.peers.set(2, 'ann');
  log.offset = 2;
  hear(heard(3, 1));
  assert.deepEqual(taken, [1]);
  await turn();
  assert.deepEqual(taken, [1, 2, 3]);
  assert.deepEqual(words, ['register']);
});

test('where nobody is here who could be named, a lease that ran out holds nothing back', async () => {
  const { open, hear, taken, intake, clock, log } = build();
  await open();
  intake.leased(intake.leaseCall(), { lapsed: false });
  clock.advance(leaseMs);
  hear(heard(1));
  assert.deepEqual(taken, [1]);
  assert.equal(log.reads, 0);
});

test('a lease that ended without a warning: a gap where something for users here was passed over, and none elsewhere', async () => {
  for (const [named, gaps] of [
    ['ann', 1],
    ['bob', 0],
  ] as const) {
    const { open, hear, losses, log, here, intake } = build();
    await open();
    here.push('ann');
    intake.leased(intake.leaseCall(), { lapsed: false });
    log.peers.set(1, named);
    hear(heard(2, 0));
    intake.leased(intake.leaseCall(), { lapsed: true });
    await turn();
    assert.equal(losses.length, gaps);
    if (gaps === 0) continue;
    const at = { epoch: 'e1', offset: 2 };
    assert.deepEqual(losses[0], { from: at, to: at, missed: null, cause: 'failover' });
  }
});

test('a log that has less than it gave is told so, and what it lost is declared', async () => {
  const { open, hear, losses, taken, log, intake } = build();
  await open();
  hear(heard(1), heard(2), heard(3));
  log.offset = 1;
  intake.resumed();
  await turn();
  assert.equal(log.epoch, 'e2');
  assert.deepEqual(
    losses.map(({ to, missed, cause }) => ({ to, missed, cause })),
    [{ to: { epoch: 'e2', offset: 1 }, missed: null, cause: 'failover' }],
  );
  hear(heard(2, 1, 'e2'));
  assert.deepEqual(taken, [1, 2, 3, 2]);
});

test('of a history that nobody knew everything there is follows the gap', async () => {
  const { open, hear, taken, losses, log } = build();
  await open();
  hear(heard(1), heard(2), heard(3));
  log.epoch = 'e2';
  log.offset = 1;
  hear(heard(2, 1, 'e2'));
  await turn();
  assert.deepEqual(taken, [1, 2, 3, 1, 2]);
  assert.deepEqual(
    losses.map(({ to }) => to),
    [{ epoch: 'e2', offset: 0 }],
  );
});

test('a sum of another history is not shown, and makes it look', async () => {
  const { open, words, log, intake } = build();
  await open();
  log.epoch = 'e2';
  intake.heard({ type: 'count', epoch: 'e2' as Epoch, counter: 'likes', total: 2 });
  await turn();
  assert.ok(!words.includes('likes 2'));
  assert.equal(intake.position.epoch, 'e2');
});
