#!/usr/bin/env node
/** One gateway as a process: reads the environment, opens the ports, and closes in order on a signal. */

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { inspect } from 'node:util';
import closeWithGrace from 'close-with-grace';
import { buildGateway, type Gateway } from './app.ts';
import { systemClock } from './clock.ts';
import { readEnvFile } from './env-file.ts';
import { standardOutput, tameOutputs } from './outputs.ts';
import { misspeltIn, readSettings, type Settings, SettingsError } from './settings.ts';
import { packageVersion } from './version.ts';

/** How long closing may take beyond `DRAIN_MS`, for pending requests and the log. */
const closeExtraMs = 5_000;
/** How long the exit may take beyond that. */
const lastResortMs = 1_000;
/**
 * Connections waiting to be accepted. With one more, TCP drops a SYN, which the client repeats after 1, 3 and 7 seconds; a
 * returning crowd soon fills Node's 511. Linux grants `somaxconn` (4096).
 */
const backlog = 4_096;
const demoRoom = 'demo';
const demoTokenLife = '12h';

async function main(): Promise<void> {
  const environment = { ...readEnvFile('.env'), ...process.env };
  const settings = readSettings(environment);
  const ownSecret = randomBytes(48).toString('base64');
  const gateway = await buildGateway({ settings, clock: systemClock, ownSecret, logTarget: standardOutput });
  const { log } = gateway.app;
  closeWithGrace({ delay: settings.drainMs + closeExtraMs, logger: false }, async ({ signal, err }) => {
    // The last resort, if even the graceful exit hangs.
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), settings.drainMs + closeExtraMs + lastResortMs).unref();
    if (err) log.fatal({ err }, 'shutting down after an uncaught error');
    else log.info(`shutting down on ${signal}`);
    if (!err) await gateway.leave();
    await gateway.close();
  });
  for (const { name, meant } of misspeltIn(environment)) log.warn(`unknown setting ${name}; did you mean ${meant}?`);
  const address = await listen(gateway, settings);
  if (gateway.servesDemo && settings.listenSocket === null) tellOfDemo(gateway, `${address}${settings.basePath}`);
}

async function listen({ app, admin }: Gateway, settings: Settings): Promise<string> {
  const { adminHost, adminPort, host, port, listenSocket, nodeId, group } = settings;
  await open(admin.listen({ host: adminHost, port: adminPort }), 'ADMIN_HOST and ADMIN_PORT');
  // Fastify logs this, once for each address that it opens.
  const listenTextResolver = (address: string): string =>
    `ringside ${packageVersion()}: node ${nodeId} of group ${group} listens on ${address}`;
  if (listenSocket === null) return open(app.listen({ host, port, backlog, listenTextResolver }), 'HOST and PORT');
  await removeStale(listenSocket);
  return open(app.listen({ path: listenSocket, backlog, listenTextResolver }), 'LISTEN_SOCKET');
}

/** An unavailable address is a wrong setting, not an internal error. */
async function open(listening: Promise<string>, names: string): Promise<string> {
  try {
    return await listening;
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    if (syscall !== 'listen' && syscall !== 'getaddrinfo') throw error;
    throw new SettingsError(`${names} must name a free address that this process may open (${code}).`);
  }
}

/** Removes the socket of a killed process; refuses to displace a process that still answers. */
async function removeStale(path: string): Promise<void> {
  if (!existsSync(path)) return;
  const isAnswered = await new Promise<boolean>((resolve) => {
    const socket = connect(path, () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
  if (isAnswered) throw new SettingsError(`LISTEN_SOCKET must be free; another process answers on ${path}.`);
  await rm(path, { force: true });
}

/** Prints tokens only if the gateway made their key itself: the operator's key opens more than this process. */
function tellOfDemo(gateway: Gateway, address: string): void {
  if (gateway.hasOwnKey) process.stdout.write(demoLinks(gateway, address));
  else gateway.app.log.info(`demo room at ${address}/demo/?room=${demoRoom}#token=<your token>`);
}

function demoLinks({ app }: Gateway, address: string): string {
  const link = (sub: string, name: string, role: string): string => {
    const token = app.jwt.sign({ sub, name, rooms: { [demoRoom]: role } }, { expiresIn: demoTokenLife });
    return `${address}/demo/?room=${demoRoom}#token=${token}`;
  };
  const lines = [
    '',
    `  Ringside is ready: ${address}`,
    '',
    '  Watch the demo room as a viewer:',
    `  ${link('vera', 'Vera', 'viewer')}`,
    '',
    '  And as its host, in another tab:',
    `  ${link('hanna', 'Hanna', 'host')}`,
    '',
  ];
  return `${lines.join('\n')}\n`;
}

tameOutputs();
if (['--version', '-v'].includes(process.argv[2] ?? '')) process.stdout.write(`${packageVersion()}\n`);
else {
  main().catch((error: unknown) => {
    const text = error instanceof SettingsError ? error.message : inspect(error);
    // Exits after the text is written, which may take a moment on a pipe.
    process.stderr.write(`${text}\n`, () => process.exit(1));
    setTimeout(() => process.exit(1), lastResortMs).unref();
  });
}
