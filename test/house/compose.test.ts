import assert from 'node:assert/strict';
import { existsSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { readGroups } from '../../src/groups/groups-file.ts';
import { optionOf, wordsIn } from '../../src/groups/nginx.ts';
import { render } from '../../src/groups/render.ts';
import { readSettings } from '../../src/settings.ts';
import { environmentOf, groups as groupsLive, type Picture, redisDurability } from '../../tools/live/picture.ts';
import { secret } from '../rig/tokens.ts';
import { root, textOf } from './sources.ts';

// There may be no container engine at hand. So the files are read here, and held to what `npm run live` does, which is
// tested as a whole.

interface Service {
  readonly image?: string;
  readonly build?: { readonly context: string; readonly target: string };
  readonly command?: readonly string[];
  readonly entrypoint?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly networks?: { readonly default: { readonly ipv4_address: string } };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly secrets?: readonly string[];
  readonly stop_grace_period?: string;
  readonly sysctls?: Readonly<Record<string, string | number>>;
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly network_mode?: string;
  readonly pid?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly cap_add?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly ulimits?: { readonly nofile?: number };
  readonly user?: string;
  readonly tmpfs?: readonly string[];
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: {
    readonly default: { readonly ipam: { readonly config: readonly { readonly subnet: string }[] } };
  };
  readonly volumes: Readonly<Record<string, null>>;
  readonly secrets: Readonly<Record<string, object>>;
}

/** Of the Compose specification, what this file uses: another name would be a slip. */
const fieldsOfFile = ['services', 'networks', 'secrets', 'volumes'];
const fieldsOfService = [
  'build',
  'command',
  'depends_on',
  'entrypoint',
  'environment',
  'healthcheck',
  'image',
  'network_mode',
  'networks',
  'cap_add',
  'cap_drop',
  'read_only',
  'security_opt',
  'user',
  'pid',
  'ports',
  'profiles',
  'restart',
  'secrets',
  'stop_grace_period',
  'sysctls',
  'tmpfs',
  'ulimits',
  'volumes',
];

const redisPassword = 'pa55';
const text = textOf('docker-compose.yml').replace(/\$\{REDIS_PASSWORD:\?[^}]+\}/g, redisPassword);
const compose = parse(text, { merge: true }) as Compose;
const { services } = compose;
const service = (name: string): Service => services[name] ?? assert.fail(`there is no service ${name}`);
const gateways = Object.entries(services).filter(([, { build }]) => build?.target === 'gateway');
const groups = readGroups(textOf('nginx/compose/groups.json'));
const servers = groups.groups.flatMap((group) => group.servers.map((server) => ({ ...server, group: group.name })));
/** The settings of a service, its secret in the place of the file that holds it. */
function settingsOf(name: string) {
  const { TOKEN_SECRET_FILE, ...others } = service(name).environment ?? {};
  assert.equal(TOKEN_SECRET_FILE, '/run/secrets/token-secret');
  return readSettings({ ...others, TOKEN_SECRET: secret });
}

test('the compose file has no field that the specification does not know', () => {
  const strange = [
    ...Object.keys(compose).filter((name) => !fieldsOfFile.includes(name) && !name.startsWith('x-')),
    ...Object.values(services).flatMap((one) => Object.keys(one).filter((name) => !fieldsOfService.includes(name))),
  ];
  assert.deepEqual(strange, []);
  for (const [name, { depends_on = {}, volumes = [], secrets = [] }] of Object.entries(services)) {
    for (const [on, { condition }] of Object.entries(depends_on)) {
      const has = service(on).healthcheck !== undefined || service(on).build?.target === 'gateway';
      assert.ok(
        has && condition === 'service_healthy',
        `${name} waits for ${on} to be healthy, which must have a check`,
      );
    }
    for (const one of secrets) assert.ok(one in compose.secrets, one);
    for (const [from = ''] of volumes.map((volume) => volume.split(':')))
      assert.ok(from.startsWith('./') ? existsSync(join(root, from)) : from in compose.volumes, from);
  }
});

