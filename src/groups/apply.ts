/**
 * Applies the groups file: renders it, makes nginx load it, and hands over the viewers that must move, never faster than
 * the pace. It may be run again at any time: it repeats nothing, and finishes what an interrupted run left.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { type Groups, GroupsRefusal } from './groups-file.ts';
import { addressFault, isNotRunning, takeHealth } from './health.ts';
import { askRunning, call, type Running, type Words } from './nginx.ts';
import { drainNode, moveRoom, serversOf, takeRoomLists } from './nodes.ts';
import { makePlan, type Plan, type Step, stepsOf, tooSlow } from './plan.ts';
import { type Rendering, render } from './render.ts';
import { putRendering, renderedGroups, staleFiles } from './rendered.ts';

export interface ApplyOptions {
  readonly groups: Groups;
  readonly folder: string;
  readonly nginx: Words;
  /** The command that makes nginx reload its configuration. */
  readonly reload: Words;
  /** Reconnects per second. */
  readonly pace: number;
  /** Called once, with the plan. */
  readonly isAgreed: (plan: Plan) => Promise<boolean>;
  readonly report: (line: string) => void;
}

export interface Applied {
  readonly isAgreed: boolean;
  /** Viewers that were handed over. */
  readonly moved: number;
  /** A sentence for each failure. */
  readonly failures: readonly string[];
}

const reloadedWithinMs = 15_000;
const askAgainMs = 50;
/** The old workers still answer for a moment: nginx gives the new ones 100 ms to begin. */
const settledMs = 500;
/** Some viewers arrive through an old worker while nginx reloads; a later round finds them. */
const roundsMax = 3;

/** The groups in use: the running ones, otherwise the rendered ones. */
export async function groupsNow(
  groups: Groups,
  folder: string,
): Promise<{ running: Running | null; now: Groups | null }> {
  const rendered = await renderedGroups(folder);
  const listen = new Set([...groups.listen, ...(rendered?.listen ?? [])]);
  const running = await askRunning([...listen]);
  return { running, now: running?.groups ?? rendered };
}

/** @throws {GroupsRefusal} if nginx rejects or does not load the configuration, or the pace is too low. */
export async function apply(options: ApplyOptions): Promise<Applied> {
  const { groups, folder, nginx, pace, report } = options;
  const rendering = render(groups);
  const { running, now } = await groupsNow(groups, folder);
  if (running === null)
    throw new GroupsRefusal([
      `No nginx with rendered groups answers at ${groups.listen.join(' or ')}. Render the file and start nginx.`,
    ]);
  const plan = await planNow(now, groups);
  const sentences = tooSlow(plan, pace);
  if (sentences.length > 0) throw new GroupsRefusal(sentences);
  if (!(await options.isAgreed(plan))) return { isAgreed: false, moved: 0, failures: [] };
  if ((await staleFiles(folder, rendering)).length > 0) {
    await putRendering(folder, rendering, nginx);
    report(`wrote ${folder}`);
  }
  if (running.digest !== rendering.digest || running.groups.listen.join() !== groups.listen.join()) {
    await reload(options, rendering);
    report(`nginx runs ${rendering.digest}`);
  }
  const done = await handOver(options, now);
  return { ...done, failures: [...done.failures, ...(await leftUndone(plan, now, groups))] };
}

/**
 * Servers that took no order and may still have viewers. A server that does not run has none. A server without an admin
 * address only matters if it was to be drained.
 */
async function leftUndone({ unasked }: Plan, before: Groups | null, after: Groups): Promise<readonly string[]> {
  const kept = new Map(after.groups.flatMap(({ servers }) => servers).map((server) => [server.name, server]));
  const sentences = await Promise.all(
    serversOf(before, after).map(async ({ name, address, admin }) => {
      const reason = unasked.find(({ server }) => server === name)?.reason;
      const isLeaving = kept.get(name)?.isDrained ?? true;
      if (reason === undefined || (admin === null && !isLeaving)) return [];
      if (isNotRunning(await addressFault(address))) return [];
      return isLeaving
        ? [`${name} was not drained: ${reason}. Its viewers stay until it stops.`]
        : [`No viewers were moved from ${name}: ${reason}. Apply again when it answers.`];
    }),
  );
  return sentences.flat();
}

/** The plan, by the room lists of the servers. */
export async function planNow(before: Groups | null, after: Groups): Promise<Plan> {
  const roomLists = await takeRoomLists(serversOf(before, after));
  return makePlan(before, after, roomLists, await takeHealth(after, roomLists));
}

async function reload({ groups, reload: words }: ApplyOptions, { digest }: Rendering): Promise<void> {
  const { isFine, text } = await call(words);
  if (!isFine) throw new GroupsRefusal([`\`${words.join(' ')}\` failed: ${text}`]);
  const until = performance.now() + reloadedWithinMs;
  let newSince = Number.POSITIVE_INFINITY;
  while (!(performance.now() - newSince >= settledMs)) {
    if (performance.now() > until)
      throw new GroupsRefusal([
        `nginx did not load ${digest} within ${reloadedWithinMs / 1000} s; see its error log. No viewers were moved.`,
      ]);
    await pause(askAgainMs);
    const isNew = (await askRunning(groups.listen))?.digest === digest;
    if (!isNew) newSince = Number.POSITIVE_INFINITY;
    else newSince = Math.min(newSince, performance.now());
  }
}

async function handOver({ groups, pace, report }: ApplyOptions, before: Groups | null): Promise<Applied> {
  const failures: string[] = [];
  let moved = 0;
  for (let round = 0, was = before; round < roundsMax; round += 1, was = groups) {
    // Viewers that are leaving still count, so a later round looks at misrouted viewers alone.
    const steps = stepsOf(await planNow(was, groups), pace);
    if (steps.length === 0) break;
    for (const step of steps) {
      const outcome = await take(step);
      if (typeof outcome === 'string') failures.push(outcome);
      else {
        moved += outcome;
        report(`${step.server}: ${outcome} viewers of ${step.room ?? 'every room'} move over ${step.overMs} ms`);
      }
    }
    if (failures.length > 0) break;
  }
  return { isAgreed: true, moved, failures };
}

/** Makes the call, and waits for the gateway's handover. */
async function take({ admin, room, share, overMs }: Step): Promise<number | string> {
  const answered = room === null ? await drainNode(admin, overMs) : await moveRoom(admin, room, share, overMs);
  if (typeof answered === 'number' && answered > 0) await pause(overMs);
  return answered;
}
