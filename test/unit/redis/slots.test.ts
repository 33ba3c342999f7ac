import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RoomId } from '../../../src/model.ts';
import { readPrimary, readRedirection, readSlots, slotOf } from '../../../src/redis/slots.ts';
import { logKey, nodeChannel, roomChannel } from '../../rig/keys.ts';

test('slots are those of the cluster specification, and only what is between the first braces counts', () => {
  // CRC-16/XMODEM of 123456789 is 0x31C3, which the specification names as its example.
  assert.equal(slotOf('123456789'), 0x31c3 % 16_384);
  assert.equal(slotOf(''), 0);
  assert.equal(slotOf('{user1000}.following'), slotOf('{user1000}.followers'));
  assert.equal(slotOf('foo{{bar}}zap'), slotOf('{bar'));
  assert.equal(slotOf('foo{bar}{zap}'), slotOf('bar'));
  for (const whole of ['foo{}{bar}', 'foo{bar', 'foo}bar{']) assert.notEqual(slotOf(whole), slotOf('bar'));
  assert.equal(slotOf('größe'), slotOf('{größe}x'));
});

test('all keys and channels of a room lie in one slot', () => {
  const room = 'match-7' as RoomId;
  const slots = [logKey(room), roomChannel(room), nodeChannel(room, 'node-1')].map(slotOf);
  assert.deepEqual(new Set(slots), new Set([slotOf('match-7')]));
});

test('a map is read from the ranges, the primary of each first; what is not covered belongs to nobody', () => {
  const reply = [
    [0, 99, ['10.0.0.1', 7000, 'id', []], ['10.0.0.4', 7000, 'id', []]],
    [100, 199, [null, 7001, 'id']],
    [300, 16_383, ['?', 7002, 'id'], ['two', 7002, 'id']],
  ];
  const slots = readSlots(reply, 'asked');
  assert.ok(slots);
  assert.deepEqual(
    [0, 99, 100, 199, 200, 299, 300, 16_383].map((slot) => slots.map[slot]),
    ['10.0.0.1:7000', '10.0.0.1:7000', 'asked:7001', 'asked:7001', null, null, null, null],
  );
  assert.deepEqual([...slots.servers].sort(), ['10.0.0.1:7000', '10.0.0.4:7000', 'asked:7001', 'two:7002']);
  assert.equal(slots.map.length, 16_384);
});

test('what is no map is not taken for one', () => {
  for (const reply of [null, 'OK', 7, ['x'], [7]]) assert.equal(readSlots(reply, 'asked'), null);
});

test('a redirection names the server, by the host that was asked where it names none', () => {
  assert.deepEqual(readRedirection('MOVED 3999 127.0.0.1:6381', 'asked'), { isMoved: true, server: '127.0.0.1:6381' });
  assert.deepEqual(readRedirection('ASK 3999 ::1:6381', 'asked'), { isMoved: false, server: '::1:6381' });
  assert.deepEqual(readRedirection('MOVED 3999 :6381', 'asked'), { isMoved: true, server: 'asked:6381' });
  for (const other of ['ERR x', 'MOVED', 'TRYAGAIN 1 a:1']) assert.equal(readRedirection(other, 'asked'), null);
});

test('the answer of a sentinel is a server, or nobody', () => {
  assert.equal(readPrimary(['10.0.0.1', '6379']), '10.0.0.1:6379');
  assert.equal(readPrimary(null), null);
});
