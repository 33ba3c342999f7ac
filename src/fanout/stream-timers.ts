/**
 * One timer for all viewers of the process. It sends heartbeats to quiet streams. It ends streams that read nothing
 * for too long, and streams whose token has expired. Viewers have no timers of their own. Turns and most token
 * expiry times fall on whole seconds. An expiry time between two turns (RFC 7519 allows fractions) gets its own
 * timer.
 */

import type { Clock, Timer } from '../clock.ts';
import type { Viewer } from '../stream/viewer.ts';
import { inSlices } from './slices.ts';

export interface StreamTimersSettings {
  readonly heartbeatMs: number;
  readonly viewerStuckMs: number;
}

const longestTurnMs = 1_000;

export class StreamTimers {
  readonly #clock: Clock;
  readonly #settings: StreamTimersSettings;
  readonly #turnMs: number;
  readonly #viewers = new Set<Viewer>();
  readonly #expiring = new Map<number, Set<Viewer>>();
  /** Timers for expiry times before the next turn. */
  readonly #soon = new Map<number, Timer>();
  #timer: Timer | null = null;
  #nextTurnMs = 0;
  #isClosed = false;

  constructor(clock: Clock, settings: StreamTimersSettings) {
    this.#clock = clock;
    this.#settings = settings;
    this.#turnMs = Math.min(longestTurnMs, settings.heartbeatMs, settings.viewerStuckMs);
  }

  get size(): number {
    return this.#viewers.size;
  }

  /** A copy: later joins and leaves do not change it. */
  viewers(): readonly Viewer[] {
    return [...this.#viewers];
  }

  add(viewer: Viewer): void {
    this.#viewers.add(viewer);
    this.#watchExpiry(viewer);
    if (this.#timer === null) this.#schedule();
  }

  remove(viewer: Viewer): void {
    this.#viewers.delete(viewer);
    this.#forgetExpiry(viewer);
  }

  /** A newer token may prolong a stream; an older one never shortens it. */
  prolong(viewer: Viewer, expiresAtMs: number): void {
    if (expiresAtMs <= viewer.identity.expiresAtMs) return;
    this.#forgetExpiry(viewer);
    viewer.identity = { ...viewer.identity, expiresAtMs };
    this.#watchExpiry(viewer);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    for (const timer of this.#soon.values()) timer.cancel();
    this.#soon.clear();
  }

  #watchExpiry(viewer: Viewer): void {
    const { expiresAtMs } = viewer.identity;
    if (expiresAtMs === Number.POSITIVE_INFINITY) return;
    const expiring = this.#expiring.get(expiresAtMs);
    if (expiring === undefined) this.#expiring.set(expiresAtMs, new Set([viewer]));
    else expiring.add(viewer);
    if (this.#timer !== null && expiresAtMs < this.#nextTurnMs) this.#expireAt(expiresAtMs);
  }

  #forgetExpiry(viewer: Viewer): void {
    const { expiresAtMs } = viewer.identity;
    const expiring = this.#expiring.get(expiresAtMs);
    expiring?.delete(viewer);
    if (expiring?.size !== 0) return;
    this.#expiring.delete(expiresAtMs);
    this.#soon.get(expiresAtMs)?.cancel();
    this.#soon.delete(expiresAtMs);
  }

  /** Ends the streams that expire at a time before the next turn. */
  #expireAt(expiresAtMs: number): void {
    if (this.#soon.has(expiresAtMs)) return;
    const timer = this.#clock.after(expiresAtMs - this.#clock.now(), () => {
      this.#soon.delete(expiresAtMs);
      // A system timer may fire slightly early.
      if (this.#clock.now() < expiresAtMs) return this.#expireAt(expiresAtMs);
      inSlices(this.#expire(expiresAtMs), this.#clock, () => undefined);
    });
    this.#soon.set(expiresAtMs, timer);
  }

  *#expire(expiresAtMs: number): Generator<void> {
    for (const viewer of [...(this.#expiring.get(expiresAtMs) ?? [])]) {
      // The token may have been prolonged between two slices.
      if (viewer.identity.expiresAtMs <= this.#clock.now()) viewer.end('expired');
      yield;
    }
  }

  /** Turns fall on multiples of the turn's length, so with turns of a second one falls on each full second. */
  #schedule(): void {
    if (this.#isClosed) return;
    const now = this.#clock.now();
    const waitMs = this.#turnMs - (now % this.#turnMs);
    this.#nextTurnMs = now + waitMs;
    for (const expiresAtMs of this.#expiring.keys()) if (expiresAtMs < this.#nextTurnMs) this.#expireAt(expiresAtMs);
    this.#timer = this.#clock.after(waitMs, () => {
      inSlices(this.#turn(), this.#clock, () => {
        this.#timer = null;
        if (this.#viewers.size > 0) this.#schedule();
      });
    });
  }

  /** Does what is due now, one viewer a step: viewers that joined together are due together. */
  *#turn(): Generator<void> {
    const now = this.#clock.now();
    for (const expiresAtMs of [...this.#expiring.keys()]) if (expiresAtMs <= now) yield* this.#expire(expiresAtMs);
    for (const viewer of this.#viewers) if (this.#tend(viewer, now)) yield;
  }

  /** Returns whether it did any work. */
  #tend(viewer: Viewer, now: number): boolean {
    if (viewer.isWaiting) {
      if (now - viewer.waitingSinceMs < this.#settings.viewerStuckMs) return false;
      viewer.end('stuck');
      return true;
    }
    if (now - viewer.lastWriteMs < this.#settings.heartbeatMs) return false;
    viewer.beat();
    return true;
  }
}
