/**
 * Makes a fresh clone ready: `node tools/ensure.mjs build` for the gateway, `live` for the whole picture, `test` for the
 * tests, which run the built gateway.
 * It runs before anything is installed, so it needs nothing but Node, and it must be readable for a Node that is too
 * old. What it cannot put right it names, and fails.
 */

import { spawnSync } from 'node:child_process';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const nodeLeast = [20, 19];
/** The log needs sharded publish and subscribe. */
const redisLeast = 7;

/** Programs that the tests run, some of them also `npm run live`, and the Debian package of each. */
const programs = [
  { name: 'redis-server', package: 'redis-server', use: 'the log is tested on a real Redis' },
  { name: 'nginx', package: 'nginx-light', use: 'the groups are tested behind a real one' },
  { name: 'chromium', package: 'chromium', use: 'the demo room is tested in a real browser' },
  { name: 'openssl', package: 'openssl', use: 'TLS is tested with a certificate of our own' },
  { name: 'curl', package: 'curl', use: 'streams are read by a client of another house' },
  { name: 'python3', package: 'python3-requests', module: 'requests', use: 'streams are read by its library requests' },
];

const goal = process.argv[2];
const needed = { build: [], live: ['redis-server', 'nginx'], test: programs.map(({ name }) => name) }[goal];
if (needed === undefined) stop('Usage: node tools/ensure.mjs build|live|test');
ensureNode();
ensureModules();
ensureBuild();
if (needed.length > 0) ensurePrograms(needed);

function stop(sentence) {
  console.error(sentence);
  process.exit(1);
}

/** Ends this process where the command fails; its own output has said why. */
function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (status !== 0) stop(`\`${[command, ...args].join(' ')}\` failed${error ? `: ${error.message}` : ''}.`);
}

function ensureNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const isFine = major > nodeLeast[0] || (major === nodeLeast[0] && minor >= nodeLeast[1]);
  if (!isFine) stop(`Ringside needs Node ${nodeLeast.join('.')} or later; this is ${process.versions.node}.`);
}

/** Installs where a package of the lock file is missing or has another version. File times prove nothing after a checkout. */
function ensureModules() {
  const wanted = packagesIn(join(root, 'package-lock.json'));
  const installed = packagesIn(join(root, 'node_modules', '.package-lock.json'));
  const isFine = Object.entries(wanted).every(([path, { version, optional }]) => {
    const found = installed[path];
    // Of the optional ones, only those for this system are installed.
    return path === '' || (found ? found.version === version : optional === true);
  });
  // Building needs the development packages, also where NODE_ENV says production.
  if (!isFine) run('npm', ['ci', '--include=dev', '--no-audit', '--no-fund'], { shell: process.platform === 'win32' });
}

/** None where the file is missing: npm writes its own, hidden one after everything else. */
function packagesIn(path) {
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : {};
}

function ensureBuild() {
  const stamp = join(root, 'dist', '.built');
  const sources = ['src', 'pages', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
  const newest = Math.max(...sources.map((name) => newestIn(join(root, name))));
  if (!existsSync(stamp) || timeOf(stamp) < newest) run(process.execPath, ['tools/build.mjs']);
}

function timeOf(path) {
  return statSync(path).mtimeMs;
}

/** A folder's own time counts too: it moves when a file is removed. */
function newestIn(path) {
  if (!existsSync(path)) return 0;
  if (!statSync(path).isDirectory()) return timeOf(path);
  return Math.max(timeOf(path), ...readdirSync(path).map((name) => newestIn(join(path, name))));
}

function ensurePrograms(names) {
  const missing = programs.filter((one) => names.includes(one.name) && !isThere(one));
  if (missing.length > 0) {
    if (isRoot() && isOnPath('apt-get')) install(missing);
    const left = missing.filter((one) => !isThere(one));
    if (left.length > 0) stop(howToInstall(left));
  }
  const { stdout } = spawnSync('redis-server', ['--version'], { encoding: 'utf8' });
  const version = /v=(\d+)\S*/.exec(stdout ?? '');
  if (!version || Number(version[1]) < redisLeast) {
    stop(
      `Ringside needs Redis ${redisLeast} or later; \`redis-server --version\` prints: ${(stdout ?? '').trim() || 'nothing'}.`,
    );
  }
}

function isRoot() {
  return process.getuid?.() === 0;
}

/** A module of Python may be there for the first one on the PATH, or for the distribution's own. */
function isThere({ name, module }) {
  if (module === undefined) return isOnPath(name);
  const has = (program) => spawnSync(program, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0;
  return has(name) || has(`/usr/bin/${name}`);
}

/** Debian puts servers where only root's PATH leads. */
function isOnPath(name) {
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin'].some((folder) => {
    try {
      accessSync(join(folder || '.', name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function howToInstall(left) {
  const packages = left.map((program) => program.package).join(' ');
  return [
    'These programs are missing on the PATH:',
    ...left.map(({ name, use }) => `  ${name}: ${use}`),
    'Install them on Debian (run as root, this does it itself):',
    `  apt-get update && apt-get install -y --no-install-recommends ${packages}`,
  ].join('\n');
}

/**
 * Debian starts a service that it installs, and we want the program alone: for as long as this takes, the policy says
 * that nothing may be started. A policy that was there before is somebody's own, and stays.
 */
function install(missing) {
  const packages = missing.map((program) => program.package);
  console.error(`Installing ${packages.join(', ')} from the distribution.`);
  const policy = '/usr/sbin/policy-rc.d';
  const isOurs = !existsSync(policy);
  const removePolicy = () => rmSync(policy, { force: true });
  if (isOurs) {
    process.once('exit', removePolicy);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));
    writeFileSync(policy, '#!/bin/sh\nexit 101\n', { flag: 'wx' });
    chmodSync(policy, 0o755);
  }
  const options = { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
  // Where one source of packages cannot be reached, another may do, so a failed update is no reason to stop.
  const update = spawnSync('apt-get', ['update'], options);
  const isInterrupted = update.signal !== null || update.status === 130;
  if (!isInterrupted) spawnSync('apt-get', ['install', '-y', '--no-install-recommends', ...packages], options);
  // Nor is it to come up with the machine later. Where there is no systemd, there is nothing to disable.
  const services = missing.map(({ name }) => name).filter((name) => name === 'redis-server' || name === 'nginx');
  if (services.length > 0 && isOnPath('systemctl'))
    spawnSync('systemctl', ['disable', ...services], { stdio: 'ignore' });
  if (isOurs) removePolicy();
}
