/** `ringside groups`: parses the command line, and prints plans, findings and results. */

import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { isRoomId } from '../model.ts';
import { apply, groupsNow, planNow } from './apply.ts';
import { check } from './check.ts';
import { type Groups, GroupsRefusal, readGroups } from './groups-file.ts';
import { type Words, wordsIn } from './nginx.ts';
import { movingIn, type Plan, tooSlow } from './plan.ts';
import { render } from './render.ts';
import { putRendering } from './rendered.ts';
import { placesOf, slotOf } from './slots.ts';

export const usage = `ringside groups plan|render|check|apply [options]

  plan     shows which slots, rooms and viewers would move. Changes nothing.
  render   writes the configuration that nginx includes, after nginx has tested it.
  check    compares the file, the rendering, the running nginx and the gateways; opens a stream as the public does.
  apply    renders, reloads nginx, and makes the gateways hand over the viewers that must move.

  --file PATH        the groups file (nginx/groups.json)
  --out PATH         the folder that nginx.conf includes (generated, beside the file)
  --nginx "COMMAND"  the nginx command (nginx -p run -c nginx.conf beside the file)
  --reload "COMMAND" the command that reloads nginx (the above with -s reload)
  --pace N           at most N reconnects per second (200)
  --untested         render: do not let nginx test it, for a machine without nginx
  --room ROOM        plan: show where this room goes; check: open the stream of this room (ringside-check)
  --token-file PATH  check: a token for that stream
  --yes              apply: do not ask
  --force            apply: with --yes, even if a group or a hot room would have no server that accepts traffic
  --json             print JSON`;

export interface Terminal {
  print(line: string): void;
  /** Null without a terminal. */
  readonly ask: ((question: string) => Promise<string>) | null;
}

/** The terminal of this process. */
export function systemTerminal(): Terminal {
  return { print: (line) => void process.stdout.write(`${line}\n`), ask: process.stdin.isTTY ? askPerson : null };
}

async function askPerson(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question(question);
  } finally {
    lines.close();
  }
}

const paceMax = 100_000;
const options = {
  file: { type: 'string', default: 'nginx/groups.json' },
  out: { type: 'string' },
  nginx: { type: 'string' },
  reload: { type: 'string' },
  pace: { type: 'string', default: '200' },
  untested: { type: 'boolean', default: false },
  room: { type: 'string' },
  'token-file': { type: 'string' },
  yes: { type: 'boolean', default: false },
  force: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

interface Order {
  readonly groups: Groups;
  readonly folder: string;
  readonly nginx: Words;
  readonly reload: Words;
  readonly pace: number;
  readonly room: string | null;
  readonly token: string | null;
  readonly isTested: boolean;
  readonly isAgreed: boolean;
  readonly isForced: boolean;
  readonly isJson: boolean;
}

const commands = { plan, render: renderGroups, check: checkGroups, apply: applyGroups } as const;

/** Settles with the exit code: 0 on success, 1 on a failure, 2 for a wrong command line. */
export async function runGroups(words: readonly string[], terminal: Terminal): Promise<number> {
  const [name = '', ...rest] = words;
  if (!Object.hasOwn(commands, name)) {
    terminal.print(usage);
    return ['', 'help', '--help', '-h'].includes(name) ? 0 : 2;
  }
  try {
    return await commands[name as keyof typeof commands](await readOrder(rest), terminal);
  } catch (error) {
    if (!(error instanceof GroupsRefusal)) throw error;
    const isJson = words.includes('--json');
    if (isJson) terminal.print(JSON.stringify({ refused: error.sentences }));
    else for (const sentence of error.sentences) terminal.print(sentence);
    return 1;
  }
}

async function readOrder(words: readonly string[]): Promise<Order> {
  let values: ReturnType<typeof parseArgs<{ options: typeof options }>>['values'];
  try {
    ({ values } = parseArgs({ args: [...words], options, allowPositionals: false }));
  } catch (error) {
    throw new GroupsRefusal([(error as Error).message]);
  }
  const { file, room = null } = values;
  const pace = Number(values.pace);
  if (!(Number.isInteger(pace) && pace >= 1 && pace <= paceMax))
    throw new GroupsRefusal([`--pace must be a whole number from 1 to ${paceMax} (reconnects per second).`]);
  if (room !== null && !isRoomId(room)) throw new GroupsRefusal([`--room: "${room}" is not a room id.`]);
  const home = dirname(resolve(file));
  const nginx =
    values.nginx === undefined
      ? ['nginx', '-e', 'stderr', '-p', resolve('run'), '-c', join(home, 'nginx.conf')]
      : wordsIn(values.nginx);
  return {
    groups: readGroups(await read('--file', file)),
    folder: values.out ?? join(dirname(file), 'generated'),
    nginx,
    reload: values.reload === undefined ? [...nginx, '-s', 'reload'] : wordsIn(values.reload),
    pace,
    room,
    token: values['token-file'] === undefined ? null : (await read('--token-file', values['token-file'])).trim(),
    isTested: !values.untested,
    isAgreed: values.yes,
    isForced: values.force,
    isJson: values.json,
  };
}

async function read(option: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new GroupsRefusal([`${option}: ${path} cannot be read (${(error as NodeJS.ErrnoException).code}).`]);
  }
}

