/**
 * The folder of the rendered files. New files are written next to it and tested by nginx before each replaces an old one by
 * a rename; so whatever goes wrong, nginx finds complete files.
 */

import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { type Groups, GroupsRefusal } from './groups-file.ts';
import { call, configurationOf, optionOf, type Words, withConfiguration } from './nginx.ts';
import { groupsConf, originIn, type Rendering } from './render.ts';

/** The rendered groups in a folder; null if there are none. */
export async function renderedGroups(folder: string): Promise<Groups | null> {
  const text = await readText(join(folder, groupsConf));
  return text === null ? null : originIn(text);
}

/** The names of the files that differ from a rendering. */
export async function staleFiles(folder: string, { files }: Rendering): Promise<readonly string[]> {
  const stale: string[] = [];
  for (const [name, text] of files) if ((await readText(join(folder, name))) !== text) stale.push(name);
  return stale;
}

/**
 * Writes a rendering into its folder, after nginx has tested it. With `nginx` null it is not tested.
 * @throws {GroupsRefusal} with nginx's errors; then nothing was changed.
 */
export async function putRendering(folder: string, rendering: Rendering, nginx: Words | null): Promise<void> {
  const stage = `${resolve(folder)}.new-${process.pid}`;
  try {
    await mkdir(stage, { recursive: true });
    for (const [name, text] of rendering.files) await writeFile(join(stage, name), text);
    if (nginx !== null) await tryOut(folder, stage, nginx);
    await mkdir(folder, { recursive: true });
    for (const name of rendering.files.keys()) await rename(join(stage, name), join(folder, name));
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

/** Has nginx test its configuration with the new folder instead of the old one. */
async function tryOut(folder: string, stage: string, nginx: Words): Promise<void> {
  const path = configurationOf(nginx);
  const text = path === null ? null : await readText(path);
  if (path === null || text === null)
    throw new GroupsRefusal([
      `The nginx command must name a readable configuration with -c; it names ${path ?? 'none'}.`,
    ]);
  const home = dirname(path);
  const [now, next] = [folder, stage].map((one) => `include ${relative(home, resolve(one))}/`);
  if (now === undefined || next === undefined || !text.includes(now))
    throw new GroupsRefusal([`${path} does not include the rendered files; it must contain "${now}".`]);
  // In the same folder, so that relative paths in it stay valid.
  const tried = join(home, `.${basename(path)}.new-${process.pid}`);
  try {
    await writeFile(tried, text.replaceAll(now, next));
    await testConfiguration(withConfiguration(nginx, tried));
  } finally {
    await rm(tried, { force: true });
  }
}

/** @throws {GroupsRefusal} with nginx's errors. */
export async function testConfiguration(nginx: Words): Promise<void> {
  const prefix = optionOf(nginx, '-p');
  if (prefix !== null) await mkdir(prefix, { recursive: true });
  const { isFine, text } = await call([...nginx, '-t']);
  if (!isFine) throw new GroupsRefusal([`nginx rejects the configuration: ${text}`]);
}

async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