test('the groups file for compose names its gateways, by name, group and ports', () => {
  assert.deepEqual(
    servers.map(({ name, address, admin }) => [name, address, admin]),
    gateways.map(([name]) => {
      const { port, adminPort } = settingsOf(name);
      return [name, `${name}:${port}`, `http://${name}:${adminPort}`];
    }),
  );
  for (const { name, group } of servers) {
    const { nodeId, group: its } = settingsOf(name);
    assert.deepEqual([nodeId, its], [name, group]);
  }
  assert.deepEqual(
    Object.fromEntries(groups.groups.map(({ name, servers: its }) => [name, its.map((one) => one.name)])),
    groupsLive,
    'the same groups as `npm run live` has',
  );
});

test('nginx in compose reads the one nginx.conf, and what is rendered of that groups file', () => {
  assert.equal(realpathSync(join(root, 'nginx/compose/nginx.conf')), realpathSync(join(root, 'nginx/nginx.conf')));
  for (const [name, rendered] of render(groups).files)
    assert.equal(textOf(`nginx/compose/generated/${name}`), rendered, 'run `npx ringside groups render` for it');
  const called = service('nginx').command?.join(' ') ?? '';
  assert.match(called, / -c \/etc\/ringside\/compose\/nginx\.conf /);
  assert.deepEqual(service('nginx').volumes, ['./nginx:/etc/ringside:ro']);
  assert.match(service('nginx').image ?? '', /^nginxinc\/nginx-unprivileged:/);
  const [listen = ''] = groups.listen;
  assert.equal(service('nginx').ports?.[0]?.split(':').at(-1), listen.split(':').at(-1));
});

test('gateways in compose have the settings that live gives them, but for where they listen', () => {
  const picture = { file: (name: string) => name, redisSocket: '/x' } as unknown as Picture;
  const live = environmentOf(picture, { name: 'blue-1', group: 'blue', socket: '/x', adminPort: 1 });
  // Live prints links with tokens to the terminal it was started in; what containers print is kept.
  const where = ['LISTEN_SOCKET', 'ADMIN_PORT', 'HOST', 'ADMIN_HOST', 'ADMIN_HOSTS', 'DEMO'];
  const names = (environment: object): string[] =>
    Object.keys(environment)
      .filter((name) => !where.includes(name))
      .sort();
  for (const [name, { environment = {} }] of gateways) assert.deepEqual(names(environment), names(live), name);
  const redis = wordsIn(service('redis').command?.at(-1) ?? '');
  assert.deepEqual(redis.slice(-redisDurability.length), redisDurability);
});

test('no container in compose has a right that it does not need', () => {
  for (const [name, one] of Object.entries(services)) {
    assert.equal(one.read_only, true, name);
    assert.deepEqual(one.cap_drop, ['ALL'], name);
    assert.deepEqual(one.security_opt, ['no-new-privileges:true'], name);
    assert.deepEqual(one.cap_add ?? [], name === 'groups' ? ['DAC_OVERRIDE', 'KILL'] : [], name);
    assert.equal(/\bprivileged\b|\/docker\.sock/.test(JSON.stringify(one)), false, name);
  }
  for (const name of ['redis', 'nginx', ...gateways.map(([gateway]) => gateway)])
    assert.ok((service(name).ulimits?.nofile ?? 0) >= 65_536, `${name} may open as many files as it has streams`);
  for (const [name] of gateways) assert.ok((service(name).ulimits?.nofile ?? 0) > settingsOf(name).viewersMax);
  assert.match(service('redis').user ?? '', /^[1-9]\d*:[1-9]\d*$/, 'it cannot become another user any more');
});

test('every image is of a version that does not move', () => {
  const from = [...textOf('Dockerfile').matchAll(/^FROM (\S+:\S+)/gm)].map(([, image = '']) => image);
  const images = [...Object.values(services).flatMap(({ image, build }) => (build ? [] : [image ?? ''])), ...from];
  assert.ok(images.length >= 5);
  for (const image of images) assert.match(image, /^[a-z/-]+:\d+\.\d+\.\d+(?:-[a-z-]+)?(?:@sha256:[0-9a-f]{64})?$/);
});

