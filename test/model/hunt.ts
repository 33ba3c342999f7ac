/**
 * Who watches the watchman: the model test is run on copies of the source with a bug planted in each, and must find all
 * of them, by a story and not by a crash. On a copy without a bug it must pass. Each of some test files takes its
 * share of the bugs, as one file may last only so long.
 */

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type PlantedBug, plantedBugs } from './planted-bugs.ts';
import { tell } from './tell.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const runs = 400;
/** The stories that are told, or random ones by their seed. */
type Hunt = 'told' | number;
/** Tried one after the other until one of them finds the bug. */
const seeds = [1, 2, 3, 4, 5];
/** The test files that share the bugs. */
const shares = 4;

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function copySource(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringside-planted-'));
  folders.push(folder);
  for (const name of ['src', 'package.json', 'tsconfig.json', join('test', 'model'), join('test', 'rig')]) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction');
  return folder;
}

/** What the model says in a copy of the source, and whether it is content. */
const runModel = (folder: string, hunt: Hunt): Promise<{ passed: boolean; output: string }> =>
  tell(hunt === 'told' ? { what: hunt } : { what: 'random', runs, seed: hunt, isShrunk: false }, folder);

/** The file with the bug in it. */
function planted({ name, file, find, replace }: PlantedBug): string {
  const text = readFileSync(join(root, file), 'utf8');
  const found = text.split(find).length - 1;
  assert.equal(found, 1, `Plant "${name}" anew: its text is found ${found} times in ${file}, not once.`);
  return text.replace(find, () => replace);
}

/** Null where the model found the bug; else what it said instead. */
async function hunt(folder: string, bug: PlantedBug): Promise<string | null> {
  const path = join(folder, bug.file);
  const whole = readFileSync(path, 'utf8');
  writeFileSync(path, planted(bug));
  try {
    for (const one of bug.isRare ? (['told'] as const) : seeds) {
      const { passed, output } = await runModel(folder, one);
      if (passed) continue;
      const failure = one === 'told' ? 'It fails where' : `SEED=${one} fails, shrunk`;
      const isStory = output.includes(failure) && output.includes('AssertionError');
      return isStory ? null : `${bug.name}: no story, but\n${output}`;
    }
    return `${bug.name}: not found`;
  } finally {
    writeFileSync(path, whole);
  }
}

/** The bugs whose turn comes with this share, one after the other in one copy; `share` counts from 0. */
export function huntShare(share: number): void {
  const folder = copySource();
  if (share === 0) {
    test('the model finds no bug where none was planted', async () => {
      for (const one of ['told', 1] as const) {
        const { passed, output } = await runModel(folder, one);
        assert.ok(passed, output);
      }
    });
  }
  const bugs = plantedBugs.filter((_, index) => index % shares === share);
  for (const bug of bugs) {
    test(`the model finds it where ${bug.name}`, async () => {
      assert.equal(await hunt(folder, bug), null);
    });
  }
}
