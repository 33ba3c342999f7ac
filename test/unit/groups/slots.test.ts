import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readGroups } from '../../../src/groups/groups-file.ts';
import { murmurHash2 } from '../../../src/groups/murmur.ts';
import { assignSlots, placesOf, slotOf, slotsCount } from '../../../src/groups/slots.ts';
import type { RoomId } from '../../../src/model.ts';

const rooms = Array.from({ length: 10_000 }, (_, at) => `room-${at}` as RoomId);
const groupsOf = (...weights: number[]) => weights.map((weight, at) => ({ name: `group-${at}`, weight }));

/** The part of the rooms that two assignments send elsewhere. */
const movedBetween = (before: readonly string[], after: readonly string[]): number =>
  rooms.filter((room) => before[slotOf(room)] !== after[slotOf(room)]).length / rooms.length;

describe('the hash', () => {
  it('is MurmurHash2 with seed 0, for every length of the rest', () => {
    // By the reference implementation in C.
    const known: readonly [string, number][] = [
      ['', 0],
      ['a', 0x92685f5e],
      ['ab', 0x1aa14063],
      ['abc', 0x13577c9b],
      ['abcd', 0x26873021],
      ['match-7', 0xdc98e9e8],
      ['A.very~long_room-name.with-64.characters_in-it~0123456789abcdefghi', 0x31f0773a],
    ];
    for (const [text, hash] of known) assert.equal(murmurHash2(Buffer.from(text)), hash, text);
  });
});

describe('slots', () => {
  it('are all given out, to each group by its weight', () => {
    const slots = assignSlots(groupsOf(3, 1, 1));
    const held = (name: string) => slots.filter((owner) => owner === name).length;
    assert.equal(slots.length, slotsCount);
    assert.deepEqual([held('group-0'), held('group-1'), held('group-2')], [150, 50, 50]);
  });

  it('move to an added group by its share, and never between those that were there', () => {
    for (const weights of [
      [1, 1],
      [1, 1, 1],
      [2, 1, 1],
      [1, 2, 3, 4],
      [1, 1, 1, 1, 1, 1, 1, 1],
      [10, 1],
    ]) {
      const groups = groupsOf(...weights);
      const added = groups.at(-1);
      const share = (added?.weight ?? 0) / weights.reduce((sum, weight) => sum + weight, 0);
      const before = assignSlots(groups.slice(0, -1));
      const after = assignSlots(groups);
      const moved = movedBetween(before, after);
      assert.ok(moved <= share + 0.01, `${weights}: ${moved} of the rooms moved, the share is ${share}`);
      assert.ok(moved >= share - 0.02, `${weights}: only ${moved} of the rooms moved, the share is ${share}`);
      const between = after.filter((name, slot) => name !== before[slot] && name !== added?.name);
      assert.deepEqual(between, [], `${weights}: slots moved between old groups`);
    }
  });

  it('never move between old groups, whatever their names and weights', () => {
    const groups = fc.uniqueArray(
      fc.record({ name: fc.string({ minLength: 1 }), weight: fc.integer({ min: 0, max: 9 }) }),
      {
        selector: ({ name }) => name,
        minLength: 2,
        maxLength: 6,
      },
    );
    fc.assert(
      fc.property(groups, (all) => {
        const before = assignSlots(all.slice(0, -1));
        const after = assignSlots(all);
        if (all.slice(0, -1).every(({ weight }) => weight === 0)) return true;
        return after.every((name, slot) => name === before[slot] || name === all.at(-1)?.name);
      }),
      { numRuns: 60 },
    );
  });

  it('stay mostly where they are when a group in the middle goes', () => {
    const groups = groupsOf(1, 1, 1, 1);
    const before = assignSlots(groups);
    const after = assignSlots(groups.filter(({ name }) => name !== 'group-1'));
    const between = after.filter((name, slot) => before[slot] !== 'group-1' && name !== before[slot]);
    assert.ok(between.length <= slotsCount * 0.08, `${between.length} slots moved without need`);
  });

  it('are not given to a group of weight 0', () => {
    assert.ok(!assignSlots(groupsOf(1, 0)).includes('group-1'));
    assert.ok(!assignSlots(groupsOf(0, 1)).includes('group-0'));
  });

  it('spread rooms evenly', () => {
    const counts = new Array<number>(slotsCount).fill(0);
    for (const room of rooms) counts[slotOf(room)] = (counts[slotOf(room)] ?? 0) + 1;
    assert.ok(Math.min(...counts) > 10 && Math.max(...counts) < 80, `${Math.min(...counts)} to ${Math.max(...counts)}`);
  });
});

describe('places', () => {
  it('are the groups of a hot room, else the group of the slot', () => {
    const server = (name: string) => ({ name, address: `unix:/run/${name}.sock` });
    const places = placesOf(
      readGroups(
        JSON.stringify({
          groups: { blue: { servers: [server('b')] }, green: { servers: [server('g')] } },
          hotRooms: { 'match-7': ['green', 'blue'], solo: ['green'] },
        }),
      ),
    );
    assert.deepEqual(places.of('match-7' as RoomId), ['blue', 'green']);
    assert.deepEqual(places.of('solo' as RoomId), ['green']);
    for (const room of rooms.slice(0, 50)) assert.deepEqual(places.of(room), [places.slots[slotOf(room)]]);
  });
});
