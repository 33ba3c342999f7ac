import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runGroups } from '../../../src/groups/command.ts';
import { configurationOf, localUrl, withConfiguration, wordsIn } from '../../../src/groups/nginx.ts';
import { programArgs } from '../../rig/program.ts';

let home: string;
let file: string;

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'ringside-words-'));
  file = join(home, 'groups.json');
  const server = { name: 'blue-1', address: 'unix:/run/ringside/blue-1.sock' };
  await writeFile(file, JSON.stringify({ listen: ['127.0.0.1:1'], groups: { blue: { servers: [server] } } }));
});
after(() => rm(home, { recursive: true, force: true }));

async function say(...words: string[]): Promise<{ code: number; text: string }> {
  const lines: string[] = [];
  const code = await runGroups(words, { print: (line) => void lines.push(line), ask: null });
  return { code, text: lines.join('\n') };
}

describe('the words of ringside groups', () => {
  it('are explained where there are none, and where they make no sense', async () => {
    assert.deepEqual([(await say()).code, (await say('--help')).code, (await say('toString')).code], [0, 0, 2]);
    assert.match((await say('nonsense')).text, /plan\|render\|check\|apply/);
  });

  const refused: readonly [readonly string[], RegExp][] = [
    [['plan', '--pace', '0'], /--pace must be a whole number from 1/],
    [['plan', '--pace', '1.5'], /--pace must be/],
    [['plan', '--room', 'a b'], /"a b" is not a room id/],
    [['plan', '--frob'], /Unknown option '--frob'/],
    [['plan', 'more'], /Unexpected argument 'more'/],
    [['check', '--token-file', '/nowhere'], /--token-file: \/nowhere cannot be read/],
    [['render', '--nginx', 'nginx'], /must name a readable configuration with -c/],
    [['apply', '--yes'], /No nginx with rendered groups answers at 127.0.0.1:1/],
  ];
  for (const [words, sentence] of refused) {
    it(`are refused with a sentence: ${words.join(' ')}`, async () => {
      const { code, text } = await say(...words, '--file', file);
      assert.equal(code, 1);
      assert.match(text, sentence);
    });
  }

  it('are refused where the file is not there', async () => {
    const { code, text } = await say('plan', '--file', join(home, 'none.json'));
    assert.equal(code, 1);
    assert.match(text, /none\.json cannot be read \(ENOENT\)/);
  });

  it('tell where a room goes', async () => {
    const { code, text } = await say('plan', '--file', file, '--room', 'match-7');
    assert.equal(code, 0);
    assert.match(text, /match-7 is in slot 215 and goes to blue\./);
    assert.match(text, /not asked {2}blue-1: no admin address in the file/);
  });

  it('render without nginx where that is wanted', async () => {
    assert.equal((await say('render', '--file', file, '--untested')).code, 0);
    assert.match((await say('plan', '--file', file)).text, /Compared with the rendered groups/);
  });
});

describe('the command line', () => {
  const run = (...words: string[]): Promise<{ code: unknown; text: string }> =>
    new Promise((resolve) => {
      execFile(process.execPath, [...programArgs('cli'), ...words], { cwd: home }, (error, stdout) =>
        resolve({ code: error?.code ?? 0, text: stdout }),
      );
    });

  it('says what it knows, and exits 2 for what it does not', async () => {
    const [unknown, help, plan] = await Promise.all([
      run('stop'),
      run('--help'),
      run('groups', 'plan', '--file', file, '--json'),
    ]);
    assert.deepEqual([unknown.code, help.code, plan.code], [2, 0, 0]);
    assert.match(help.text, /runs one gateway[\s\S]*ringside groups/);
    assert.equal((JSON.parse(plan.text) as { slotsMoved: number }).slotsMoved, 0);
  });
});

describe('how nginx is called', () => {
  it('is read as words, with quotes around spaces', () => {
    const words = wordsIn(`nginx -p "/run/my nginx" -c conf/nginx.conf -g 'user root;'`);
    assert.deepEqual(words, ['nginx', '-p', '/run/my nginx', '-c', 'conf/nginx.conf', '-g', 'user root;']);
    assert.equal(configurationOf(words), '/run/my nginx/conf/nginx.conf');
    assert.equal(withConfiguration(words, '/x')[4], '/x');
  });

  it('is reached from this machine, whatever it opens', () => {
    assert.deepEqual(['*:80', '0.0.0.0:80', '[::]:80', '10.0.0.1:80'].map(localUrl), [
      'http://127.0.0.1:80',
      'http://127.0.0.1:80',
      'http://[::1]:80',
      'http://10.0.0.1:80',
    ]);
  });
});
