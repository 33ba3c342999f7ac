/**
 * This node's lease in a room's directory, by its own clocks. While it is good, whatever the log addresses to this node's
 * users is published to this node before anything that comes later. Once it may have run out, such entries may be
 * missing, and nothing in what is heard shows it.
 *
 * The log starts a lease after the call was sent, so a lease that is counted from the sending ends here first. Two clocks
 * are asked, and the one that says it is over is believed: one may be set back, the other may stand still.
 *
 * The lease is **none** until a call has taken it, **good**, or **over**.
 */

import type { Clock } from '../clock.ts';
import type { Position } from '../log/position.ts';
import { leaseMs, type Renewed } from '../log/presence.ts';

/** A call that takes the lease on: how things were when it was sent. */
export interface LeaseCall {
  readonly number: number;
  readonly atMs: number;
  readonly steadyMs: number;
  /** What had been let through. */
  readonly position: Position;
  readonly lease: 'none' | 'good' | 'over';
}

/** What the log says of the lease. */
export type Lapse = Pick<Renewed, 'lapsed' | 'covered'>;

export class Lease {
  readonly #clock: Clock;
  #last: LeaseCall | null = null;
  #calls = 0;
  #registered = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get state(): LeaseCall['lease'] {
    if (this.#last === null) return 'none';
    const { atMs, steadyMs } = this.#last;
    const isGood = this.#clock.steady() - steadyMs < leaseMs && this.#clock.now() - atMs < leaseMs;
    return isGood ? 'good' : 'over';
  }

  /** What had been let through when the lease was last known to be good. */
  get provenUpTo(): Position | null {
    return this.#last?.position ?? null;
  }

  call(position: Position): LeaseCall {
    this.#calls += 1;
    const { state: lease } = this;
    return { number: this.#calls, atMs: this.#clock.now(), steadyMs: this.#clock.steady(), position, lease };
  }

  /**
   * The call succeeded; `lapsed` and `covered` as the log says. `register`: the users have to be put on record again.
   * `prove`: and as the lease was good by our own clocks, something may have been let through meanwhile.
   */
  answered(call: LeaseCall, { lapsed, covered = false }: Lapse): 'good' | 'register' | 'prove' {
    // Whatever it found, the users have been put on record again since, and the log was read from before that.
    if (call.number < this.#registered) return 'good';
    const { state } = this;
    // The first of a node's users finds no lease, and has missed nothing.
    if (call.lease === 'none' || (state === 'good' && !lapsed)) {
      this.#renew(call);
      return 'good';
    }
    return state === 'good' && call.lease === 'good' && !covered ? 'prove' : 'register';
  }

  /** The users were put on record by calls of which this is the first. */
  registered(call: LeaseCall): void {
    this.#registered = call.number;
    this.#renew(call);
  }

  #renew(call: LeaseCall): void {
    if (this.#last === null || call.number > this.#last.number) this.#last = call;
  }
}
