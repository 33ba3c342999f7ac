import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { placeOf, type RedisAddress, readAddress, seedsMax } from '../../../src/redis/address.ts';
import { SettingsError } from '../../../src/settings.ts';

const single: RedisAddress = {
  kind: 'single',
  seeds: ['127.0.0.1:6379'],
  primary: '',
  login: {},
  sentinelLogin: {},
  database: 0,
  tls: null,
};

test('one server: host and port, login, database, TLS, or a socket', () => {
  assert.deepEqual(readAddress('redis://127.0.0.1'), single);
  assert.deepEqual(readAddress('redis://127.0.0.1:6380/3'), { ...single, seeds: ['127.0.0.1:6380'], database: 3 });
  assert.deepEqual(readAddress('redis://:p%40ss@[::1]:7000/'), {
    ...single,
    seeds: ['::1:7000'],
    login: { password: 'p@ss' },
  });
  const login = { username: 'ann', password: 'a:b@c' };
  assert.deepEqual(readAddress('rediss://ann:a:b@c@redis.example.org'), {
    ...single,
    seeds: ['redis.example.org:6379'],
    login,
    tls: {},
  });
  for (const url of ['unix:/run/redis.sock', 'unix:///run/redis.sock'])
    assert.deepEqual(readAddress(url), { ...single, seeds: ['unix:/run/redis.sock'] });
  assert.deepEqual(readAddress('unix://ann:x@/run/a%20b.sock'), {
    ...single,
    seeds: ['unix:/run/a b.sock'],
    login: { username: 'ann', password: 'x' },
  });
});

test('a cluster: some of its nodes, and one login for all', () => {
  const seeds = ['one:7000', 'two:6379', '::1:7002'];
  assert.deepEqual(readAddress('redis+cluster://one:7000,two,[::1]:7002'), { ...single, kind: 'cluster', seeds });
  assert.deepEqual(readAddress('rediss+cluster://ann:x@one:7000,two,[::1]:7002/0'), {
    ...single,
    kind: 'cluster',
    seeds,
    login: { username: 'ann', password: 'x' },
    tls: {},
  });
});

test('sentinels: the name of the primary, its login in front, theirs behind', () => {
  const url = 'redis+sentinel://:x@one,two:26380/stage/2?sentinel_username=eve&sentinel_password=y%2Bz';
  assert.deepEqual(readAddress(url), {
    ...single,
    kind: 'sentinel',
    seeds: ['one:26379', 'two:26380'],
    primary: 'stage',
    database: 2,
    login: { password: 'x' },
    sentinelLogin: { username: 'eve', password: 'y+z' },
  });
});

test('certificates are read from the files that are named', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringside-address-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'some.pem');
  writeFileSync(path, 'a certificate');
  const all = `ssl_ca_certs=${path}&ssl_certfile=${path}&ssl_keyfile=${path}`;
  const bytes = Buffer.from('a certificate');
  assert.deepEqual(readAddress(`rediss://one?${all}`).tls, { ca: bytes, cert: bytes, key: bytes });
  assert.deepEqual(readAddress(`rediss+cluster://one?ssl_ca_certs=${path}`).tls, { ca: bytes });
  for (const [query, what] of [
    ['ssl_ca_certs=/no/such/file', 'can be read as ssl_ca_certs'],
    [`ssl_certfile=${path}`, 'ssl_keyfile together'],
  ])
    assert.throws(() => readAddress(`rediss://one?${query}`), new RegExp(`^SettingsError: REDIS_URL must .*${what}`));
});

for (const [name, url, what] of [
  ['another scheme', 'http://kurz:6379', 'be redis://host:port'],
  ['another kind', 'redis+ring://kurz:6379', 'be redis://host:port'],
  ['a socket of a cluster', 'unix+cluster:/kurz', 'be redis://host:port'],
  ['a socket that is not a whole path', 'unix:kurz.sock', 'be redis://host:port'],
  ['two servers', 'redis://kurz:6379,two:6379', 'name one server'],
  ['no server', 'redis://', 'name each server as host:port'],
  ['no server after a comma', 'redis+cluster://kurz:1,', 'name each server as host:port'],
  ['a port that is none', 'redis://kurz:65536', 'name each server as host:port'],
  ['a bare IPv6 address', 'redis://fe80::1', 'name each server as host:port'],
  ['too many servers', `redis+cluster://${'kurz,'.repeat(seedsMax)}kurz`, `name ${seedsMax} servers at most`],
  ['sentinels without a primary', 'redis+sentinel://kurz:26379', 'end with the name of the primary'],
  ['a database of a cluster', 'redis+cluster://kurz:6379/1', 'name no database'],
  ['a database that is no number', 'redis://kurz:6379/main', 'name a database by its number'],
  ['an option that nobody knows', 'redis://kurz:6379?family=6', 'have no options but'],
  ['certificates without TLS', 'redis://kurz:6379?ssl_ca_certs=/x', 'have no options but'],
  ['a login of sentinels where there are none', 'redis://kurz?sentinel_password=x', 'have no options but'],
  ['a percent sign of its own', 'redis://:kurz%zz@one', 'have a percent sign only'],
] as const) {
  test(`refuses ${name} with a sentence that says what is right and repeats nothing`, () => {
    assert.throws(
      () => readAddress(url),
      (error) => {
        assert.ok(error instanceof SettingsError);
        assert.ok(error.message.startsWith(`REDIS_URL must ${what}`), error.message);
        assert.match(error.message, /\.$/);
        assert.doesNotMatch(error.message, /kurz/);
        return true;
      },
    );
  });
}

test('a server is told to a socket by its parts', () => {
  assert.deepEqual(placeOf('::1:7000'), { host: '::1', port: 7000 });
  assert.deepEqual(placeOf('one:7000'), { host: 'one', port: 7000 });
  assert.deepEqual(placeOf('unix:/a:7'), { path: '/a:7' });
});
