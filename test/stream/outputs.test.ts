/** A gateway as a process, whatever becomes of what it prints to. */

import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { type GatewayProcess, startGateway, startGatewayProcess } from '../rig/gateway.ts';
import { freePorts } from '../rig/ports.ts';
import { programArgs } from '../rig/program.ts';
import { secret } from '../rig/tokens.ts';
import { waitFor } from '../rig/wait-for.ts';

/** Well above what a gateway without viewers needs, and well below never. */
const endsWithinMs = 60_000;
const readyWithinMs = 60_000;

let home: string;
const children: ChildProcess[] = [];
const processes: GatewayProcess[] = [];
before(async () => {
  home = await mkdtemp(join(tmpdir(), 'ringside-outputs-'));
});
after(() => rm(home, { recursive: true, force: true }));
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await Promise.all(processes.splice(0).map((gateway) => gateway.close()));
});

interface Printing {
  readonly port: number;
  readonly child: ChildProcess;
  /** Asks the admin port. */
  isReady(): Promise<boolean>;
  /** How it has ended. */
  readonly ended: Promise<readonly [number | null, NodeJS.Signals | null]>;
}

async function start(stdio: StdioOptions, environment: Readonly<Record<string, string>> = {}): Promise<Printing> {
  const [port = 0, adminPort = 0] = await freePorts(2);
  const child = spawn(process.execPath, [...programArgs('main')], {
    cwd: home,
    stdio,
    env: { PATH: process.env['PATH'], PORT: `${port}`, ADMIN_PORT: `${adminPort}`, DRAIN_MS: '1000', ...environment },
  });
  children.push(child);
  const ended = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const isReady = async (): Promise<boolean> => {
    const answer = await fetch(`http://127.0.0.1:${adminPort}/readyz`).catch(() => null);
    return answer?.ok === true;
  };
  return { port, child, isReady, ended };
}

/** Ends within its bound, by itself and in order. */
async function endsOn(signal: NodeJS.Signals, { child, ended }: Printing, code = 0): Promise<void> {
  child.kill(signal);
  const late = setTimeout(() => child.kill('SIGABRT'), endsWithinMs);
  assert.deepEqual(await ended, [code, null]);
  clearTimeout(late);
}

/** A pipe that is open, full, and read by nobody. */
function fullPipe(name: string): number {
  const path = join(home, name);
  execFileSync('mkfifo', [path]);
  const filling = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  for (const size of [4096, 1]) {
    try {
      for (;;) writeSync(filling, Buffer.alloc(size, 'x'));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
    }
  }
  // One that waits, as a shell would hand it on. The first one stays open for as long as the test, as its reader.
  return openSync(path, constants.O_WRONLY);
}

describe('a gateway', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`whose standard output is closed serves on, and ends on ${signal}`, async () => {
      const gateway = await start(['ignore', 'pipe', 'pipe']);
      gateway.child.stdout?.destroy();
      gateway.child.stderr?.destroy();
      await waitFor(gateway.isReady, { what: 'it to be ready', timeoutMs: readyWithinMs });
      assert.ok(await gateway.isReady());
      await endsOn(signal, gateway);
    });
  }

  it('whose outputs nobody reads serves on, and ends', async () => {
    const [out, err] = [fullPipe('out'), fullPipe('err')];
    const gateway = await start(['ignore', out, err]);
    closeSync(out);
    closeSync(err);
    await waitFor(gateway.isReady, { what: 'it to be ready', timeoutMs: readyWithinMs });
    await endsOn('SIGTERM', gateway);
  });

  it('whose outputs nobody reads and which cannot start ends with 1 all the same', async () => {
    const err = fullPipe('wrong');
    const gateway = await start(['ignore', 'ignore', err], { HOST: '0.0.0.0' });
    closeSync(err);
    const late = setTimeout(() => gateway.child.kill('SIGABRT'), endsWithinMs);
    assert.deepEqual(await gateway.ended, [1, null]);
    clearTimeout(late);
  });

  it('ends at once on a second signal, though it waits for a request', async () => {
    const gateway = await start(['ignore', 'pipe', 'pipe'], { DRAIN_MS: '60000', DEMO: 'on' });
    await waitFor(gateway.isReady, { what: 'it to be ready', timeoutMs: readyWithinMs });
    const socket = connect(gateway.port, '127.0.0.1').on('error', () => undefined);
    const asked = 'Host: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n';
    socket.write(`POST /rooms/r/session HTTP/1.1\r\n${asked}\r\n`);
    // It has the head, and waits for the body.
    await once(socket, 'data');
    gateway.child.kill('SIGTERM');
    await waitFor(async () => !(await gateway.isReady()), { what: 'it to be leaving' });
    await endsOn('SIGINT', gateway, 1);
    socket.destroy();
  });
});

describe('what a gateway prints', () => {
  async function printed(environment: Readonly<Record<string, string>>): Promise<string> {
    const gateway = await startGatewayProcess(environment);
    processes.push(gateway);
    await gateway.prints(/listens on/);
    gateway.kill('SIGTERM');
    await gateway.exited;
    return gateway.stdout() + gateway.stderr();
  }

  it('is no token where a key of the operator is set, though it serves the demo room', async () => {
    const keyFile = join(home, 'key');
    await writeFile(keyFile, secret);
    for (const environment of [{ TOKEN_SECRET: secret }, { TOKEN_SECRET_FILE: keyFile }]) {
      const text = await printed({ ...environment, DEMO: 'on' });
      assert.doesNotMatch(text, /eyJ/);
      assert.match(text, /\/demo\/\?room=demo/);
    }
  });

  it('names a variable that is nearly a setting', async () => {
    const text = await printed({ TOKEN_SECRET: secret, FLUSHMS: '5', PORTAINER: 'x', HOSTNAME: 'y' });
    assert.match(text, /unknown setting FLUSHMS; did you mean FLUSH_MS\?/);
    assert.doesNotMatch(text, /PORTAINER|HOSTNAME/);
  });

  it('is a sentence and nothing else where its key is nearly named', async () => {
    const gateway = await startGatewayProcess({ TOKEN_SECRT: secret });
    processes.push(gateway);
    assert.equal(await gateway.exited, 1);
    assert.match(gateway.stderr(), /^Unknown setting TOKEN_SECRT; did you mean TOKEN_SECRET\?.*\n$/);
  });
});

describe('the version', () => {
  it('is told by the command, by /livez, by the metrics and by the line of the start', async () => {
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    for (const [program, flag] of [
      ['main', '--version'],
      ['cli', '--version'],
      ['cli', '-v'],
    ] as const)
      assert.equal(
        execFileSync(process.execPath, [...programArgs(program), flag], { encoding: 'utf8' }),
        `${version}\n`,
      );
    const gateway = await startGateway({ environment: { NODE_ID: 'blue-1', GROUP: 'blue' } });
    try {
      const { admin } = gateway.gateway;
      assert.deepEqual((await admin.inject('/livez')).json(), {
        status: 'alive',
        version,
        node: 'blue-1',
        group: 'blue',
      });
      assert.match(
        (await admin.inject('/metrics')).body,
        new RegExp(`^ringside_node_info\\{node="blue-1",group="blue",version="${version}"\\} 1$`, 'm'),
      );
    } finally {
      await gateway.close();
    }
  });
});
