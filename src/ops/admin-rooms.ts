/**
 * `/ops/rooms`, `/ops/drain` and `/ops/undrain`: the rooms of this node with their viewers, and the orders of
 * `ringside groups apply` to hand over viewers. An order is answered at once; the handover continues by itself.
 */

import type { FastifyInstance } from 'fastify';
import { Refusal } from '../errors.ts';
import { isRoomId, type RoomId } from '../model.ts';

/** The operators' view of the hub. */
export interface Drain {
  /** Each room with viewers here, once. */
  roomList(): Iterable<{ readonly room: RoomId; readonly viewers: number }>;
  /** Hands over a share (0 to 1) of a room's viewers, spread evenly over the time. Returns how many. */
  move(room: RoomId, share: number, overMs: number): number;
  /** Hands over all viewers, and admits no new ones. Returns how many. */
  drain(overMs: number): number;
  /** Revokes a drain: viewers not told yet stay. False if the gateway is shutting down. */
  undrain(): boolean;
  readonly isDraining: boolean;
  /** Requests since the start that belong to another group. */
  readonly misrouted: number;
}

export interface OpsRoomsOptions {
  readonly drain: Drain;
  readonly nodeId: string;
  readonly group: string;
}

/** Ten minutes; a longer handover takes several orders. */
const overMsMax = 600_000;

export function opsRooms(admin: FastifyInstance, { drain, nodeId, group }: OpsRoomsOptions): void {
  admin.get('/ops/rooms', async (_request, reply) => {
    reply.header('cache-control', 'no-store');
    const rooms = Array.from(drain.roomList(), ({ room, viewers }) => ({ room, viewers }));
    return { node: nodeId, group, isDraining: drain.isDraining, misrouted: drain.misrouted, rooms };
  });
  admin.post<{ Params: { room: string } }>('/ops/rooms/:room/move', async (request, reply) => {
    const { room } = request.params;
    if (!isRoomId(room)) throw new Refusal('malformed', 'The path names no valid room id.');
    const { overMs, share } = readOrder(request.body, ['overMs', 'share']);
    return reply.code(202).send({ moving: drain.move(room, share, overMs) });
  });
  admin.post('/ops/drain', async (request, reply) => {
    const { overMs } = readOrder(request.body, ['overMs']);
    return reply.code(202).send({ moving: drain.drain(overMs) });
  });
  admin.post('/ops/undrain', async () => {
    if (!drain.undrain()) throw new Refusal('overloaded', 'This gateway is shutting down.');
    return { isDraining: drain.isDraining };
  });
}

/** @throws {Refusal} `malformed` for anything but an object of these fields, each within its bounds. */
function readOrder(body: unknown, known: readonly string[]): { readonly overMs: number; readonly share: number } {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new Refusal('malformed', `The body must be a JSON object with ${known.join(' and ')}.`);
  const strange = Object.keys(body).find((name) => !known.includes(name));
  if (strange !== undefined) throw new Refusal('malformed', `The body may have only ${known.join(' and ')}.`);
  const { overMs, share = 1 } = body as { overMs?: unknown; share?: unknown };
  if (typeof overMs !== 'number' || !Number.isInteger(overMs) || overMs < 0 || overMs > overMsMax)
    throw new Refusal('malformed', `overMs must be a whole number from 0 to ${overMsMax}.`);
  if (typeof share !== 'number' || !(share >= 0 && share <= 1))
    throw new Refusal('malformed', 'share must be a number from 0 to 1.');
  return { overMs, share };
}
