/**
 * This node's lease in a room's directory, by its own clocks. While the lease is good, the log publishes every entry
 * for this node's users to this node before any later entry. Once it may have expired, such entries may be missing, and
 * the entries received do not show it.
 *
 * The log starts a lease after the call was sent, so a lease counted from the sending ends here first. Two clocks are
 * read, and the lease is over once either says so: one may be set back, the other may stand still.
 *
 * The lease is **none** until a call has taken it, **good**, or **over**.
 */

import type { Clock } from '../clock.ts';
import type { Position } from '../log/position.ts';
import { leaseMs, type Renewed } from '../log/presence.ts';

/** A call that extends the lease, and the state when it was sent. */
export interface LeaseCall {
  readonly number: number;
  readonly atMs: number;
  readonly steadyMs: number;
  /** The last entry that had passed. */
  readonly position: Position;
  readonly lease: 'none' | 'good' | 'over';
}

/** The log's answer about the lease. */
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

  /** The last entry that had passed when the lease was last known to be good. */
  get provenUpTo(): Position | null {
    return this.#last?.position ?? null;
  }

  call(position: Position): LeaseCall {
    this.#calls += 1;
    const { state: lease } = this;
    return { number: this.#calls, atMs: this.#clock.now(), steadyMs: this.#clock.steady(), position, lease };
  }

  /**
   * The call succeeded; `lapsed` and `covered` are the log's answer. `register`: the users must be registered again.
   * `prove`: in addition, the lease was good by our own clocks, so later entries may have passed meanwhile.
   */
  answered(call: LeaseCall, { lapsed, covered = false }: Lapse): 'good' | 'register' | 'prove' {
    // The users have been registered again since, and the log was read from before that.
    if (call.number < this.#registered) return 'good';
    const { state } = this;
    // The first user on a node finds no lease, and has missed nothing.
    if (call.lease === 'none' || (state === 'good' && !lapsed)) {
      this.#renew(call);
      return 'good';
    }
    return state === 'good' && call.lease === 'good' && !covered ? 'prove' : 'register';
  }

  /** The users were registered again; `call` is the first call that did so. */
  registered(call: LeaseCall): void {
    this.#registered = call.number;
    this.#renew(call);
  }

  #renew(call: LeaseCall): void {
    if (this.#last === null || call.number > this.#last.number) this.#last = call;
  }
}
