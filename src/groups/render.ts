/**
 * The part of nginx's configuration that is made from the groups file: `groups.conf` with the maps and the upstreams,
 * and `listen.conf` with what nginx opens. The same groups give the same bytes. `groups.conf` carries the groups that
 * it was made from, so that a running nginx can say by which it routes.
 */

import { createHash } from 'node:crypto';
import { type GroupServer, type Groups, hotName, readGroups, type ServerGroup, writeGroups } from './groups-file.ts';
import { assignSlots, slotShare, slotsCount } from './slots.ts';

export interface Rendering {
  /** Names the content of `groups.conf`; a running nginx answers with it. */
  readonly digest: string;
  /** By file name. The files do not refer to each other, so any mix of old and new ones is valid. */
  readonly files: ReadonlyMap<string, string>;
}

export const groupsConf = 'groups.conf';
const listenConf = 'listen.conf';

/** nginx limits a word to 4,096 bytes. */
const chunkLength = 2000;
/** Shares the state of an upstream's servers among all workers of nginx. */
const zoneSize = '256k';
/** Idle connections for writes that a worker keeps to a group. */
const idleConnections = 32;

export function render(groups: Groups): Rendering {
  const body = [mapsOf(groups), upstreamsOf(groups), proxiesOf(groups), originOf(groups)].join('\n');
  const digest = createHash('sha256').update(body).digest('hex').slice(0, 32);
  const named = `${header(digest)}
# What runs, for \`ringside groups check\`.
map "" $ringside_digest { default ${digest}; }

${body}`;
  const listen = groups.listen.map((address) => `listen ${address} ${listenOptions};`);
  return {
    digest,
    files: new Map([
      [groupsConf, named],
      [listenConf, `${listenHeader}\n${listen.join('\n')}\n`],
    ]),
  };
}

const header = (digest: string): string => `# Made by \`ringside groups render\` from groups.json; change it there.
# Digest: ${digest}
`;

/** Inherited by each connection. Linux reserves twice what `sndbuf` names, and bounds `backlog` by somaxconn. */
const listenOptions = 'sndbuf=64k backlog=4096';
const listenHeader = `# Made by \`ringside groups render\` from groups.json; change it there.
# sndbuf: without it the kernel takes up to 4 MiB for a viewer who reads nothing, and the gateway learns of it minutes
# later. backlog: how many may knock at a time when all come back at once.`;

/** Room to slot, slot to group, and hot rooms before that. */
function mapsOf(groups: Groups): string {
  const shares = Array.from({ length: slotsCount - 1 }, (_, slot) => `  ${percent} ${slot};`);
  const slots = assignSlots(groups.groups).map((name, slot) => `  ${slot} ${name};`);
  // As patterns, because nginx ignores case in plain words and reserves words like "default".
  const hot = [...groups.hotRooms].map(([room, names]) => `  "~^${room.replaceAll('.', '\\.')}$" ${placeName(names)};`);
  return `# A room's slot: murmurHash2 of its id, in ${slotsCount} parts. The last takes what rounding leaves.
split_clients $ringside_room $ringside_slot {
${shares.join('\n')}
  * ${slotsCount - 1};
}

# A slot's group.
map $ringside_slot $ringside_slot_group {
${slots.join('\n')}
}

# Where a room goes: its slot's group, or where the file sends it.
map $ringside_room $ringside_place {
  default $ringside_slot_group;
${lines(hot)}}

# What the gateway is told: the group that was chosen. A room on several groups is misrouted nowhere.
map $ringside_place $ringside_group {
  default $ringside_place;
  "~[+]" ${hotName};
}
`;
}

const percent = `${(slotShare / 100).toFixed(2)}%`;
/** The names of many groups exceed a word of nginx. No group's name contains a plus sign. */
const placeName = (names: readonly string[]): string =>
  names.length === 1
    ? String(names[0])
    : `${hotName}+${createHash('sha256').update(names.join()).digest('hex').slice(0, 8)}`;
const lines = (all: readonly string[]): string => all.map((line) => `${line}\n`).join('');

/** The sets of groups that share a hot room, each once. */
function spreadsOf({ hotRooms }: Groups): readonly (readonly string[])[] {
  const spreads = new Map([...hotRooms.values()].map((names) => [placeName(names), names]));
  return [...spreads.values()]
    .filter((names) => names.length > 1)
    .sort((a, b) => (placeName(a) < placeName(b) ? -1 : 1));
}

