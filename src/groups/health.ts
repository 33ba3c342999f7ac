/**
 * Whether servers accept the traffic that the file would send them. A server that does not is reported; a group or a hot
 * room without any is not applied by accident. A server is asked at the address by which nginx reaches it, because a wrong
 * address is as bad as a dead process, and at the admin port, which knows whether it is ready.
 */

import { ask } from './ask.ts';
import type { GroupServer, Groups } from './groups-file.ts';
import type { RoomLists } from './nodes.ts';
import { placesOf, slotsCount } from './slots.ts';

/** By server name: why it accepts no traffic; null if it does. */
export type Health = ReadonlyMap<string, string | null>;

/** Asks every server of the file that is not drained, all at once. */
export async function takeHealth({ groups }: Groups, roomLists: RoomLists): Promise<Health> {
  const servers = groups.flatMap((group) => group.servers).filter(({ isDrained }) => !isDrained);
  return new Map(
    await Promise.all(servers.map(async (server) => [server.name, await whyNot(server, roomLists)] as const)),
  );
}

async function whyNot({ name, address, admin }: GroupServer, roomLists: RoomLists): Promise<string | null> {
  const [whyUnheard, whyUnready] = await Promise.all([
    addressFault(address),
    admin === null ? null : adminFault(admin),
  ]);
  if (whyUnheard !== null) return whyUnheard;
  const roomList = roomLists.get(name);
  if (admin === null || roomList === undefined) return null;
  if (typeof roomList === 'string') return roomList;
  if (roomList.isDraining) return 'draining; send it POST /ops/undrain or restart it';
  return whyUnready;
}

/** Why a server does not answer; null if it does, with any answer. */
export async function addressFault(address: string): Promise<string | null> {
  const socketPath = address.startsWith('unix:') ? address.slice('unix:'.length) : null;
  try {
    await ask(socketPath === null ? `http://${address}/` : 'http://localhost/', { socketPath });
    return null;
  } catch (error) {
    return `${address} does not answer: ${(error as Error).message}`;
  }
}

/** Whether no process listens. For a hanging one the kernel still accepts connections. */
export const isNotRunning = (fault: string | null): boolean => /ECONNREFUSED|ENOENT/.test(fault ?? '');

async function adminFault(admin: string): Promise<string | null> {
  try {
    const { status, json } = await ask(`${admin}/readyz`);
    const { reason = `/readyz answers ${status}` } = (json ?? {}) as { reason?: unknown };
    return status === 200 ? null : `not ready: ${String(reason)}`;
  } catch (error) {
    return `${admin} does not answer: ${(error as Error).message}`;
  }
}

/** Sentences for groups and hot rooms that the file would leave without a server. */
export function abandonedBy(file: Groups, health: Health): readonly string[] {
  const isDark = (names: readonly string[]): boolean =>
    file.groups
      .filter(({ name }) => names.includes(name))
      .every(({ servers }) => servers.every(({ name, isDrained }) => isDrained || (health.get(name) ?? null) !== null));
  const { slots } = placesOf(file);
  const groups = file.groups.flatMap(({ name }) => {
    const held = slots.filter((one) => one === name).length;
    if (held === 0 || !isDark([name])) return [];
    return [`${held} of ${slotsCount} slots would go to the group ${name}, which has no server that accepts traffic.`];
  });
  const rooms = [...file.hotRooms].flatMap(([room, names]) =>
    isDark(names)
      ? [`The hot room ${room} would go to ${names.join(', ')}, which have no server that accepts traffic.`]
      : [],
  );
  return [...groups, ...rooms];
}
