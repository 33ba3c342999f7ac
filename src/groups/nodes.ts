/** Calls the admin ports of gateways: lists their rooms, and orders handovers. */

import { isRoomId, type RoomId } from '../model.ts';
import { readAdminToken } from '../settings.ts';
import { ask } from './ask.ts';
import type { GroupServer, Groups } from './groups-file.ts';

/** The room list of a gateway. */
export interface RoomList {
  readonly node: string;
  readonly group: string;
  readonly isDraining: boolean;
  /** Requests that belong to another group. */
  readonly misrouted: number;
  readonly rooms: readonly { readonly room: RoomId; readonly viewers: number }[];
}

/** By server name: its room list, or why there is none. */
export type RoomLists = ReadonlyMap<string, RoomList | string>;

/** The longest handover of one call. */
export const overMsMax = 600_000;

/** Every server of both files once, by name; the newer file wins. */
export function serversOf(before: Groups | null, after: Groups): readonly GroupServer[] {
  const all = [before, after].flatMap((file) => file?.groups.flatMap(({ servers }) => servers) ?? []);
  return [...new Map(all.map((server) => [server.name, server])).values()];
}

export async function takeRoomLists(servers: readonly GroupServer[]): Promise<RoomLists> {
  return new Map(await Promise.all(servers.map(async (server) => [server.name, await takeRoomList(server)] as const)));
}

async function takeRoomList({ name, admin }: GroupServer): Promise<RoomList | string> {
  if (admin === null) return 'no admin address in the file';
  try {
    const { status, json } = await ask(`${admin}/ops/rooms`);
    const roomList = status === 200 ? readRoomList(json) : null;
    if (roomList === null) return `${admin}/ops/rooms answers ${status} without a room list`;
    // An order would reach another server's viewers.
    return roomList.node === name ? roomList : `${admin} is the admin port of ${roomList.node} of ${roomList.group}`;
  } catch (error) {
    return `${admin} does not answer: ${(error as Error).message}`;
  }
}

function readRoomList(json: unknown): RoomList | null {
  const { node, group, isDraining, misrouted, rooms } = (json ?? {}) as Record<string, unknown>;
  if (typeof node !== 'string' || typeof group !== 'string' || !Array.isArray(rooms)) return null;
  const known = (rooms as readonly { room?: unknown; viewers?: unknown }[]).flatMap(({ room, viewers }) =>
    isRoomId(room) && typeof viewers === 'number' && viewers > 0 ? [{ room, viewers }] : [],
  );
  return { node, group, isDraining: isDraining === true, misrouted: Number(misrouted) || 0, rooms: known };
}

/** Hands over part of a room's viewers. Settles with how many, or with why none. */
export const moveRoom = (admin: string, room: RoomId, share: number, overMs: number): Promise<number | string> =>
  order(`${admin}/ops/rooms/${encodeURIComponent(room)}/move`, { overMs, share });

/** Hands over all viewers; the gateway accepts no new ones until `POST /ops/undrain`. */
export const drainNode = (admin: string, overMs: number): Promise<number | string> =>
  order(`${admin}/ops/drain`, { overMs });

async function order(url: string, body: object): Promise<number | string> {
  try {
    const { status, json } = await ask(url, { method: 'POST', body, bearer: readAdminToken() });
    const moving = (json as { moving?: unknown } | null)?.moving;
    if (status === 401) return `${url} requires its ADMIN_TOKEN; set it here too`;
    return status === 202 && typeof moving === 'number' ? moving : `${url} answers ${status}`;
  } catch (error) {
    return `${url} does not answer: ${(error as Error).message}`;
  }
}
