import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { readEnvFile } from '../../src/env-file.ts';

let home: string;
let files = 0;
before(async () => {
  home = await mkdtemp(join(tmpdir(), 'ringside-env-'));
});
after(() => rm(home, { recursive: true, force: true }));

async function read(bytes: string | Buffer): Promise<object> {
  const path = join(home, `${files++}.env`);
  await writeFile(path, bytes);
  return { ...readEnvFile(path) };
}
const text = 'PORT=8081\nTOKEN_SECRET="a b"\n# GROUP=x\n';
const values = { PORT: '8081', TOKEN_SECRET: 'a b' };

test('a file is read in whatever way an editor or a shell has written it', async () => {
  assert.deepEqual(await read(text), values);
  assert.deepEqual(await read(`\uFEFF${text}`), values, 'with a byte order mark');
  assert.deepEqual(await read(text.replaceAll('\n', '\r\n')), values, 'with line ends of Windows');
  assert.deepEqual(await read(Buffer.from(`\uFEFF${text.replaceAll('\n', '\r\n')}`, 'utf16le')), values, 'in UTF-16');
  assert.deepEqual(await read(''), {});
});

test('a folder of that name is left alone, and so is a file that is not there', async () => {
  const folder = join(home, '.env');
  await mkdir(folder);
  assert.deepEqual(readEnvFile(folder), {});
  assert.deepEqual(readEnvFile(join(home, 'none')), {});
});
