/** Short words for the tests of the log on a real Redis. */

import assert from 'node:assert/strict';
import { Refusal } from '../../src/errors.ts';
import { openRedis } from '../../src/log/redis/open-redis.ts';
import type { Appended, Change, Write } from '../../src/log/room-log.ts';
import type { RoomId, UserId } from '../../src/model.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import { joined, type NodeLog } from '../rig/joined.ts';
import type { RedisOptions, RedisServer } from '../rig/redis.ts';
import { waitFor } from '../rig/wait-for.ts';
import type { Harness, LogSettings } from './stage.ts';

export const deadlineMs = 600;
/**
 * What was answered outlives the process. Redis must not sync the file itself: while it waits
 * for a busy disk it holds its writes back, and a killed process would lose them.
 */
export const durable: RedisOptions = { appendOnly: true, lines: ['appendfsync no'] };
export const anna = 'anna' as UserId;
export const ben = 'ben' as UserId;
let rooms = 0;
export const newRoom = (): RoomId => `room-${++rooms}` as RoomId;
export const comment = (body = '{"text":"hello"}'): Change => ({
  type: 'event',
  kind: 'comment',
  lane: 'chat',
  audience: 'all',
  body,
});
export const writeOf = (room: RoomId, change: Change = comment(), more: Partial<Write> = {}): Write => ({
  room,
  by: anna,
  role: change.type === 'rule' ? 'moderator' : 'viewer',
  once: null,
  rate: null,
  mutable: true,
  change,
  ...more,
});
export const once = (key: string, digest = 'd') => ({ once: { key, digest } });

const openLogs = new Set<NodeLog>();
export async function open(url: string, nodeId = 'node-1', settings: Partial<Settings> = {}): Promise<NodeLog> {
  const all = {
    ...readSettings({ REDIS_URL: url, LOG_DEADLINE_MS: String(deadlineMs), CHAT_PER_SECOND: '0' }),
    ...settings,
  };
  const log = joined(await openRedis(all, nodeId));
  openLogs.add(log);
  return log;
}
export async function closeAll(): Promise<void> {
  for (const log of openLogs) await log.close();
  openLogs.clear();
}

export async function kept(answer: Promise<Appended>): Promise<Extract<Appended, { outcome: 'kept' }>> {
  const appended = await answer;
  assert(appended.outcome === 'kept', JSON.stringify(appended));
  return appended;
}
export async function refusedCode(answer: Promise<unknown>): Promise<string> {
  try {
    return `an answer: ${JSON.stringify(await answer)}`;
  } catch (error) {
    assert(error instanceof Refusal, String(error));
    return error.code;
  }
}
/** Writes until one is kept. */
export const heal = (log: NodeLog, room: RoomId) =>
  waitFor(async () => log.isReady() && (await log.append(writeOf(room)).catch(() => null)), {
    what: 'the log to heal',
    timeoutMs: 10_000,
  });

/** What the contract asks of one server; `url`: as whom the nodes call it. */
export function harnessOn(server: RedisServer, url: string, settings: Partial<LogSettings>): Harness {
  const nodes = new Map<string, Promise<NodeLog>>();
  return {
    node(id) {
      const log = nodes.get(id) ?? open(url, id, { logDeadlineMs: 2000, ...settings });
      nodes.set(id, log);
      return log;
    },
    async restart() {
      await server.restart();
      for (const log of nodes.values())
        await waitFor(async () => (await log).isReady(), { what: 'the links', timeoutMs: 10_000 });
    },
    forget: () => server.flush(),
    tick: (ms) => age(server, ms),
    async close() {
      for (const log of nodes.values()) await (await log).close();
    },
  };
}

/** Makes all that a Redis holds of rooms `ms` older, because its clock cannot be moved: expiries and kept times alike. */
export async function age(server: Pick<RedisServer, 'cli'>, ms: number): Promise<void> {
  await server.cli('eval', makeOlder, '0', String(ms));
}

const makeOlder = `
local ms = tonumber(ARGV[1])
local function older(text)
  return string.format('%.3f', tonumber(text) - ms)
end
local function older_int(text)
  return string.format('%d', tonumber(text) - ms)
end
local function age_fields(key, is_time)
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if is_time(all[i], all[i + 1]) then redis.call('HSET', key, all[i], older_int(all[i + 1])) end
  end
end
-- 'end' to a moment, a rule to '<until, ms; 0 for good> <rank> <since, ms> ...'
local function age_rules(key)
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if all[i] == 'end' or string.match(all[i], '^ban:') or string.match(all[i], '^mute:') then
      local value = string.gsub(all[i + 1], '^[1-9]%d*', older_int)
      value = string.gsub(value, '^(%d+ %d )(%d+)', function(head, since) return head .. older_int(since) end)
      redis.call('HSET', key, all[i], value)
    end
  end
end
-- '<arrival, microseconds>' or '<arrival> <due, ms> ...'
local function age_chat(key)
  local chat = redis.call('HGET', key, 'chat')
  if not chat then return end
  local arrival, rest = string.match(chat, '^(%d+)(.*)$')
  rest = string.gsub(rest, '^ (%d+)', function(due) return ' ' .. older_int(due) end)
  redis.call('HSET', key, 'chat', string.format('%d', tonumber(arrival) - ms * 1000) .. rest)
end
-- '@<node>' to '<end, ms> <streams>', 'pass' to '<cursor> <begun, ms> <last step, ms>'
local function age_audience(key)
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local value = all[i + 1]
    if string.sub(all[i], 1, 1) == '@' then value = string.gsub(value, '^%d+', older_int) end
    if all[i] == 'pass' then
      value = string.gsub(value, ' (%d+)', function(at) return ' ' .. older_int(at) end)
    end
    redis.call('HSET', key, all[i], value)
  end
end
local function age_entries(key)
  local entries = redis.call('XRANGE', key, '-', '+')
  if #entries > 0 then redis.call('DEL', key) end
  for _, entry in ipairs(entries) do
    local head, at, rest = string.match(entry[2][2], '^(%d+ %d+ %w+ )(%d+)(.*)$')
    redis.call('XADD', key, entry[1], 'e', head .. older_int(at) .. rest, unpack(entry[2], 3))
  end
end
for _, key in ipairs(redis.call('KEYS', 'rs:*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 and left <= ms then
    redis.call('DEL', key)
  else
    local kind = string.match(key, '^rs:{.-}:(%a+)')
    if kind == 'log' then age_entries(key)
    elseif kind == 'audience' then age_audience(key)
    elseif kind == 'nodes' then age_fields(key, function(name) return name ~= '' end)
    elseif kind == 'where' then age_fields(key, function(name, value) return name == '' and value ~= '0' end)
    elseif kind == 'rules' then age_rules(key)
    elseif kind == 'meta' then
      age_fields(key, function(name) return name == 'touched' or name == 'count_at' or string.match(name, '^t:') end)
      age_rules(key)
      age_chat(key)
    elseif kind == 'rate' then redis.call('SET', key, older(redis.call('GET', key))) end
    if left > ms then redis.call('PEXPIRE', key, left - ms) end
  end
end`;
