import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { openBrowser } from '../rig/browser.ts';
import { waitFor } from '../rig/wait-for.ts';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
/** It may have to build first. */
const opensWithinMs = 60_000;
const endsWithinMs = 30_000;
/** Redis, four gateways, nginx and its worker at least. */
const programsLeast = 7;

let browser: Browser;
const started: ChildProcess[] = [];
before(async () => {
  browser = await openBrowser();
});
after(async () => {
  await browser?.close();
  for (const child of started.filter(isRunning)) if (child.pid) process.kill(-child.pid, 'SIGTERM');
});

const isRunning = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode === null && signalCode === null;

interface Live {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown[]>;
  readonly folder: string;
  printed(): string;
  readonly viewerLink: string;
  /** Said and done as printed: `npx ringside groups plan --file … --nginx …`. */
  readonly planCommand: string;
}

/** As in a terminal: with a process group of its own, which a ctrl-c reaches as a whole. */
async function startLive(): Promise<Live> {
  const child = spawn('npm', ['run', 'live'], { cwd: root, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(child);
  let printed = '';
  const keep = (bytes: Buffer): void => {
    printed += bytes.toString();
  };
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', keep);
  const find = (pattern: RegExp): string =>
    pattern.exec(printed)?.[1] ?? assert.fail(`${pattern} is not in: ${printed}`);
  const isOpen = (): boolean => child.exitCode !== null || /ctrl-c ends all of it/.test(printed);
  await waitFor(isOpen, { what: 'npm run live to open', timeoutMs: opensWithinMs });
  assert.equal(child.exitCode, null, printed);
  return {
    child,
    exited: once(child, 'exit'),
    folder: dirname(find(/(\S+groups\.json)/)),
    printed: () => printed,
    viewerLink: find(/as a viewer:\s+(\S+)/),
    planCommand: find(/(npx ringside groups plan [^\n]+)/).replace('npx ringside', 'node tools/ringside.mjs'),
  };
}

/** Processes that work in a folder or were told of it. */
function processesOf(folder: string): readonly { readonly pid: number; readonly command: string }[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
      const isOf = readlinkSync(`/proc/${name}/cwd`).startsWith(folder) || command.includes(folder);
      return /^[0-9]+$/.test(name) && isOf ? [{ pid: Number(name), command }] : [];
    } catch {
      // It has ended meanwhile, or is not ours to look at.
      return [];
    }
  });
}

const environmentOf = (pid: number): string => readFileSync(`/proc/${pid}/environ`, 'utf8');

async function assertNothingLeft({ folder, exited }: Live): Promise<number> {
  const code = await Promise.race([exited.then(([ended]) => ended), pause(endsWithinMs, 'too late', { ref: false })]);
  assert.notEqual(code, 'too late');
  assert.deepEqual(processesOf(folder), []);
  assert.ok(!existsSync(folder), 'its folder is gone');
  return Number(code);
}

const shows = (page: Page, selector: string, text: string): Promise<unknown> =>
  waitFor(async () => ((await page.textContent(selector)) ?? '').includes(text), {
    what: `${selector}: ${text}`,
    timeoutMs: 10_000,
  });

describe('npm run live', () => {
  it('opens a room behind nginx that can be tuned, and leaves nothing when it is ended', async () => {
    const live = await startLive();
    assert.ok(processesOf(live.folder).length >= programsLeast);
    const page = await browser.newPage();
    await page.goto(live.viewerLink);
    await shows(page, '#mode', 'live');
    await page.fill('#comment', 'hello through nginx');
    await page.click('#send');
    await shows(page, '#lines', 'hello through nginx');

    // What it says to try works as it is printed: in a clone, npx runs this file.
    const path = `${live.folder}/groups.json`;
    const file = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(path, JSON.stringify({ ...file, hotRooms: { demo: ['blue', 'green'] } }));
    const planned = await run('sh', ['-c', `${live.planCommand} --room demo`], { cwd: root });
    assert.match(
      planned.stdout,
      /Compared with the running nginx:[\s\S]*demo is in slot \d+ and goes to blue, green\./,
    );
    const applied = await run('sh', ['-c', `${live.planCommand.replace(' plan ', ' apply ')} --yes`], { cwd: root });
    assert.match(applied.stdout, /nginx runs [0-9a-f]+/);
    await shows(page, '#mode', 'live');

    assert.ok(live.child.pid);
    process.kill(-live.child.pid, 'SIGINT');
    await assertNothingLeft(live);
    await page.close();
  });

  it('says which of them was killed, starts it again, and the room goes on', async () => {
    const live = await startLive();
    const page = await browser.newPage();
    await page.goto(live.viewerLink);
    await shows(page, '#mode', 'live');
    for (const [name, isIt] of [
      ['blue-1', (command: string) => command.includes('dist/main.js')],
      ['nginx', (command: string) => command.startsWith('nginx: master')],
      ['redis', (command: string) => command.startsWith('redis-server')],
    ] as const) {
      const killed = processesOf(live.folder).find(
        ({ pid, command }) => isIt(command) && (name !== 'blue-1' || environmentOf(pid).includes('NODE_ID=blue-1')),
      );
      assert.ok(killed !== undefined, name);
      process.kill(killed.pid, 'SIGKILL');
      await waitFor(() => live.printed().includes(`${name} runs again.`), {
        what: `${name} to come back; it said ${live.printed()}`,
        timeoutMs: opensWithinMs,
      });
      assert.match(live.printed(), new RegExp(`${name} was ended by SIGKILL; it is started again in \\d+ ms\\.`));
      await shows(page, '#mode', 'live');
    }
    // Whatever was lost on the way, what is said now arrives.
    await waitFor(
      async () => {
        await page.fill('#comment', 'hello again');
        await page.click('#send');
        return ((await page.textContent('#lines')) ?? '').includes('hello again');
      },
      { what: 'a comment after all that', timeoutMs: 20_000 },
    );
    assert.ok(live.child.pid);
    process.kill(-live.child.pid, 'SIGINT');
    await assertNothingLeft(live);
    await page.close();
  });
});
