/**
 * `nginx/groups.json`, the one file that operators edit: its shape, and every reason to refuse it. A file is valid as a
 * whole or not at all, and all its faults are reported at once, a sentence each.
 */

import { isRoomId, type RoomId } from '../model.ts';

/** One gateway. */
export interface GroupServer {
  /** The `NODE_ID` of the gateway. */
  readonly name: string;
  /** `unix:` and a path, or host and port. */
  readonly address: string;
  /** The address of the admin port. Null: its viewers are neither counted nor moved. */
  readonly admin: string | null;
  /** Its share of the group's traffic, relative to the other servers of the group. */
  readonly weight: number;
  /** Gets no new traffic; `apply` hands over its viewers. */
  readonly isDrained: boolean;
}

/** Gateways that serve the same rooms. */
export interface ServerGroup {
  /** The `GROUP` of its gateways. */
  readonly name: string;
  /** Its share of the rooms, relative to the other groups. 0: only hot rooms. */
  readonly weight: number;
  readonly servers: readonly GroupServer[];
}

export interface Groups {
  /** Addresses and ports that nginx opens. */
  readonly listen: readonly string[];
  /** The public address of nginx, which `check` uses. Null: the first of `listen`. */
  readonly publicUrl: string | null;
  /** In the order of the file, which decides the slots: add new groups at the end. */
  readonly groups: readonly ServerGroup[];
  /** Rooms served by other groups than the one of their slot: by several, or by a chosen one. */
  readonly hotRooms: ReadonlyMap<RoomId, readonly string[]>;
  /** Proxies before nginx whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted. */
  readonly trustedProxies: readonly string[];
  /** Addresses exempt from the limits per address, such as the platform's own servers. */
  readonly unlimited: readonly string[];
}

/** All faults of a file, a sentence each. */
export class GroupsRefusal extends Error {
  readonly sentences: readonly string[];

  constructor(sentences: readonly string[]) {
    super(sentences.join('\n'));
    this.name = 'GroupsRefusal';
    this.sentences = sentences;
  }
}

const groupsMax = 64;
export const serversMax = 256;
/** Each is one more pattern that nginx tries for every request. */
export const hotRoomsMax = 256;
const weightMax = 1000;
const addressesMax = 256;
/** A running nginx serves the whole of it. */
const textMax = 100_000;
const sentencesMax = 50;
/** The longest path that a unix socket may have on Linux, without the zero at its end. */
const socketPathMax = 107;

const groupName = /^[A-Za-z][A-Za-z0-9._-]{0,31}$/;
const serverName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/;
const socketAddress = /^unix:\/[A-Za-z0-9._/-]+$/;
const hostPort = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})$/;
const listenAddress = /^(?:[0-9.]+|\[[0-9A-Fa-f:.]+\]|\*):([0-9]{1,5})$/;
const httpUrl = /^https?:\/\/[A-Za-z0-9.:[\]-]+$/;
const network = /^[0-9A-Fa-f:.]+(?:\/[0-9]{1,3})?$/;
/** The group name that a node gets for a room on several groups. */
export const hotName = 'hot';

/**
 * Reads the text of a groups file.
 * @throws {GroupsRefusal} with all its faults.
 */
export function readGroups(text: string): Groups {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new GroupsRefusal([`The file is not JSON: ${(error as Error).message}.`]);
  }
  const reading = new Reading();
  const groups = reading.file(value);
  if (reading.sentences.length === 0 && writeGroups(groups).length > textMax)
    reading.sentences.push(`The file must have at most ${textMax} characters without spaces.`);
  if (reading.sentences.length > 0) throw new GroupsRefusal(reading.sentences.slice(0, sentencesMax));
  return groups;
}

/** The same groups as JSON on one line, and the same line for the same groups. */
export function writeGroups(groups: Groups): string {
  return JSON.stringify({
    listen: groups.listen,
    ...(groups.publicUrl === null ? {} : { public: groups.publicUrl }),
    groups: Object.fromEntries(
      groups.groups.map(({ name, weight, servers }) => [name, { weight, servers: servers.map(writeServer) }]),
    ),
    hotRooms: Object.fromEntries([...groups.hotRooms].sort(([a], [b]) => (a < b ? -1 : 1))),
    trustedProxies: groups.trustedProxies,
    unlimited: groups.unlimited,
  });
}

