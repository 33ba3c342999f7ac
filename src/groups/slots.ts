/**
 * The slot of a room, and the group of a slot. A room's slot never changes; groups gain and lose slots. Both follow from
 * the groups file alone, so that every reader gets the same result.
 */

import { createHash } from 'node:crypto';
import type { RoomId } from '../model.ts';
import type { Groups } from './groups-file.ts';
import { murmurHash2 } from './murmur.ts';

export const slotsCount = 250;
/** Each slot's share in hundredths of a percent, the unit of `split_clients`: 0.40%. */
export const slotShare = 10_000 / slotsCount;
/** The hashes of one slot, rounded down as in nginx. The last slot also has the few that remain. */
const slotHashes = Math.floor((slotShare * 0xffff_ffff) / 10_000);

export function slotOf(room: RoomId): number {
  return Math.min(slotsCount - 1, Math.floor(murmurHash2(Buffer.from(room)) / slotHashes));
}

type Weighted = Pick<Groups['groups'][number], 'name' | 'weight'>;

interface Owner {
  readonly group: Weighted;
  /** By slot. */
  readonly scores: readonly number[];
  readonly held: Set<number>;
}

/**
 * The group of each slot. Groups are taken in their order. Each takes its share, cut to whole slots, from those before it,
 * and from each of them the slots in which it scores best against it (weighted rendezvous hashing). So a group added at the
 * end moves its share and nothing else, and removing it restores the previous state.
 */
export function assignSlots(groups: readonly Weighted[]): readonly string[] {
  const all = Array.from({ length: slotsCount }, (_, slot) => slot);
  const owners: Owner[] = [];
  let weights = 0;
  for (const group of groups.filter(({ weight }) => weight > 0)) {
    weights += group.weight;
    const owner: Owner = { group, scores: all.map((slot) => score(group, slot)), held: new Set() };
    const share = Math.max(1, Math.floor((slotsCount * group.weight) / weights));
    if (owners.length === 0) for (const slot of all) owner.held.add(slot);
    else while (owner.held.size < share) owner.held.add(takeSlot(owners, owner));
    owners.push(owner);
  }
  return all.map((slot) => owners.find(({ held }) => held.has(slot))?.group.name ?? '');
}

/** Takes the slot in which the taker scores best, from the group with the most for its weight. */
function takeSlot(owners: readonly Owner[], taker: Owner): number {
  const giver = owners.reduce((most, one) => (perWeight(one) > perWeight(most) ? one : most));
  const gain = (slot: number): number => (taker.scores[slot] ?? 0) / (giver.scores[slot] ?? 1);
  const best = [...giver.held].reduce((top, slot) => (gain(slot) > gain(top) ? slot : top));
  giver.held.delete(best);
  return best;
}

const perWeight = ({ group, held }: Owner): number => held.size / group.weight;

/** Weighted rendezvous: `-weight / ln(h)` for a hash `h` between 0 and 1. */
function score({ name, weight }: Weighted, slot: number): number {
  const bits = createHash('sha256').update(`${name}:${slot}`).digest().readUIntBE(0, 6);
  return -weight / Math.log((bits + 0.5) / 2 ** 48);
}

/** Answers where rooms go. */
export interface Places {
  /** The groups that serve a room: one, or several for a hot one. */
  of(room: RoomId): readonly string[];
  readonly slots: readonly string[];
}

export function placesOf(groups: Groups): Places {
  const slots = assignSlots(groups.groups);
  return { slots, of: (room) => groups.hotRooms.get(room) ?? [slots[slotOf(room)] ?? ''] };
}
