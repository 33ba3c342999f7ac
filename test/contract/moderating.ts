/** The contract of a room's log: whom rules bind, who may lift them, who is told, and what of it outlives a room. */

import assert from 'node:assert/strict';
import { type Role, roles } from '../../src/model.ts';
import { count, end, event, markOf, type OpenHarness, promise, put, rule, type Stage, user } from './stage.ts';

const [ann, bob, cat] = [user('ann'), user('bob'), user('cat')];
const retract = (epoch: string, offset: number) =>
  ({ type: 'retract', target: { epoch: epoch as never, offset }, body: JSON.stringify({ id: offset }) }) as const;

/** Which roles of a user are refused, and with what. */
async function refusedAs(stage: Stage, by = ann): Promise<Partial<Record<Role, string>>> {
  const answers = await Promise.all(
    roles.map(async (role) => [role, await stage.append(event(), { by, role })] as const),
  );
  return Object.fromEntries(
    answers.flatMap(([role, answer]) => (answer.outcome === 'refused' ? [[role, answer.code]] : [])),
  );
}

export function moderatingContract(open: OpenHarness): void {
  bindingContract(open);
  superiorContract(open);
  listingContract(open);
  lastingContract(open);
  afterEndContract(open);
}

function bindingContract(open: OpenHarness): void {
  promise('a ban binds lower roles than that of who set it, and never the service', open, async (stage) => {
    await stage.keep(rule('ban', ann, 0), { by: bob, role: 'moderator' });
    assert.deepEqual(await refusedAs(stage), { viewer: 'banned' });
    await stage.keep(rule('ban', ann, 0), { by: bob, role: 'host' });
    assert.deepEqual(await refusedAs(stage), { viewer: 'banned', moderator: 'banned' });
    await stage.keep(rule('ban', ann, 0), { by: bob, role: 'service' });
    assert.deepEqual(await refusedAs(stage), { viewer: 'banned', moderator: 'banned', host: 'banned' });
  });

  promise('a mute binds lower roles than that of who set it', open, async (stage) => {
    await stage.keep(rule('mute', ann, 60), { by: bob, role: 'moderator' });
    assert.deepEqual(await refusedAs(stage), { viewer: 'muted' });
    await stage.keep(rule('mute', ann, 60), { by: bob, role: 'service' });
    assert.deepEqual(await refusedAs(stage), { viewer: 'muted', moderator: 'muted', host: 'muted' });
  });

  promise('at the door and where state is read a ban binds by role too', open, async (stage) => {
    await stage.keep(rule('ban', ann, 0), { by: bob, role: 'host' });
    const entered = await Promise.all(roles.map((role) => stage.log.enter(stage.room, ann, role)));
    assert.deepEqual(
      entered.map(({ banned }) => banned),
      [true, true, false, false],
    );
    const read = await Promise.all(roles.map((role) => stage.log.readState(stage.room, { id: ann, role })));
    assert.deepEqual(
      read.map(({ banned }) => banned),
      [true, true, false, false],
    );
    assert.equal((await stage.log.readState(stage.room, { id: null, role: 'viewer' })).banned, false);
    // Who came in a role that is not bound is on record.
    assert.equal((await stage.keep(event('x', [ann]), { by: cat })).connected, 1);
  });
}

