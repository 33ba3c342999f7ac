/** The contract of a room's log: users who come and go in crowds. */

import assert from 'node:assert/strict';
import type { UserId } from '../../src/model.ts';
import { end, event, type OpenHarness, promise, rule, type Stage, user } from './stage.ts';

const crowd = (size: number): UserId[] => Array.from({ length: size }, (_, n) => user(`user-${n}`));

/** Which of the users have a stream on record, asked a hundred at a time. */
async function connectedOf(stage: Stage, users: readonly UserId[]): Promise<number> {
  let connected = 0;
  for (let n = 0; n < users.length; n += 100) {
    connected += (await stage.keep(event('x', users.slice(n, n + 100)), { by: user('host') })).connected;
  }
  return connected;
}

export function attendingContract(open: OpenHarness): void {
  promise('of thousands who enter at once each is answered as if alone', open, async (stage) => {
    const users = crowd(2000);
    const isOut = (n: number): boolean => n % 50 === 7;
    for (const [n, each] of users.entries()) if (isOut(n)) await stage.keep(rule('ban', each, 0), { by: user('host') });
    const { position } = await stage.keep(event('before'), { by: user('host') });
    const asked = users.map((each) => stage.log.enter(stage.room, each));
    const answers = await Promise.all([...asked, stage.log.enter(stage.room, null)]);
    assert.ok(answers.every(({ tail, ended }) => tail.offset === position.offset && !ended));
    assert.deepEqual(
      answers.map(({ banned }) => banned),
      [...users.keys()].map(isOut).concat(false),
    );
    // The first one begins the lease that the others find.
    assert.deepEqual(
      answers.flatMap(({ lapsed }, n) => (lapsed ? [n] : [])),
      [0],
    );
    assert.equal(await connectedOf(stage, users), 2000 - 40);
  });

  promise('whatever the crowd, a user is where it was last said to be', open, async (stage) => {
    const users = crowd(300);
    const two = await stage.harness.node('two');
    const done: Promise<unknown>[] = [];
    // As many steps as the user's number says, so that the last one is to come in for half of them and to leave for half.
    for (let step = 0; step < 6; step += 1) {
      for (const [n, each] of users.entries()) {
        if (step > n % 6) continue;
        done.push(step % 2 === 0 ? stage.log.enter(stage.room, each) : stage.log.leave(stage.room, each));
      }
    }
    await Promise.all(done);
    const isIn = (n: number): boolean => (n % 6) % 2 === 0;
    assert.equal(
      await connectedOf(
        stage,
        users.filter((_, n) => isIn(n)),
      ),
      150,
    );
    assert.equal(
      await connectedOf(
        stage,
        users.filter((_, n) => !isIn(n)),
      ),
      0,
    );
    await Promise.all(users.map((each) => two.enter(stage.room, each)));
    await Promise.all(users.map((each) => stage.log.leave(stage.room, each)));
    assert.equal(await connectedOf(stage, users), 300);
    await Promise.all(users.map((each) => two.leave(stage.room, each)));
    assert.equal(await connectedOf(stage, users), 0);
  });

  promise('the tail that entering tells is never older than the question', open, async (stage) => {
    const two = await stage.harness.node('two');
    const crowds: Promise<unknown>[] = [];
    for (let n = 0; n < 100; n += 1) {
      crowds.push(...crowd(20).map((each) => stage.log.enter(stage.room, each)));
      const { position } = await stage.keep(event(`${n}`), {}, two);
      const { tail } = await stage.log.enter(stage.room, n % 2 ? null : user('ann'));
      assert.ok(tail.offset >= position.offset, `${tail.offset} after ${position.offset}`);
    }
    await Promise.all(crowds);
  });

  promise('a crowd at the door of an ended room is told so', open, async (stage) => {
    await stage.keep(end);
    const answers = await Promise.all(crowd(50).map((each) => stage.log.enter(stage.room, each)));
    assert.ok(answers.every(({ ended, banned }) => ended && !banned));
  });
}
