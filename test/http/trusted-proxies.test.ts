import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { trustOf } from '../../src/http/trusted-proxies.ts';
import { SettingsError } from '../../src/settings.ts';

const trusts = (list: readonly string[], address: string | undefined, hop = 0): boolean => {
  const trust = trustOf(list);
  assert.ok(trust !== false);
  return trust(address, hop);
};

describe('trusted proxies', () => {
  it('are none where none are named', () => {
    assert.equal(trustOf([]), false);
  });

  it('are those of the ranges named, and no neighbours', () => {
    assert.equal(trusts(['10.0.0.0/8'], '10.255.0.1'), true);
    assert.equal(trusts(['10.0.0.0/8'], '11.0.0.1'), false);
    assert.equal(trusts(['192.0.2.1'], '192.0.2.1'), true);
    assert.equal(trusts(['192.0.2.1'], '192.0.2.2'), false);
    assert.equal(trusts(['2001:db8::/32'], '2001:db8::1'), true);
    assert.equal(trusts(['2001:db8::/32'], '2001:db9::1'), false);
    assert.equal(trusts(['10.0.0.0/8'], 'unknown'), false);
  });

  it('are known by their IPv4 address also where a socket is of both kinds', () => {
    assert.equal(trusts(['10.0.0.0/8'], '::ffff:10.0.0.1'), true);
    assert.equal(trusts(['10.0.0.0/8'], '::ffff:11.0.0.1'), false);
  });

  it('are whoever is at the other end of the unix socket, only where that is said, and only there', () => {
    assert.equal(trusts(['unix'], undefined), true);
    assert.equal(trusts(['10.0.0.0/8'], undefined), false);
    assert.equal(trusts(['unix'], '10.0.0.1'), false);
    assert.equal(trusts(['unix'], undefined, 1), false);
  });

  for (const wrong of ['proxy', '10.0.0.0/33', '10.0.0.0/0', '10.0.0.0/x', '10.0.0.0/8/8', '/8', 'Unix']) {
    it(`cannot be ${wrong}`, () => {
      assert.throws(() => trustOf([wrong]), SettingsError);
    });
  }
});
