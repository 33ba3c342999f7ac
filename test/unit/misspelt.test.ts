import assert from 'node:assert/strict';
import { test } from 'node:test';
import { misspeltIn, readSettings } from '../../src/settings.ts';
import { settingsTable } from '../../src/settings-table.ts';

const meantBy = (name: string): string | undefined => misspeltIn({ [name]: 'x' })[0]?.meant;

test('a slip in the name of a setting is found, and what was meant', () => {
  const cases = {
    TOKEN_SECRT: 'TOKEN_SECRET',
    TOKEN_SECERT: 'TOKEN_SECRET',
    TOKENSECRET: 'TOKEN_SECRET',
    'TOKEN-SECRET': 'TOKEN_SECRET',
    token_secret: 'TOKEN_SECRET',
    RINGSIDE_TOKEN_SECRET: 'TOKEN_SECRET',
    TOKEN_SECRETS: 'TOKEN_SECRET',
    TOKEN_SECRET_FIEL: 'TOKEN_SECRET_FILE',
    TOKEN_JWKS_URI: 'TOKEN_JWKS_URL',
    TOKEN_JWKS: 'TOKEN_JWKS_URL',
    REDIS_URI: 'REDIS_URL',
    FLUSHMS: 'FLUSH_MS',
    FLUSH_MSEC: undefined,
    FLUHS_MS: 'FLUSH_MS',
    LOG_LEVL: 'LOG_LEVEL',
    LOG_ENTRIES: 'LOG_ENTRIES_MAX',
    CORS_ORIGIN: 'CORS_ORIGINS',
    TRUSTED_PROXY: undefined,
    TRUSTED_PROXYS: 'TRUSTED_PROXIES',
    ANONYMOUS_VIEWER: 'ANONYMOUS_VIEWERS',
    HEARTBEAT_MILLIS: undefined,
  };
  for (const [name, meant] of Object.entries(cases)) assert.equal(meantBy(name), meant, name);
});

test('what belongs to others is left alone', () => {
  const others = [
    'PATH',
    'HOME',
    'HOSTNAME',
    'PORTAINER',
    'POST',
    'PORTS',
    'GROUPS',
    'DEMOS',
    'USER',
    'NODE_ENV',
    'NODE_OPTIONS',
    'LOGNAME',
    'NODE_IP',
    'REDIS_PORT',
    'REDIS_HOST',
    'LOG_FILE',
    'TOKEN',
    'GITHUB_TOKEN',
    'ADMIN_PASSWORD',
    'RINGSIDE_PORT',
    'RINGSIDE_SERVICE_HOST',
    'KUBERNETES_SERVICE_PORT',
    'npm_config_loglevel',
    'npm_package_version',
    'npm_config_node_gyp',
    'LS_COLORS',
    'COMPOSE_PROJECT_NAME',
    'LOG',
    'REDIS',
    'NODE_EXTRA_CA_CERTS',
    'DRAIN',
  ];
  for (const name of others) assert.equal(meantBy(name), undefined, name);
  for (const { name } of settingsTable) assert.equal(meantBy(name), undefined, name);
});

test('where the setting itself is set, or the variable is empty, nothing is amiss', () => {
  assert.deepEqual(misspeltIn({ REDIS_URI: 'x', REDIS_URL: 'redis://x' }), []);
  assert.deepEqual(misspeltIn({ FLUSHMS: '' }), []);
});

test('a key or an address that is nearly named stops the start; anything else does not', () => {
  for (const name of ['TOKEN_SECRT', 'TOKEN_SECRET_FIEL', 'REDIS_URI', 'RINGSIDE_REDIS_URL'])
    assert.throws(() => readSettings({ [name]: 'x' }), {
      name: 'SettingsError',
      message: new RegExp(`^Unknown setting ${name};`),
    });
  assert.doesNotThrow(() => readSettings({ FLUSHMS: '5' }));
});
