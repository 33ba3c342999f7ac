/**
 * Plans what a changed groups file means for slots and viewers. Pure: files and room lists in, a plan out. A viewer must
 * move if its server's group no longer serves its room or if its server is drained or gone. Of a room on more groups than
 * before, as many viewers move as now belong elsewhere.
 */

import type { RoomId } from '../model.ts';
import type { GroupServer, Groups } from './groups-file.ts';
import { abandonedBy, type Health } from './health.ts';
import { overMsMax, type RoomLists, serversOf } from './nodes.ts';
import { type Places, placesOf } from './slots.ts';

export interface Move {
  readonly server: string;
  readonly admin: string;
  readonly room: RoomId;
  /** The room's viewers there now. */
  readonly viewers: number;
  /** More than 0, at most 1. */
  readonly share: number;
  readonly to: readonly string[];
}

interface Drain {
  readonly server: string;
  readonly admin: string;
  readonly viewers: number;
}

export interface Plan {
  readonly slotsMoved: number;
  /** Slots of each group, before and after. */
  readonly slots: readonly { readonly group: string; readonly before: number; readonly after: number }[];
  readonly moves: readonly Move[];
  readonly drains: readonly Drain[];
  /** Servers without a room list: their viewers are not in the plan. */
  readonly unasked: readonly { readonly server: string; readonly reason: string }[];
  /** Servers that accept no traffic. */
  readonly dark: readonly { readonly server: string; readonly reason: string }[];
  /** Groups and hot rooms all of whose servers are dark, a sentence each with the consequence. */
  readonly abandoned: readonly string[];
  readonly rooms: number;
  readonly viewers: number;
}

export function makePlan(before: Groups | null, after: Groups, roomLists: RoomLists, health: Health = new Map()): Plan {
  const placesBefore = before === null ? null : placesOf(before);
  const placesAfter = placesOf(after);
  const unasked: { server: string; reason: string }[] = [];
  const drains: Drain[] = [];
  const moves: Move[] = [];
  for (const server of serversOf(before, after)) {
    const roomList = roomLists.get(server.name) ?? 'not asked';
    const { name, admin } = server;
    if (typeof roomList === 'string' || admin === null) {
      unasked.push({
        server: name,
        reason: typeof roomList === 'string' ? roomList : 'no admin address in the file',
      });
      continue;
    }
    const group = groupOf(after, name);
    if (group === null || server.isDrained) {
      const viewers = roomList.rooms.reduce((sum, room) => sum + room.viewers, 0);
      if (!roomList.isDraining) drains.push({ server: name, admin, viewers });
      continue;
    }
    for (const { room, viewers } of roomList.rooms) {
      const to = placesAfter.of(room);
      const was = placesBefore?.of(room) ?? to;
      const share = to.includes(group) ? shareLeaving({ group, was, to, before: before ?? after, after }) : 1;
      if (share * viewers >= 0.5) moves.push({ server: name, admin, room, viewers, share, to });
    }
  }
  return {
    ...slotsIn(placesBefore, placesAfter, [before, after]),
    moves,
    drains,
    unasked,
    dark: [...health].flatMap(([server, reason]) => (reason === null ? [] : [{ server, reason }])),
    abandoned: abandonedBy(after, health),
    rooms: new Set(moves.map(({ room }) => room)).size,
    viewers: [...moves.map(movingIn), ...drains.map(({ viewers }) => viewers)].reduce((sum, some) => sum + some, 0),
  };
}

export const movingIn = ({ viewers, share }: Pick<Move, 'viewers' | 'share'>): number => Math.round(viewers * share);

function slotsIn(before: Places | null, after: Places, files: readonly (Groups | null)[]) {
  const names = new Set(files.flatMap((file) => file?.groups.map(({ name }) => name) ?? []));
  const held = (places: Places | null, group: string): number =>
    places?.slots.filter((name) => name === group).length ?? 0;
  return {
    slotsMoved: before === null ? 0 : after.slots.filter((name, slot) => name !== before.slots[slot]).length,
    slots: [...names].map((group) => ({ group, before: held(before, group), after: held(after, group) })),
  };
}

const groupOf = ({ groups }: Groups, server: string): string | null =>
  groups.find(({ servers }) => servers.some(({ name }) => name === server))?.name ?? null;

interface Spreading {
  readonly group: string;
  readonly was: readonly string[];
  readonly to: readonly string[];
  readonly before: Groups;
  readonly after: Groups;
}

/** The share of viewers that must leave a group that still serves the room. */
function shareLeaving({ group, was, to, before, after }: Spreading): number {
  if (!was.includes(group) || was.join() === to.join()) return 0;
  const held = weightIn(before, [group]) / weightIn(before, was);
  const due = weightIn(after, [group]) / weightIn(after, to);
  return held > due ? 1 - due / held : 0;
}

const serves = ({ isDrained }: GroupServer): boolean => !isDrained;
const weightIn = ({ groups }: Groups, names: readonly string[]): number =>
  groups
    .filter(({ name }) => names.includes(name))
    .flatMap(({ servers }) => servers.filter(serves))
    .reduce((sum, { weight }) => sum + weight, 0);

/** One call to one gateway. Calls are made in sequence, each after the handover of the one before. */
export interface Step {
  readonly server: string;
  readonly admin: string;
  /** Null: everything, and for good. */
  readonly room: RoomId | null;
  readonly share: number;
  readonly moving: number;
  readonly overMs: number;
}

/**
 * Steps keep below the pace: each moves its share of the viewers present at its time, including some that have just
 * arrived, and together they must not exceed the pace.
 */
const paceKept = 0.9;

/** The calls that carry out a plan at a pace, in reconnects per second. */
export function stepsOf({ moves, drains }: Plan, paceMax: number): readonly Step[] {
  const pace = paceMax * paceKept;
  return [...moves.flatMap((move) => stepsOfMove(move, pace)), ...drains.map((drain) => stepOfDrain(drain, pace))];
}

/** In as many parts as the longest handover requires; each part is a share of the remaining viewers. */
function stepsOfMove(move: Move, pace: number): readonly Step[] {
  const all = movingIn(move);
  const parts = Math.ceil((all * 1000) / pace / overMsMax);
  return Array.from({ length: parts }, (_, part) => {
    const [from, to] = [part, part + 1].map((at) => Math.round((all * at) / parts)) as [number, number];
    const moving = to - from;
    const { server, admin, room, viewers } = move;
    return { server, admin, room, share: moving / (viewers - from), moving, overMs: timeFor(moving, pace) };
  });
}

const stepOfDrain = ({ server, admin, viewers }: Drain, pace: number): Step => ({
  server,
  admin,
  room: null,
  share: 1,
  moving: viewers,
  overMs: Math.min(overMsMax, timeFor(viewers, pace)),
});

const timeFor = (viewers: number, pace: number): number => Math.ceil((viewers * 1000) / pace);

/** Sentences for drains that are impossible at this pace. */
export const tooSlow = ({ drains }: Plan, pace: number): readonly string[] =>
  drains
    .filter(({ viewers }) => timeFor(viewers, pace * paceKept) > overMsMax)
    .map(
      ({ server, viewers }) =>
        `${server} has ${viewers} viewers, and a drain takes at most ${overMsMax / 1000} s; set --pace to at least ${Math.ceil((viewers * 1000) / (overMsMax * paceKept))}.`,
    );
