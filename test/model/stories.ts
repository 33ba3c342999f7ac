/**
 * The stories of the model test: random ones, of every step that writers, viewers, nodes and the log can take, and those
 * that are told because random ones seldom come to them.
 */

import fc from 'fast-check';
import { type Addressed, people } from './cast.ts';
import { World } from './world.ts';
import type { Ruler } from './writers.ts';

type Step = readonly [name: string, run: (world: World) => void | Promise<void>];

const viewer = fc.nat(people.length - 1);
const node = fc.nat(1);
const ruler = fc.constantFrom<Ruler>('moderator', 'host');
const part = fc.constantFrom('title', 'pinned', 'mood');
const someUsers = fc.subarray(
  people.map(({ id }) => id),
  { minLength: 1 },
);
const seen: fc.Arbitrary<Addressed> = fc.oneof(
  { weight: 4, arbitrary: fc.constant('all' as const) },
  { weight: 1, arbitrary: fc.constant('staff' as const) },
  { weight: 1, arbitrary: fc.constantFrom('gold', 'blue').map((tag) => ({ tag })) },
  {
    weight: 2,
    arbitrary: someUsers.map((users) => ({ users })),
  },
);
const step = <Args extends unknown[]>(
  name: string,
  run: (world: World, ...args: Args) => void | Promise<void>,
  ...args: { [K in keyof Args]: fc.Arbitrary<Args[K]> }
): fc.Arbitrary<Step> =>
  fc
    .tuple<Args>(...args)
    .map((given) => [`${name} ${JSON.stringify(given)}`, (world) => run(world, ...given)] as const);

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: step('publish', (world, to: Addressed) => world.writers.publish(to), seen) },
  {
    weight: 6,
    arbitrary: step(
      'say',
      (world, who: string, count: number) => world.writers.say(who, count),
      fc.constantFrom('ann', 'bob', 'cat', 'stranger'),
      fc.constantFrom(1, 1, 2, 5),
    ),
  },
  { weight: 2, arbitrary: step('retract', (world, back: number) => world.writers.retract(back), fc.nat(6)) },
  { weight: 3, arbitrary: step('put', (world, name: string) => world.writers.put(name), part) },
  { weight: 2, arbitrary: step('remove', (world, name: string) => world.writers.remove(name), part) },
  { weight: 1, arbitrary: step('repeat', (world) => world.writers.repeat()) },
  { weight: 1, arbitrary: step('reuse', (world) => world.writers.reuse()) },
  {
    weight: 9,
    arbitrary: step(
      'connect',
      (world, who: number, where: number, isGzip: boolean, tokenMs: number, history: number) =>
        world.connect(who, where, isGzip, tokenMs, history),
      viewer,
      node,
      fc.boolean(),
      fc.constantFrom(0, 0, 0, 700, 2_500),
      fc.constantFrom(0, 0, 3, 10),
    ),
  },
  { weight: 4, arbitrary: step('cut', (world, who: number) => world.cut(who), viewer) },
  { weight: 1, arbitrary: step('reload', (world, who: number) => world.reload(who), viewer) },
  { weight: 2, arbitrary: step('like', (world, by: number) => world.writers.like(by), fc.integer({ min: 1, max: 9 })) },
  { weight: 1, arbitrary: step('prolong', (world, who: number) => world.prolong(who), viewer) },
  {
    weight: 2,
    arbitrary: step(
      'role change by session',
      (world, who: number, isStaff: boolean, hasGold: boolean) => world.change(who, isStaff, hasGold),
      viewer,
      fc.boolean(),
      fc.boolean(),
    ),
  },
  { weight: 2, arbitrary: step('ban', (world, who: number, by: Ruler) => world.ban(who, by), viewer, ruler) },
  { weight: 1, arbitrary: step('unban', (world, who: number, by: Ruler) => world.unban(who, by), viewer, ruler) },
  { weight: 2, arbitrary: step('stall', (world, who: number) => world.stall(who), viewer) },
  { weight: 2, arbitrary: step('drain', (world, who: number) => world.drain(who), viewer) },
  { weight: 1, arbitrary: step('trim', (world) => world.writers.trim()) },
  { weight: 1, arbitrary: step('expire', (world) => world.pass(700_000)) },
  { weight: 1, arbitrary: step('copy', (world) => world.writers.copy()) },
  { weight: 1, arbitrary: step('lose since the copy', (world) => world.writers.loseSince()) },
  { weight: 1, arbitrary: step('lose since the copy, unseen', (world) => world.writers.loseQuietly()) },
  {
    weight: 1,
    arbitrary: step(
      'doze',
      (world, which: number, isDeaf: boolean, users: readonly string[]) => world.doze(which, isDeaf, users),
      node,
      fc.boolean(),
      someUsers,
    ),
  },
  { weight: 1, arbitrary: step('lose the log', (world) => world.writers.loseAll()) },
  { weight: 1, arbitrary: step('restart', (world) => world.restart()) },
  { weight: 1, arbitrary: step('cut node', (world, which: number) => world.cutNode(which), node) },
  { weight: 1, arbitrary: step('heal nodes', (world) => world.healNodes()) },
  { weight: 1, arbitrary: step('log away', (world) => world.setAway(true)) },
  { weight: 1, arbitrary: step('log back', (world) => world.setAway(false)) },
  { weight: 5, arbitrary: step('turns', (world, count: number) => world.turns(count), fc.integer({ min: 1, max: 6 })) },
  { weight: 5, arbitrary: step('tick', (world, ms: number) => world.pass(ms), fc.constantFrom(20, 60, 1500)) },
  { weight: 2, arbitrary: step('settle', (world) => world.settle()) },
);