const writeServer = ({ name, address, admin, weight, isDrained }: GroupServer): object => ({
  name,
  address,
  ...(admin === null ? {} : { admin }),
  weight,
  drain: isDrained,
});

type Fields = Readonly<Record<string, unknown>>;
const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isPort = (text: string | undefined): boolean => Number(text) >= 1 && Number(text) <= 65_535;

/** Parses a file and collects its faults, continuing with the rest. */
class Reading {
  readonly sentences: string[] = [];
  /** Values that must be unique: names, addresses, admin addresses. */
  readonly #seen = new Map<string, string>();

  file(value: unknown): Groups {
    const fields = this.#fields('The file', value, [
      'listen',
      'public',
      'groups',
      'hotRooms',
      'trustedProxies',
      'unlimited',
    ]);
    const groups = this.#groups(fields['groups']);
    const address = fields['public'];
    if (address !== undefined && !(typeof address === 'string' && httpUrl.test(address)))
      this.#say('public must be an address such as https://live.example.org, without a path.');
    return {
      listen: this.#listen(fields['listen']),
      publicUrl: typeof address === 'string' ? address : null,
      groups,
      hotRooms: this.#hotRooms(fields['hotRooms'], groups),
      trustedProxies: this.#networks('trustedProxies', fields['trustedProxies']),
      unlimited: this.#networks('unlimited', fields['unlimited']),
    };
  }

  #groups(value: unknown): readonly ServerGroup[] {
    const entries = Object.entries(this.#fields('groups', value));
    if (entries.length === 0) this.#say('groups must name at least one group.');
    if (entries.length > groupsMax) this.#say(`groups must name at most ${groupsMax} groups.`);
    const groups = entries.slice(0, groupsMax).map(([name, group]) => this.#group(name, group));
    if (entries.length > 0 && groups.every(({ weight }) => weight === 0))
      this.#say('At least one group must have a weight above 0.');
    if (groups.reduce((sum, { servers }) => sum + servers.length, 0) > serversMax)
      this.#say(`The groups must have at most ${serversMax} servers in total.`);
    return groups;
  }

  #group(name: string, value: unknown): ServerGroup {
    if (!groupName.test(name)) this.#say(`"${name}" is not a group name: a letter, then 0 to 31 of A-Z a-z 0-9 . _ -`);
    if (name.toLowerCase() === hotName)
      this.#say(`A group must not be named ${name}: that name stands for rooms on several groups.`);
    // nginx ignores case in the names of upstreams.
    this.#once(`group ${name.toLowerCase()}`, `The group ${name} is listed twice (case is ignored).`);
    const fields = this.#fields(`The group ${name}`, value, ['weight', 'servers']);
    const weight = this.#weight(`The group ${name}`, fields['weight'], 0);
    const list = fields['servers'];
    if (!Array.isArray(list) || list.length === 0) this.#say(`The group ${name} must have a list of servers.`);
    const servers = Array.isArray(list) ? list.map((server, at) => this.#server(name, server, at)) : [];
    if (servers.length > 0 && weight > 0 && servers.every(({ isDrained }) => isDrained))
      this.#say(`Every server of the group ${name} is drained; give the group weight 0 first.`);
    return { name, weight, servers };
  }

  #server(group: string, value: unknown, at: number): GroupServer {
    const where = `Server ${at + 1} of the group ${group}`;
    const fields = this.#fields(where, value, ['name', 'address', 'admin', 'weight', 'drain']);
    const { name, address, admin, drain } = fields;
    if (typeof name !== 'string' || !serverName.test(name))
      this.#say(`${where} must have a name: 1 to 32 of A-Z a-z 0-9 . _ -, the first a letter or digit.`);
    else this.#once(`name ${name}`, `The server name ${name} is listed twice.`);
    if (!isServerAddress(address))
      this.#say(`${where} must have an address such as unix:/run/ringside/blue-1.sock or 127.0.0.1:8081.`);
    else this.#once(`address ${address}`, `The address ${address} is listed twice.`);
    if (admin !== undefined && !(typeof admin === 'string' && httpUrl.test(admin)))
      this.#say(`${where}: admin must be an address such as http://127.0.0.1:9081.`);
    else if (admin !== undefined) this.#once(`admin ${admin}`, `The admin address ${admin} is listed twice.`);
    if (drain !== undefined && typeof drain !== 'boolean') this.#say(`${where}: drain must be true or false.`);
    return {
      name: String(name),
      address: String(address),
      admin: typeof admin === 'string' ? admin : null,
      weight: this.#weight(where, fields['weight'], 1),
      isDrained: drain === true,
    };
  }

  #hotRooms(value: unknown, groups: readonly ServerGroup[]): ReadonlyMap<RoomId, readonly string[]> {
    const entries = Object.entries(value === undefined ? {} : this.#fields('hotRooms', value));
    if (entries.length > hotRoomsMax) this.#say(`hotRooms must name at most ${hotRoomsMax} rooms.`);
    const rooms = new Map<RoomId, readonly string[]>();
    for (const [room, list] of entries.slice(0, hotRoomsMax)) {
      if (!isRoomId(room)) {
        this.#say(`hotRooms: "${room}" is not a room id: 1 to 64 of A-Z a-z 0-9 . _ ~ -, the first a letter or digit.`);
        continue;
      }
      const names: readonly unknown[] = Array.isArray(list) ? list : [];
      if (names.length === 0) this.#say(`hotRooms: ${room} must have a list of groups.`);
      const known = names.flatMap((name) => groups.find((group) => group.name === name) ?? []);
      for (const name of names) {
        if (!groups.some((group) => group.name === name))
          this.#say(`hotRooms: ${room} names the unknown group ${JSON.stringify(name)}.`);
      }
      if (new Set(names).size < names.length) this.#say(`hotRooms: ${room} names a group twice.`);
      if (known.length > 0 && known.every(({ servers }) => servers.every(({ isDrained }) => isDrained)))
        this.#say(`hotRooms: every server for ${room} is drained.`);
      rooms.set(
        room,
        groups.filter((group) => known.includes(group)).map(({ name }) => name),
      );
    }
    return rooms;
  }

  #listen(value: unknown): readonly string[] {
    const list = value === undefined ? ['127.0.0.1:8000'] : this.#list('listen', value);
    if (list.length === 0) this.#say('listen must name at least one address.');
    for (const one of list) {
      if (!isPort(listenAddress.exec(one)?.[1]))
        this.#say(`listen: "${one}" is not an address such as 127.0.0.1:8000.`);
    }
    return list;
  }

  #networks(name: string, value: unknown): readonly string[] {
    const list = value === undefined ? [] : this.#list(name, value);
    for (const one of list) {
      if (!network.test(one)) this.#say(`${name}: "${one}" is neither an address nor a range such as 10.0.0.0/8.`);
    }
    return list;
  }

  #list(name: string, value: unknown): readonly string[] {
    if (Array.isArray(value) && value.length <= addressesMax && value.every((one) => typeof one === 'string'))
      return value;
    this.#say(`${name} must be a list of at most ${addressesMax} texts.`);
    return [];
  }

  #weight(where: string, value: unknown, min: number): number {
    if (value === undefined) return 1;
    if (Number.isInteger(value) && Number(value) >= min && Number(value) <= weightMax) return Number(value);
    this.#say(`${where}: weight must be a whole number from ${min} to ${weightMax}.`);
    return 1;
  }

  /** An object; with `known`, one without other fields. */
  #fields(where: string, value: unknown, known?: readonly string[]): Fields {
    if (!isFields(value)) {
      this.#say(`${where} must be an object${known ? ` with ${known.join(', ')}` : ' of names'}.`);
      return {};
    }
    for (const name of Object.keys(value)) {
      if (known && !known.includes(name)) this.#say(`${where} has an unknown field: ${name}.`);
    }
    return value;
  }

  #once(key: string, sentence: string): void {
    if (this.#seen.has(key)) this.#say(sentence);
    this.#seen.set(key, sentence);
  }

  #say(sentence: string): void {
    if (!this.sentences.includes(sentence)) this.sentences.push(sentence);
  }
}

function isServerAddress(value: unknown): value is string {
  if (typeof value !== 'string') return false;
  if (value.startsWith('unix:')) return socketAddress.test(value) && value.length - 'unix:'.length <= socketPathMax;
  return isPort(hostPort.exec(value)?.[1]);
}
