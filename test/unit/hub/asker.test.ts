import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askerOf, networkOf } from '../../../src/hub/asker.ts';
import type { Identity, UserId } from '../../../src/model.ts';

const ann: Identity = { id: 'ann' as UserId, name: null, role: 'viewer', tags: [], expiresAtMs: Infinity };
const nobody: Identity = { ...ann, id: null };

test('IPv6 counts by its /64, however it is written, and IPv4 in IPv6 by its IPv4', () => {
  const cases: readonly [string, string][] = [
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:cb00:7107', '203.0.113.7'],
    ['0:0:0:0:0:ffff:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
    ['2001:db8:1:2:0:0:203.0.113.7', '2001:db8:1:2::/64'],
    ['2001:db8:1:3::1', '2001:db8:1:3::/64'],
    ['2001:db8::', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['64:ff9b::1:2', '64:ff9b:0:0::/64'],
    ['', ''],
    ['nobody knows', 'nobody knows'],
  ];
  for (const [address, network] of cases) assert.equal(networkOf(address), network, address);
});

test('a user counts by its name wherever it comes from, and nobody by the network', () => {
  assert.equal(askerOf(ann, '203.0.113.7').key, askerOf(ann).key);
  assert.equal(askerOf(nobody, '2001:db8::1').key, askerOf(nobody, '2001:db8::2').key);
  assert.notEqual(askerOf(nobody, '10.0.0.1').key, askerOf(nobody, '10.0.0.2').key);
  const sly = { ...ann, id: '@10.0.0.1' as UserId };
  assert.notEqual(askerOf(sly).key, askerOf(nobody, '10.0.0.1').key);
});
