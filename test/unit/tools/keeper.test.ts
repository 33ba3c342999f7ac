import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Keeper } from '../../../tools/live/keeper.ts';
import { waitFor } from '../../rig/wait-for.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ringside-keeper-'));
});
after(() => rm(folder, { recursive: true, force: true }));

function keep(name: string, script: string, endsMax = 4) {
  const said: string[] = [];
  const logFile = join(folder, `${name}.log`);
  const program = { name, command: 'sh', args: ['-c', script], folder, logFile };
  const starts = async (): Promise<number> => (await readFile(logFile, 'utf8')).split('started').length - 1;
  const options = { say: (sentence: string) => void said.push(sentence), pauseMs: 5, endsMax, steadyMs: 60_000 };
  return { said, starts, listener: new Keeper({ ...program, isReady: async () => (await starts()) > 0 }, options) };
}

describe('a program that is kept', () => {
  it('and ends again and again is started after growing pauses, and given up with its last words', async () => {
    const { said, starts, listener } = keep('mortal', 'echo started; sleep 0.3; exit 3');
    // It is ready once it has printed, and ends soon after.
    await listener.start().catch(() => assert.fail('its first start counts as one'));
    await waitFor(() => said.some((sentence) => sentence.includes('given up')), { what: 'it to be given up' });
    const pauses = said.flatMap((sentence) => /started again in (\d+) ms/.exec(sentence)?.[1] ?? []);
    assert.deepEqual(pauses, ['5', '10', '20']);
    assert.match(
      said.at(-1) ?? '',
      /^mortal ended with 3, 4 times in a row; it is given up\. It had printed:\n[\s\S]*started/,
    );
    assert.equal(await starts(), 4);
    await listener.end();
  });

  it('takes what it left behind with it before it is started again, and is not started when it is told to end', async () => {
    // As a server with a worker: the worker outlives it and would hold its port.
    const { said, starts, listener } = keep('server', 'echo started; sleep 1000 & echo $! > worker; wait');
    await listener.start();
    const pidOf = async (): Promise<number> => Number(await readFile(join(folder, 'worker'), 'utf8').catch(() => '0'));
    await waitFor(async () => (await pidOf()) > 0, { what: 'the worker' });
    const worker = await pidOf();
    const { pid } = listener;
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    await waitFor(() => said.includes('server runs again.'), { what: 'it to run again' });
    await waitFor(() => isGone(worker), { what: 'the old worker to be gone' });
    await waitFor(async () => (await starts()) === 2, { what: 'the second start' });
    await listener.end();
    process.kill(-Number(listener.pid), 'SIGKILL');
    assert.equal(said.length, 2, said.join('\n'));
    assert.equal(await starts(), 2);
  });
});

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}
