import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readSettings, SettingsError } from '../../src/settings.ts';
import { type SettingRow, settingsTable } from '../../src/settings-table.ts';

const rows: readonly SettingRow[] = settingsTable;
const randomKey = 'Vq3Zk0mWc8t1RyLxN5uJ7bHsPe2aGdFi9Qo4TjMw';

const fieldOf = (name: string): string =>
  name.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
const parsed = (row: SettingRow, text: string): unknown =>
  ({ ...readSettings({ [row.name]: text }) })[fieldOf(row.name)];

/** The sentence that the start stops with; it must say which setting is meant. */
function sentenceOf(environment: Record<string, string>): string {
  try {
    readSettings(environment);
  } catch (error) {
    assert.ok(error instanceof SettingsError, String(error));
    assert.match(error.message, /^[A-Z].*\.$/s, 'it is a sentence');
    const named = Object.keys(environment).some((name) => error.message.includes(name.replace(/_FILE$/, '')));
    assert.ok(named, `"${error.message}" names no setting that was given`);
    return error.message;
  }
  return assert.fail(`${JSON.stringify(environment)} was taken`);
}

for (const row of rows) {
  test(`${row.name} has its default where it is absent or empty`, () => {
    for (const environment of [{}, { [row.name]: '' }]) {
      const value = { ...readSettings(environment) }[fieldOf(row.name)];
      if (row.name === 'NODE_ID') assert.match(String(value), /^[A-Za-z0-9][A-Za-z0-9-]*-[0-9a-f]{8}$/);
      else assert.deepEqual(value, row.default);
    }
  });

  test(`${row.name} says what it means`, () => {
    assert.match(row.meaning, /^[A-Z`].*\.$/);
    if (row.kind === 'integer' && row.atBound !== undefined) assert.match(row.atBound, /^[A-Z].*\.$/);
    if (row.kind === 'text' && row.pattern !== undefined) assert.ok(row.patternMeaning);
  });

  if (row.kind === 'integer') {
    test(`${row.name} takes whole numbers within its bounds, and no others`, () => {
      assert.ok(row.default >= row.min && row.default <= row.max);
      for (const value of [row.min, row.max]) assert.equal(parsed(row, String(value)), value);
      const wrong = [row.min - 1, row.max + 1, '1.5', '1e3', '0x10', ' ', 'many', '1_000', 'NaN', '٣', '9'.repeat(400)];
      for (const value of wrong) {
        const sentence = sentenceOf({ [row.name]: String(value) });
        assert.equal(sentence, `${row.name} must be a whole number from ${row.min} to ${row.max} (${row.unit}).`);
      }
    });
  }

  if (row.kind === 'switch') {
    test(`${row.name} is on or off`, () => {
      assert.equal(parsed(row, 'on'), true);
      assert.equal(parsed(row, 'off'), false);
      for (const text of ['true', 'ON', '1', 'yes']) {
        assert.equal(sentenceOf({ [row.name]: text }), `${row.name} must be on or off.`);
      }
    });
  }

  if (row.kind === 'choice') {
    test(`${row.name} is one of its choices`, () => {
      assert.ok(row.choices.includes(row.default));
      for (const choice of row.choices) assert.equal(parsed(row, choice), choice);
      assert.equal(sentenceOf({ [row.name]: 'other' }), `${row.name} must be one of ${row.choices.join(', ')}.`);
    });
  }

  if (row.kind === 'text' && row.pattern !== undefined) {
    test(`${row.name} refuses what its form does not allow`, () => {
      assert.equal(sentenceOf({ [row.name]: '-no, not this' }), `${row.name} must be ${row.patternMeaning}.`);
    });
  }
}

test('no setting stands in the table twice, and none is named like the file of another', () => {
  const names = rows.flatMap((row) =>
    row.kind === 'text' && row.isSecret ? [row.name, `${row.name}_FILE`] : row.name,
  );
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.match(name, /^[A-Z]+(?:_[A-Z]+)*$/);
});

test('a list is parted by commas, and spaces around its items do not count', () => {
  const settings = readSettings({ TRUSTED_PROXIES: ' 10.0.0.0/8, ,192.0.2.1 ' });
  assert.deepEqual(settings.trustedProxies, ['10.0.0.0/8', '192.0.2.1']);
});

test('unknown variables are left alone', () => {
  assert.doesNotThrow(() => readSettings({ PATH: '/bin', PORTS: 'x', TOKEN_ISSUER_FILE: 'nowhere' }));
});

test('two gateways without a NODE_ID have different ones', () => {
  assert.notEqual(readSettings({}).nodeId, readSettings({}).nodeId);
  assert.equal(readSettings({ NODE_ID: 'gate.1' }).nodeId, 'gate.1');
});

test('a secret may come from a file; line breaks at its end and a byte-order mark do not count, there or in a variable', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringside-settings-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'secret');
  for (const end of ['', '\n', '\r\n', '\n\n', '\r']) {
    for (const start of ['', '\uFEFF']) {
      writeFileSync(path, start + randomKey + end);
      assert.equal(readSettings({ TOKEN_SECRET_FILE: path }).tokenSecret, randomKey);
      assert.equal(readSettings({ TOKEN_SECRET: start + randomKey + end }).tokenSecret, randomKey);
    }
  }
  const lines = `${randomKey}\n${randomKey}`;
  assert.equal(readSettings({ TOKEN_SECRET: lines }).tokenSecret, lines, 'one within it is part of it');
  writeFileSync(path, 'ftp://keys.example.org\n');
  assert.match(sentenceOf({ TOKEN_JWKS_URL_FILE: path }), /^TOKEN_JWKS_URL must be an http or https address\.$/);
  const both = sentenceOf({ TOKEN_SECRET: randomKey, TOKEN_SECRET_FILE: path });
  assert.equal(both, 'Set TOKEN_SECRET or TOKEN_SECRET_FILE, not both.');
  assert.match(sentenceOf({ TOKEN_SECRET_FILE: join(folder, 'none') }), /^TOKEN_SECRET_FILE must name a readable file/);
  assert.match(sentenceOf({ TOKEN_SECRET_FILE: folder }), /^TOKEN_SECRET_FILE must name a readable file/);
});

test('every secret may come from a file, and what is no secret may not', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'ringside-settings-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const values: Record<string, string> = {
    TOKEN_SECRET: randomKey,
    TOKEN_PUBLIC_KEY: '-----BEGIN PUBLIC KEY-----\nMCowBQ==\n-----END PUBLIC KEY-----',
    TOKEN_JWKS_URL: 'https://keys.example.org/jwks.json',
    REDIS_URL: 'redis://localhost:6379',
    ADMIN_TOKEN: 'a-token-of-sixteen',
  };
  const secrets = rows.filter((row) => row.kind === 'text' && row.isSecret === true).map(({ name }) => name);
  assert.deepEqual(secrets.sort(), Object.keys(values).sort());
  for (const [name, value] of Object.entries(values)) {
    const path = join(folder, name);
    writeFileSync(path, `${value}\n`);
    assert.equal({ ...readSettings({ [`${name}_FILE`]: path }) }[fieldOf(name)], value);
  }
});

test('a sentence never repeats a secret', () => {
  for (const environment of [{ TOKEN_SECRET: 'kurz' }, { REDIS_URL: 'kurz' }, { TOKEN_JWKS_URL: 'kurz' }]) {
    assert.doesNotMatch(sentenceOf(environment), /kurz/);
  }
});

test('a token secret is long and cannot be guessed', () => {
  assert.match(sentenceOf({ TOKEN_SECRET: randomKey.slice(0, 31) }), /at least 32 bytes/);
  // It counts bytes, not characters.
  assert.doesNotThrow(() => readSettings({ TOKEN_SECRET: 'éàüöñçßøæåîô¿¡§¶' }));
  for (const guessable of [
    'a'.repeat(32),
    'secret'.repeat(6),
    'your-256-bit-key-goes-right-here!',
    'ChangeMe'.repeat(4),
  ]) {
    assert.match(sentenceOf({ TOKEN_SECRET: guessable }), /must be random/);
  }
});

test('only one token key counts', () => {
  const other = { TOKEN_JWKS_URL: 'https://keys.example.org' };
  assert.match(sentenceOf({ TOKEN_SECRET: randomKey, ...other }), /^Set only one of TOKEN_SECRET, /);
  assert.match(sentenceOf({ TOKEN_PUBLIC_KEY: 'x', ...other }), /^Set only one of TOKEN_SECRET, /);
});

test('the algorithms are of those that the gateway knows', () => {
  const { tokenAlgorithms } = readSettings({ TOKEN_ALGORITHMS: 'RS256, EdDSA' });
  assert.deepEqual(tokenAlgorithms, ['RS256', 'EdDSA']);
  for (const name of ['none', 'hs256', 'HS512']) assert.match(sentenceOf({ TOKEN_ALGORITHMS: name }), new RegExp(name));
});

test('without a token key the gateway starts only on loopback', () => {
  for (const HOST of ['127.0.0.1', '::1', 'localhost']) assert.doesNotThrow(() => readSettings({ HOST }));
  assert.doesNotThrow(() => readSettings({ HOST: '0.0.0.0', LISTEN_SOCKET: 'ringside.sock' }));
  assert.doesNotThrow(() => readSettings({ HOST: '0.0.0.0', TOKEN_SECRET: randomKey }));
  for (const HOST of ['0.0.0.0', '::', '192.0.2.1', 'example.org']) {
    assert.throws(() => readSettings({ HOST }), { name: 'SettingsError', message: /only on loopback/ });
  }
});

test('the demo needs a key that the gateway can sign with', () => {
  assert.equal(readSettings({ DEMO: 'on' }).demo, 'on');
  assert.equal(readSettings({ DEMO: 'on', TOKEN_SECRET: randomKey }).demo, 'on');
  assert.match(sentenceOf({ DEMO: 'on', TOKEN_JWKS_URL: 'https://keys.example.org' }), /^DEMO=on requires a key/);
});

test('an origin is a scheme and a host, and nothing more', () => {
  const { corsOrigins } = readSettings({ CORS_ORIGINS: 'https://example.org,http://localhost:5173' });
  assert.deepEqual(corsOrigins, ['https://example.org', 'http://localhost:5173']);
  const apps = [
    'capacitor://localhost',
    'ionic://localhost',
    'tauri://localhost',
    'app://my.app',
    'vscode-webview://a1',
  ];
  assert.deepEqual(readSettings({ CORS_ORIGINS: apps.join(', ') }).corsOrigins, apps);
  for (const wrong of [
    'https://example.org/',
    'example.org',
    '*',
    'https://Example.org',
    'https://example.org:443',
    'null',
    'https://*.example.org',
    'http://localhost:*',
    'https://example.org/path',
    'https://ann:b@example.org',
    'https://bücher.example',
    'capacitor://localhost/',
    'Capacitor://localhost',
    'file://',
    'capacitor:',
    'blob:https://example.org/1',
  ]) {
    assert.match(sentenceOf({ CORS_ORIGINS: wrong }), /^CORS_ORIGINS must list origins .+\.$/);
  }
});
