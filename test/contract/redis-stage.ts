/** Short words for the tests of the log on a real Redis. */

import assert from 'node:assert/strict';
import { Refusal } from '../../src/errors.ts';
import { openRedisLog } from '../../src/log/redis-log.ts';
import type { Appended, Change, RoomLog, Write } from '../../src/log/room-log.ts';
import { readSettings, type Settings } from '../../src/settings.ts';
import type { RoomId, UserId } from '../../src/signal.ts';
import { waitFor } from '../helpers/wait-for.ts';

export const deadlineMs = 600;
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
  once: null,
  rate: null,
  mutable: true,
  change,
  ...more,
});
export const once = (key: string, digest = 'd') => ({ once: { key, digest } });

const openLogs = new Set<RoomLog>();
export async function open(url: string, nodeId = 'node-1', settings: Partial<Settings> = {}): Promise<RoomLog> {
  const all = { ...readSettings({ REDIS_URL: url, LOG_DEADLINE_MS: String(deadlineMs) }), ...settings };
  const log = await openRedisLog(all, nodeId);
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
export const heal = (log: RoomLog, room: RoomId) =>
  waitFor(async () => log.isReady() && (await log.append(writeOf(room)).catch(() => null)), {
    what: 'the log to heal',
    timeoutMs: 10_000,
  });