/**
 * Two upstreams for each place. Streams go to the server with the fewest. Writes go in turn over kept connections, because
 * "the fewest" would send them all to a server that was just restarted. When no server of the place answers, servers of
 * other groups do: any server can serve any room. After those the same servers are listed again and never left alone,
 * because nginx asks none if all are: so the first one that recovers is found at once.
 */
function upstreamsOf(groups: Groups): string {
  const places = [...groups.groups.map(({ name }) => [name]), ...spreadsOf(groups)];
  return places
    .map((names) => {
      const isOwn = ({ name }: ServerGroup): boolean => names.includes(name);
      const own = groups.groups.filter(isOwn).flatMap(({ servers }) => servers);
      const others = groups.groups.filter((group) => !isOwn(group)).flatMap(({ servers }) => servers);
      const spare = others.filter(({ isDrained }) => !isDrained);
      const again = own.length + spare.length > 1 ? own.filter(({ isDrained }) => !isDrained) : [];
      const servers = [
        ...own.map((server) => serverLine(server, leftAlone, server.isDrained ? ' down' : '')),
        ...spare.map((server) => serverLine({ ...server, weight: server.weight * spareWeight }, leftAlone, ' backup')),
        ...again.map((server) => serverLine(server, 'max_fails=0', ' backup')),
      ].join('\n');
      const place = placeName(names);
      return `# ${names.join(', ')}
upstream ${place}.streams {
  zone ${place}.streams ${zoneSize};
  least_conn;
${servers}
}
upstream ${place}.writes {
  zone ${place}.writes ${zoneSize};
${servers}
  keepalive ${idleConnections};
  # Shorter than the gateway's 72 s, so that nginx never writes to a connection that is just being closed for idleness.
  keepalive_timeout 30s;
}
`;
    })
    .join('\n');
}

/** Spare servers come before servers that have just failed. */
const spareWeight = 100;
/**
 * A server that refused a connection, or was silent for a way's timeout, is left alone for three seconds. So a stopped
 * process, for which the kernel still accepts connections, costs only the first request that time.
 */
const leftAlone = 'max_fails=1 fail_timeout=3s';
const serverLine = ({ name, address, weight }: GroupServer, fails: string, state: string): string =>
  `  server ${address} weight=${weight} ${fails}${state}; # ${name}`;

/** Trusted proxies, and addresses exempt from the limits. */
function proxiesOf({ trustedProxies, unlimited }: Groups): string {
  const real = trustedProxies.map((proxy) => `set_real_ip_from ${proxy};\n`).join('');
  const trust = real === '' ? '' : `${real}real_ip_header X-Forwarded-For;\nreal_ip_recursive on;\n`;
  return `# Proxies before this one. What anybody else says of addresses and schemes is not believed.
${trust}geo $realip_remote_addr $ringside_is_trusted {
  default 0;
${lines(trustedProxies.map((proxy) => `  ${proxy} 1;`))}}

# Addresses that the limits do not count.
geo $remote_addr $ringside_is_unlimited {
  default 0;
${lines(unlimited.map((address) => `  ${address} 1;`))}}
`;
}

/** The groups file itself, in words short enough for nginx. */
function originOf(groups: Groups): string {
  const chunks = writeGroups(groups).match(new RegExp(`.{1,${chunkLength}}`, 'g')) ?? [];
  const all = chunks.map((_, at) => `$ringside_origin_${at}`).join('');
  return `# The groups that this was made from. Nothing in them needs to be escaped: the file is refused otherwise.
${lines(chunks.map((chunk, at) => `map "" $ringside_origin_${at} { default '${chunk}'; }`))}map "" $ringside_origin { default "${all}"; }
`;
}

/** The groups in a `groups.conf`; null if they cannot be read. */
export function originIn(text: string): Groups | null {
  const chunks = [...text.matchAll(/^map "" \$ringside_origin_[0-9]+ \{ default '([^']*)'; \}$/gm)];
  try {
    return readGroups(chunks.map(([, chunk]) => chunk).join(''));
  } catch {
    return null;
  }
}