function superiorContract(open: OpenHarness): void {
  promise(
    'a rule that a higher role set is neither lifted nor replaced, and nothing is written',
    open,
    async (stage) => {
      for (const name of ['ban', 'mute'] as const) {
        await stage.keep(rule(name, ann, 60), { by: bob, role: 'host' });
        const { offset } = await stage.tail();
        for (const seconds of [null, 1, 0]) {
          await stage.refuse('not-this-role', rule(name, ann, seconds), { by: cat, role: 'moderator' });
        }
        assert.equal((await stage.tail()).offset, offset);
        await stage.keep(rule(name, ann, 30), { by: cat, role: 'host' });
        await stage.keep(rule(name, ann, null), { by: cat, role: 'service' });
        await stage.keep(rule(name, ann, 60), { by: cat, role: 'moderator' });
        await stage.keep(rule(name, ann, null), { by: bob, role: 'moderator' });
      }
      assert.deepEqual(await refusedAs(stage), {});
    },
  );

  promise('nobody lifts a rule of a higher role that binds themselves', open, async (stage) => {
    await stage.keep(rule('mute', ann, 0), { by: bob, role: 'host' });
    await stage.refuse('not-this-role', rule('mute', ann, null), { by: ann, role: 'moderator', mutable: false });
    await stage.keep(rule('ban', ann, 0), { by: bob, role: 'host' });
    await stage.refuse('banned', rule('ban', ann, null), { by: ann, role: 'moderator', mutable: false });
  });

  promise("a rule that ran out is no higher role's any more", open, async (stage) => {
    await stage.keep(rule('ban', ann, 2), { by: bob, role: 'service' });
    await stage.harness.tick(2001);
    await stage.keep(rule('ban', ann, 1), { by: cat, role: 'moderator' });
    assert.deepEqual(await refusedAs(stage), { viewer: 'banned' });
  });
}

function listingContract(open: OpenHarness): void {
  promise('the rules in force are listed, since when, until when and by whom', open, async (stage) => {
    const two = await stage.harness.node('two');
    assert.deepEqual(await stage.log.readRules(stage.room), []);
    const banned = await stage.keep(rule('ban', ann, 0), { by: bob, role: 'host' });
    const muted = await stage.keep(rule('mute', cat, 60), { by: bob, role: 'moderator' });
    await stage.keep(rule('mute', bob, 1), { by: cat });
    await stage.keep(rule('ban', bob, 60), { by: cat });
    await stage.keep(rule('ban', bob, null), { by: cat });
    await stage.harness.tick(1001);
    const listed = (await two.readRules(stage.room)).toSorted((one, other) => (one.user < other.user ? -1 : 1));
    const { sinceMs = 0 } = listed[1] ?? {};
    assert.deepEqual(listed, [
      { rule: 'ban', user: 'ann', sinceMs: listed[0]?.sinceMs, untilMs: null, role: 'host', body: '{"user":"ann"}' },
      { rule: 'mute', user: 'cat', sinceMs, untilMs: sinceMs + 60_000, role: 'moderator', body: '{"user":"cat"}' },
    ]);
    // The clock of a Redis cannot be moved, so what it holds was made older instead.
    for (const [n, { at }] of [banned, muted].entries()) {
      assert.ok([0, 1001].includes(at - (listed[n]?.sinceMs ?? 0)), `since ${listed[n]?.sinceMs}, set at ${at}`);
    }
  });

  promise(
    'a room holds so many rules and refuses one more; those that ran out make room',
    open,
    async (stage) => {
      await stage.keep(rule('ban', ann, 0), { by: cat });
      await stage.keep(rule('mute', ann, 1), { by: cat });
      await stage.refuse('rules-full', rule('ban', bob, 0), { by: cat });
      await stage.keep(rule('ban', ann, 60), { by: cat });
      await stage.harness.tick(1001);
      await stage.keep(rule('ban', bob, 0), { by: cat });
      await stage.refuse('rules-full', rule('mute', bob, 0), { by: cat });
      await stage.keep(rule('ban', bob, null), { by: cat });
      await stage.keep(rule('mute', bob, 0), { by: cat });
    },
    { rulesMax: 2 },
  );
}

