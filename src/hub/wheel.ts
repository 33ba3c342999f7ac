/**
 * One timer for all viewers of the process: heartbeats for quiet streams, the end of those that read nothing for too
 * long, and the end of every stream whose token has expired. Viewers have no timers of their own.
 */

import type { Clock, Timer } from '../clock.ts';
import type { Viewer } from '../stream/viewer.ts';
import { inSlices } from './slices.ts';

export interface WheelSettings {
  readonly heartbeatMs: number;
  readonly viewerStuckMs: number;
}

/** Token times are whole seconds (RFC 7519), so a turn at each full second ends a stream when its time has come. */
const longestTurnMs = 1_000;

export class Wheel {
  readonly #clock: Clock;
  readonly #settings: WheelSettings;
  readonly #turnMs: number;
  readonly #viewers = new Set<Viewer>();
  readonly #expiring = new Map<number, Set<Viewer>>();
  #timer: Timer | null = null;
  #isClosed = false;

  constructor(clock: Clock, settings: WheelSettings) {
    this.#clock = clock;
    this.#settings = settings;
    this.#turnMs = Math.min(longestTurnMs, settings.heartbeatMs, settings.viewerStuckMs);
  }

  get size(): number {
    return this.#viewers.size;
  }

  /** As they are now: who comes or leaves meanwhile changes nothing. */
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

  /** A newer token may prolong a stream; an older one does not cut it short. */
  prolong(viewer: Viewer, expiresAtMs: number): void {
    if (expiresAtMs <= viewer.identity.expiresAtMs) return;
    this.#forgetExpiry(viewer);
    viewer.identity = { ...viewer.identity, expiresAtMs };
    this.#watchExpiry(viewer);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
  }

  #watchExpiry(viewer: Viewer): void {
    const { expiresAtMs } = viewer.identity;
    if (expiresAtMs === Number.POSITIVE_INFINITY) return;
    const expiring = this.#expiring.get(expiresAtMs);
    if (expiring === undefined) this.#expiring.set(expiresAtMs, new Set([viewer]));
    else expiring.add(viewer);
  }

  #forgetExpiry(viewer: Viewer): void {
    const { expiresAtMs } = viewer.identity;
    const expiring = this.#expiring.get(expiresAtMs);
    expiring?.delete(viewer);
    if (expiring?.size === 0) this.#expiring.delete(expiresAtMs);
  }

  /** Turns fall on multiples of the turn's length, so that one comes at each full second. */
  #schedule(): void {
    if (this.#isClosed) return;
    const waitMs = this.#turnMs - (this.#clock.now() % this.#turnMs);
    this.#timer = this.#clock.after(waitMs, () => {
      inSlices(this.#turn(), this.#clock, () => {
        this.#timer = null;
        if (this.#viewers.size > 0) this.#schedule();
      });
    });
  }

  /** What is due at this moment, a viewer a step: a crowd that came together is due together. */
  *#turn(): Generator<void> {
    const now = this.#clock.now();
    for (const [expiresAtMs, viewers] of [...this.#expiring]) {
      if (expiresAtMs > now) continue;
      for (const viewer of [...viewers]) {
        // Between two slices its token may have been prolonged.
        if (viewer.identity.expiresAtMs <= now) viewer.end('expired');
        yield;
      }
    }
    for (const viewer of this.#viewers) if (this.#tend(viewer, now)) yield;
  }

  /** Whether it cost anything. */
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