/** With SHRINK=no, a failure is the first story that fails and not the shortest, which is found sooner. */
export const tellRandom = (runs: number, seed: number): Promise<void> =>
  fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 5, maxLength: 60 }), fc.nat(), async (story, luck) => {
      const world = new World(luck);
      for (const [, run] of story) await run(world);
      await world.settle();
      await world.leave();
    }),
    { numRuns: runs, seed, reporter: report, endOnFailure: process.env['SHRINK'] === 'no' },
  );

/** The names of the steps, as a function says nothing when it is printed. */
function report(run: fc.RunDetails<[Step[], number]>): void {
  if (!run.failed) return;
  const [story = [], luck] = run.counterexample ?? [];
  const names = story.map(([name]) => `  ${name}`).join('\n');
  const cause = run.errorInstance;
  throw new Error(`SEED=${run.seed} fails, shrunk to luck ${luck} and the story:\n${names}\n${String(cause)}`, {
    cause,
  });
}

/** What random stories seldom come to. */
const told: Readonly<Record<string, (world: World, luck: number) => Promise<void>>> = {
  'a node has to prove what passed it by, in a log that became another one': async (world) => {
    world.writers.put('title');
    world.connect(0, 1, false);
    world.writers.copy();
    world.writers.publish({ tag: 'gold' });
    world.connect(1, 0, false);
    await world.pass(1500);
    world.writers.publish('staff');
    await world.turns(1);
    world.writers.loseSince();
    world.connect(2, 0, false);
    world.writers.publish('all');
  },
  'a sum was told and lost, and no entry was': async (world) => {
    world.connect(0, 0, false);
    await world.turns(30);
    world.writers.like(5);
    await world.pass(150);
    world.writers.copy();
    world.writers.like(3);
    await world.pass(150);
    world.writers.loseSince();
    await world.pass(150);
    world.writers.like(1);
    await world.pass(150);
  },
  'a log takes older data over, and nobody writes for a while': async (world) => {
    world.writers.publish('all');
    world.connect(0, 0, false);
    await world.turns(30);
    // With the lease, which so does not tell of the loss.
    world.writers.copy();
    world.writers.publish('all');
    await world.pass(60);
    world.writers.loseQuietly();
    for (let second = 0; second < 10; second += 1) await world.pass(1_000);
    world.assertTold(0, 'failover');
  },
  'a token is replaced at every moment of an arrival': async (world) => {
    for (let wait = 0; wait < 10; wait += 1) {
      world.connect(0, 0, false);
      await world.turns(wait);
      world.change(0, wait % 2 === 0, false);
      await world.turns(30);
      world.cut(0);
      await world.turns(5);
    }
  },
  'a user is banned at every moment of an arrival': async (world) => {
    // Of the same class, so that there is a tape, and no page is read that holds the ban.
    world.connect(5, 0, false);
    await world.turns(40);
    for (let wait = 0; wait < 15; wait += 1) {
      world.connect(0, 0, false);
      await world.turns(wait);
      world.ban(0);
      await world.turns(40);
      world.assertEnded(0);
      world.unban(0);
      await world.turns(5);
    }
  },
  'a node reads late of a ban that was lifted before its user came': async (world) => {
    world.connect(1, 0, false);
    await world.turns(40);
    for (let wait = 0; wait < 15; wait += 1) {
      world.cutNode(0);
      world.ban(0);
      world.unban(0);
      world.connect(0, 0, false);
      await world.turns(wait);
      world.healNodes();
      await world.turns(40);
      world.cut(0);
      await world.turns(5);
    }
  },
  'a moderator tries to lift the ban of a host': async (world) => {
    world.ban(0, 'host');
    world.unban(0, 'moderator');
    world.connect(0, 0, false);
  },
  'a viewer is too slow for the chat': async (world) => {
    world.connect(0, 0, false);
    await world.turns(30);
    world.stall(0);
    for (let second = 0; second < 40; second += 1) {
      world.writers.say('bob', 2);
      if (second % 10 === 0) world.writers.publish('all');
      await world.pass(1_000);
    }
    world.drain(0);
  },
  'an event is taken back before others come': async (world) => {
    world.connect(0, 0, false);
    world.connect(1, 0, false);
    await world.turns(30);
    world.cut(1);
    world.writers.publish('all');
    await world.pass(60);
    world.writers.retract(0);
    await world.pass(60);
    world.connect(1, 0, false);
    world.connect(2, 0, false, 0, 10);
    await world.turns(30);
  },
  'a viewer is banned on its way in, over a node that hears nothing': async (world, luck) => {
    world.connect(0, 0, false);
    await world.pass(60);
    world.cut(0);
    for (let entry = 0; entry < 5; entry += 1) world.writers.publish('all');
    await world.pass(60);
    world.cutNode(0);
    world.connect(0, 0, false);
    await world.turns(luck % 10);
    world.ban(0);
    // At times so many that the log has forgotten the ban itself.
    for (let entry = 0; entry < (luck % 3 === 0 ? 30 : 1); entry += 1) world.writers.publish('all');
    await world.pass(3_000);
  },
};

/** How many lucks a told story is told with, and how many where moments of its own have to meet. */
const lucks = { usual: 10, many: 100 };

/** Each told story by its name. */
export const toldStories: ReadonlyMap<string, () => Promise<void>> = new Map(
  Object.entries(told).map(([name, story]) => [
    name,
    async () => {
      for (let luck = 0; luck < (story.length > 1 ? lucks.many : lucks.usual); luck += 1) {
        const world = new World(luck * 7919);
        await story(world, luck);
        await world.settle();
        await world.leave();
      }
    },
  ]),
);
