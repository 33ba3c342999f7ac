import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leaseMs } from '../../../src/log/presence.ts';
import type { Epoch } from '../../../src/model.ts';
import { Lease } from '../../../src/room/lease.ts';
import { FakeClock } from '../../rig/fake-clock.ts';

const at = (offset: number) => ({ epoch: 'e1' as Epoch, offset });

/** A clock whose two hands can be moved apart. */
class TwoClocks extends FakeClock {
  standsStillMs = 0;
  setBackMs = 0;

  override now(): number {
    return super.now() - this.setBackMs;
  }

  override steady(): number {
    return super.steady() - this.standsStillMs;
  }
}

function build() {
  const clock = new TwoClocks();
  return { clock, lease: new Lease(clock) };
}

test('the first call takes it, whatever was there before', () => {
  const { lease } = build();
  assert.equal(lease.state, 'none');
  assert.equal(lease.answered(lease.call(at(1)), { lapsed: true }), 'good');
  assert.equal(lease.state, 'good');
});

test('it ends so long after the call was sent, however late the answer came', () => {
  const { clock, lease } = build();
  const call = lease.call(at(1));
  clock.advance(leaseMs - 1);
  assert.equal(lease.answered(call, { lapsed: false }), 'good');
  assert.equal(lease.state, 'good');
  clock.advance(1);
  assert.equal(lease.state, 'over');
});

test('a clock that stands still or is set back does not keep it', () => {
  for (const hand of ['standsStillMs', 'setBackMs'] as const) {
    const { clock, lease } = build();
    lease.answered(lease.call(at(1)), { lapsed: false });
    clock.advance(leaseMs);
    clock[hand] = leaseMs;
    assert.equal(lease.state, 'over', hand);
  }
});

test('once it is over, an answer does not bring it back: users have to be put on record again', () => {
  const { clock, lease } = build();
  lease.answered(lease.call(at(1)), { lapsed: false });
  const early = lease.call(at(2));
  clock.advance(leaseMs);
  const late = lease.call(at(2));
  for (const [call, lapsed] of [
    [early, false],
    [late, true],
    [late, false],
  ] as const) {
    assert.equal(lease.answered(call, { lapsed }), 'register');
  }
  const registered = lease.call(at(2));
  lease.registered(registered);
  assert.equal(lease.state, 'good');
  assert.equal(lease.answered(late, { lapsed: true }), 'good', 'it was found out before they were put on record');
});

test('one that the log ended earlier leaves in doubt what was let through since it was last known to be good', () => {
  const { lease } = build();
  lease.answered(lease.call(at(1)), { lapsed: false });
  lease.answered(lease.call(at(7)), { lapsed: false });
  assert.equal(
    lease.answered(lease.call(at(8)), { lapsed: true, covered: true }),
    'register',
    'nothing can be missing',
  );
  assert.equal(lease.answered(lease.call(at(9)), { lapsed: true }), 'prove');
  assert.deepEqual(lease.provenUpTo, at(7));
});
