/**
 * Parses REDIS_URL: the servers, their kind, and the logins. The forms are those of other programs: one server;
 * `redis+cluster://` and some of a cluster's nodes; `redis+sentinel://`, some sentinels and the name of the primary that
 * they watch. A wrong one stops the start with a sentence that says what is right and never repeats the value, which may
 * hold a password.
 */

import { readFileSync } from 'node:fs';
import { SettingsError } from '../settings.ts';

/** `host:port`, or `unix:` and the path of a socket. */
export type ServerName = string;

export interface Login {
  readonly username?: string;
  readonly password?: string;
}

/** Contents of files: trusted authorities, and our own certificate. */
interface Certificates {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

export interface RedisAddress {
  readonly kind: 'single' | 'cluster' | 'sentinel';
  /** The one server; some nodes of the cluster; or the sentinels. At least one. */
  readonly seeds: readonly ServerName[];
  /** The sentinels' name of the primary; '' without sentinels. */
  readonly primary: string;
  readonly login: Login;
  readonly sentinelLogin: Login;
  readonly database: number;
  /** Null: no TLS. */
  readonly tls: Certificates | null;
}

/** A few are enough to find all others. */
export const seedsMax = 64;
const redisPort = 6379;
const sentinelPort = 26379;

const form = /^(redis|rediss)(?:\+(cluster|sentinel))?:\/\/(?:([^/]*)@)?([^/?#@]*)((?:\/[^?#]*)?)(?:\?([^#]*))?$/;
const unixForm = /^unix:(?:\/\/(?:([^/]*)@)?)?(\/[^?#]+)$/;
const certificateFiles = { ca: 'ssl_ca_certs', cert: 'ssl_certfile', key: 'ssl_keyfile' } as const;

/** @throws {SettingsError} */
export function readAddress(redisUrl: string): RedisAddress {
  const unix = unixForm.exec(redisUrl);
  if (unix) {
    const seeds = [`unix:${decode(unix[2] ?? '')}`];
    return { kind: 'single', primary: '', login: readLogin(unix[1]), sentinelLogin: {}, database: 0, tls: null, seeds };
  }
  const match = form.exec(redisUrl);
  if (!match)
    wrong(
      'be redis://host:port, unix:/path, redis+cluster://host:port,host:port or redis+sentinel://host:port/primary',
    );
  const [, scheme, more, user, hosts = '', path = '', query = ''] = match;
  const kind = more === 'cluster' || more === 'sentinel' ? more : 'single';
  const words = path.split('/').slice(1).map(decode);
  const primary = kind === 'sentinel' ? (words.shift() ?? '') : '';
  if (kind === 'sentinel' && primary === '')
    wrong('end with the name of the primary: redis+sentinel://host:port/primary');
  const options = new URLSearchParams(query);
  const tls = scheme === 'rediss' ? readCertificates(options) : null;
  const sentinelLogin = kind === 'sentinel' ? readSentinelLogin(options) : {};
  const [unknown] = options.keys();
  if (unknown !== undefined)
    wrong(
      'have no options but ssl_ca_certs, ssl_certfile and ssl_keyfile (rediss) and sentinel_username and sentinel_password (sentinels)',
    );
  return {
    kind,
    primary,
    tls,
    sentinelLogin,
    login: readLogin(user),
    database: readDatabase(words, kind),
    seeds: readHosts(hosts, kind),
  };
}

function wrong(what: string): never {
  throw new SettingsError(`REDIS_URL must ${what}.`);
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return wrong('have a percent sign only before two hexadecimal digits');
  }
}

function readLogin(text: string | undefined): Login {
  if (!text) return {};
  const colon = text.indexOf(':');
  const username = decode(colon === -1 ? text : text.slice(0, colon));
  const password = colon === -1 ? '' : decode(text.slice(colon + 1));
  return { ...(username === '' ? {} : { username }), ...(password === '' ? {} : { password }) };
}

function readSentinelLogin(options: URLSearchParams): Login {
  const username = take(options, 'sentinel_username');
  const password = take(options, 'sentinel_password');
  return { ...(username === null ? {} : { username }), ...(password === null ? {} : { password }) };
}

function take(options: URLSearchParams, name: string): string | null {
  const value = options.get(name);
  options.delete(name);
  return value;
}

function readCertificates(options: URLSearchParams): Certificates {
  const found: { ca?: Buffer; cert?: Buffer; key?: Buffer } = {};
  for (const [field, name] of Object.entries(certificateFiles) as ['ca' | 'cert' | 'key', string][]) {
    const path = take(options, name);
    if (path === null) continue;
    try {
      found[field] = readFileSync(path);
    } catch {
      wrong(`name a file that can be read as ${name}`);
    }
  }
  if ((found.cert === undefined) !== (found.key === undefined)) wrong('have ssl_certfile and ssl_keyfile together');
  return found;
}

function readHosts(text: string, kind: RedisAddress['kind']): ServerName[] {
  const hosts = text.split(',');
  if (kind === 'single' && hosts.length > 1) wrong('name one server, or be redis+cluster:// or redis+sentinel://');
  if (hosts.length > seedsMax) wrong(`name ${seedsMax} servers at most`);
  return hosts.map((one) => {
    const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+)(?::([0-9]{1,5}))?$/.exec(one);
    const port = Number(match?.[2] ?? (kind === 'sentinel' ? sentinelPort : redisPort));
    if (!match || port < 1 || port > 65535) wrong('name each server as host:port; an IPv6 address stands in brackets');
    return serverName((match[1] ?? '').replace(/^\[|\]$/g, ''), port);
  });
}

function readDatabase(words: readonly string[], kind: RedisAddress['kind']): number {
  const [text = '', ...rest] = words;
  if (rest.length > 0 || !/^[0-9]{0,4}$/.test(text)) wrong('name a database by its number, if at all');
  if (kind === 'cluster' && Number(text) !== 0) wrong('name no database: a cluster has only one');
  return Number(text);
}

export const serverName = (host: string, port: number): ServerName => `${host}:${port}`;

/** The connection options of a server. */
export function placeOf(server: ServerName): { path: string } | { host: string; port: number } {
  if (server.startsWith('unix:')) return { path: server.slice('unix:'.length) };
  const colon = server.lastIndexOf(':');
  return { host: server.slice(0, colon), port: Number(server.slice(colon + 1)) };
}