function lastingContract(open: OpenHarness): void {
  promise(
    'a room that is watched is not forgotten, nor are its state and rules',
    open,
    async (stage) => {
      const { position } = await stage.keep(put('title', 'a'));
      await stage.keep(rule('ban', ann, 0), { by: bob });
      for (let n = 0; n < 10; n += 1) {
        await stage.harness.tick(30_000);
        await stage.log.renew(stage.room, 1);
      }
      const { tail, parts } = await stage.log.readState(stage.room);
      assert.deepEqual([tail.epoch, tail.offset], [position.epoch, 2]);
      assert.equal(parts.get('title')?.value, '"a"');
      await stage.refuse('banned', event(), { by: ann });
    },
    { roomTtlS: 60, rulesTtlS: 0 },
  );

  promise(
    'what is for good outlives a room that is forgotten, and is forgotten after its own time',
    open,
    async (stage) => {
      await stage.keep(rule('ban', ann, 0), { by: bob, role: 'host' });
      await stage.keep(rule('mute', cat, 0), { by: bob });
      const { position } = await stage.keep(event(), { by: bob });
      // As long as somebody comes now and then, it lasts.
      for (let n = 0; n < 3; n += 1) {
        await stage.harness.tick(100_000);
        assert.deepEqual([(await stage.log.enter(stage.room, ann)).banned], [true], `after ${n}`);
      }
      assert.notEqual((await stage.tail()).epoch, position.epoch);
      await stage.harness.tick(100_000);
      await stage.refuse('banned', event(), { by: ann, role: 'moderator' });
      await stage.harness.tick(100_000);
      await stage.refuse('muted', event(), { by: cat });
      await stage.harness.tick(100_000);
      await stage.refuse('not-this-role', rule('ban', ann, null), { by: bob });
      assert.equal((await stage.log.readRules(stage.room)).length, 2);
      await stage.harness.tick(300_000);
      assert.deepEqual(await stage.log.readRules(stage.room), []);
      await stage.keep(event(), { by: ann });
    },
    { roomTtlS: 60, rulesTtlS: 100 },
  );

  promise(
    'a rule with an end holds until then, and not a moment longer',
    open,
    async (stage) => {
      await stage.keep(rule('ban', ann, 10_000), { by: bob });
      await stage.harness.tick(9_000_000);
      await stage.refuse('banned', event(), { by: ann });
      await stage.harness.tick(1_001_000);
      await stage.keep(event(), { by: ann });
    },
    { roomTtlS: 60, rulesTtlS: 0 },
  );

  promise(
    'a room that has ended has ended for good, also where it was forgotten',
    open,
    async (stage) => {
      await stage.keep(put('title', 'a'));
      await stage.keep(end);
      await stage.harness.tick(100_000);
      const { ended } = await stage.log.enter(stage.room, null);
      assert.equal(ended, true);
      const state = await stage.log.readState(stage.room);
      assert.deepEqual([state.ended, state.tail.offset], [true, 0]);
      await stage.harness.tick(100_000);
      await stage.refuse('room-ended', event());
      await stage.harness.tick(300_000);
      await stage.keep(event());
      assert.equal((await stage.log.readState(stage.room)).ended, false);
    },
    { roomTtlS: 60, rulesTtlS: 100 },
  );
}

function afterEndContract(open: OpenHarness): void {
  promise('an ended room takes moderation and nothing else', open, async (stage) => {
    const ear = await stage.follow();
    const { position } = await stage.keep(event('secret words'));
    await stage.keep(event('for bob', [bob]));
    assert.equal((await stage.keep(end)).position.offset, 3);
    await stage.keep(retract(position.epoch, 1), { by: bob });
    await stage.keep(retract(position.epoch, 2), { by: bob });
    await stage.keep(rule('ban', ann, 0), { by: bob });
    await stage.keep(rule('mute', cat, 60), { by: bob });
    await stage.keep(rule('mute', cat, null), { by: bob });
    for (const change of [event(), event('x', [bob]), put('title', 'b'), count(1), end]) {
      await stage.refuse('room-ended', change, { by: bob });
    }
    await stage.refuse('banned', rule('mute', bob, 1), { by: ann, role: 'viewer' });
    await stage.refuse('not-found', retract(position.epoch, 3), { by: bob });
    const { entries, retracted, tail } = await stage.log.read(stage.room, { ...position, offset: 0 }, 100);
    assert.deepEqual(
      entries.map((entry) => `${entry.kind} ${markOf(entry)}`),
      [
        'comment tombstone',
        'comment tombstone',
        'end must',
        'retract must',
        'retract must',
        'ban must',
        'mute must',
        'unmute must',
      ],
    );
    assert.deepEqual([retracted, tail.offset], [4, 8]);
    assert.ok(!JSON.stringify(entries).includes('secret'));
    assert.equal((await stage.log.enter(stage.room, bob)).ended, true);
    await ear.has(6);
    assert.deepEqual(ear.offsets, [1, 3, 4, 6, 7, 8]);
  });
}