async function plan({ groups, folder, pace, room, isJson }: Order, { print }: Terminal): Promise<number> {
  const { running, now } = await groupsNow(groups, folder);
  const made = await planNow(now, groups);
  const against = running === null ? (now === null ? 'nothing' : 'rendered') : 'running';
  const where =
    room !== null && isRoomId(room) ? { room, slot: slotOf(room), groups: placesOf(groups).of(room) } : null;
  if (isJson) print(JSON.stringify({ against, ...made, ...paceOf(made, pace), ...(where ? { where } : {}) }));
  else {
    print(
      `Compared with ${against === 'nothing' ? 'nothing: no groups are rendered' : against === 'running' ? 'the running nginx' : 'the rendered groups'}:`,
    );
    for (const line of linesOf(made, pace)) print(line);
    if (where) print(`${where.room} is in slot ${where.slot} and goes to ${where.groups.join(', ')}.`);
  }
  return 0;
}

const paceOf = ({ viewers }: Plan, pace: number) => ({
  reconnectsPerSecond: Math.min(pace, viewers),
  seconds: Math.ceil(viewers / pace),
});

const roomsShown = 20;

function linesOf(plan: Plan, pace: number): readonly string[] {
  const { reconnectsPerSecond, seconds } = paceOf(plan, pace);
  const { moves, drains, unasked, dark, abandoned } = plan;
  const largest = [...moves].sort((a, b) => movingIn(b) - movingIn(a));
  return [
    `  slots      ${plan.slotsMoved} of 250 move`,
    ...plan.slots.map(({ group, before, after }) => `    ${group}: ${before} before, ${after} after`),
    `  rooms      ${plan.rooms} have viewers that move`,
    ...largest.slice(0, roomsShown).map(roomLine),
    ...(largest.length > roomsShown ? [`    and ${largest.length - roomsShown} more`] : []),
    ...drains.map(({ server, viewers }) => `  drain      ${server}, with ${viewers} viewers`),
    ...unasked.map(({ server, reason }) => `  not asked  ${server}: ${reason}`),
    ...dark.map(({ server, reason }) => `  dark       ${server} accepts no traffic: ${reason}`),
    `  viewers    ${plan.viewers} reconnect, ${reconnectsPerSecond} per second, within ${seconds} s`,
    ...tooSlow(plan, pace),
    ...abandoned,
  ];
}

const roomLine = (move: Plan['moves'][number]): string =>
  `    ${move.room}: ${movingIn(move)} of ${move.viewers} viewers on ${move.server} go to ${move.to.join(', ')}`;

async function renderGroups({ groups, folder, nginx, isTested, isJson }: Order, { print }: Terminal): Promise<number> {
  const rendering = render(groups);
  await putRendering(folder, rendering, isTested ? nginx : null);
  if (isJson) print(JSON.stringify({ folder, digest: rendering.digest, files: [...rendering.files.keys()] }));
  else print(`Wrote ${[...rendering.files.keys()].join(' and ')} to ${folder}: ${rendering.digest}.`);
  return 0;
}

async function checkGroups(order: Order, { print }: Terminal): Promise<number> {
  const findings = await check({ ...order, room: order.room ?? 'ringside-check' });
  if (order.isJson) print(JSON.stringify({ findings }));
  else {
    for (const { isFine, what, sentence } of findings) {
      print(`${isFine === null ? '?    ' : isFine ? 'fine ' : 'WRONG'} ${what.padEnd(8)} ${sentence}`);
    }
  }
  return findings.some(({ isFine }) => isFine === false) ? 1 : 0;
}

async function applyGroups(order: Order, { print, ask }: Terminal): Promise<number> {
  const { isJson, pace } = order;
  let planned: Plan | null = null;
  const { isAgreed, moved, failures } = await apply({
    ...order,
    report: (line) => (isJson ? undefined : print(line)),
    isAgreed: async (plan) => {
      planned = plan;
      if (!isJson) for (const line of linesOf(plan, pace)) print(line);
      const { abandoned } = plan;
      if (order.isAgreed && (order.isForced || abandoned.length === 0)) return true;
      if (abandoned.length > 0 && (order.isAgreed || ask === null))
        throw new GroupsRefusal([
          ...abandoned,
          'Nothing was changed. Start a server there, or apply it anyway with --yes --force.',
        ]);
      if (ask === null) throw new GroupsRefusal(['No terminal to ask on; pass --yes to apply.']);
      return /^y(?:es)?$/i.test((await ask([...abandoned, 'Apply this? [y/N] '].join(' '))).trim());
    },
  });
  if (isJson) print(JSON.stringify({ isAgreed, moved, failures, plan: planned }));
  else if (!isAgreed) print('Nothing was changed.');
  else {
    for (const failure of failures) print(failure);
    print(`${failures.length === 0 ? 'Done' : 'Incomplete'}: ${moved} viewers were handed over.`);
  }
  return isAgreed && failures.length === 0 ? 0 : 1;
}