test('Redis in compose has a password, which stands in no list of processes, and the gateways know it', () => {
  const { command = [], secrets = [], healthcheck, ports } = service('redis');
  assert.deepEqual([secrets, ports], [['redis-password'], undefined]);
  assert.match(
    command.at(-1) ?? '',
    /^echo "requirepass \$\$\(cat \/run\/secrets\/redis-password\)" \| exec redis-server - /,
  );
  assert.match(healthcheck?.test.join(' ') ?? '', /REDISCLI_AUTH=.*redis-cli ping/);
  for (const [name] of gateways) assert.equal(settingsOf(name).redisUrl, `redis://:${redisPassword}@redis:6379`);
});

test('no gateway in compose serves the demo, whose links would be in its log', () => {
  for (const [name] of gateways) {
    const { demo, tokenSecret } = settingsOf(name);
    assert.notEqual(demo, 'on', name);
    assert.notEqual(tokenSecret, null, name);
  }
});

test('compose trusts nginx and nobody else, and gives gateways the time that they may take to leave', () => {
  const address = service('nginx').networks?.default.ipv4_address ?? '';
  const [{ subnet } = { subnet: '' }] = compose.networks.default.ipam.config;
  const net = subnet.replace(/0\/24$/, '');
  assert.match(subnet, /^\d+\.\d+\.\d+\.0\/24$/);
  assert.deepEqual(groups.unlimited, [`${net}1`], 'the engine itself, by which this machine comes in');
  const addresses = [address, ...gateways.map(([, { networks }]) => networks?.default.ipv4_address ?? '')];
  assert.equal(new Set(addresses).size, gateways.length + 1);
  for (const one of addresses) assert.ok(one.startsWith(net) && one !== `${net}1`, one);
  for (const [name, { stop_grace_period = '' }] of gateways) {
    const { drainMs, trustedProxies } = settingsOf(name);
    assert.deepEqual(trustedProxies, [address]);
    // Closing may take 5 s beyond it.
    assert.ok(Number.parseInt(stop_grace_period, 10) * 1000 > drainMs + 5000, name);
    assert.equal(service(name).ports, undefined, 'everybody comes through nginx');
  }
});

test('`docker compose run groups` works beside nginx, on the same files', () => {
  const { entrypoint = [], network_mode, pid, volumes } = service('groups');
  assert.deepEqual([network_mode, pid, volumes], ['service:nginx', 'service:nginx', ['./nginx:/etc/ringside']]);
  const words = wordsIn((entrypoint[2] ?? '').replaceAll('\n', ' '));
  const nginx = wordsIn(optionOf(words, '--nginx') ?? '');
  assert.equal(optionOf(words, '--file'), '/etc/ringside/compose/groups.json');
  assert.equal(optionOf(nginx, '-c'), '/etc/ringside/compose/nginx.conf');
  assert.deepEqual(wordsIn(optionOf(words, '--reload') ?? ''), ['node', '-e', 'process.kill(1,"SIGHUP")']);
});

test('the Dockerfile builds what compose asks for, and its gateway runs as nobody special', () => {
  const dockerfile = textOf('Dockerfile');
  const stages = dockerfile.split(/^FROM /m).slice(1);
  const named = new Map(stages.map((stage) => [/ AS (\S+)/.exec(stage)?.[1] ?? '', stage]));
  for (const { build } of Object.values(services)) if (build) assert.ok(named.has(build.target), build.target);
  const gateway = stages.at(-1) ?? '';
  assert.equal(gateway, named.get('gateway'), 'the last one is what `docker build` makes');
  assert.match(gateway, /^USER node$/m);
  assert.match(gateway, /^HEALTHCHECK [\s\S]*\/readyz/m);
  assert.match(gateway, /^CMD \["node", "dist\/main\.js"\]$/m);
  const allowed = textOf('.dockerignore')
    .split('\n')
    .filter((line) => line.startsWith('!'));
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names = '']) => names.split(' '));
  assert.ok(copied.length >= 8);
  for (const name of copied) assert.ok(existsSync(join(root, name)) && allowed.includes(`!${name}`), name);
});
