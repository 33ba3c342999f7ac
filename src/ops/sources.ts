/** The sources of a gateway's figures. */

import type { HubCounters } from '../fanout/hub-counters.ts';
import type { RoomLog } from '../log/room-log.ts';
import type { LogCalls } from './log-calls.ts';
import type { LoopDelay } from './loop-delay.ts';

export interface Sources {
  readonly nodeId: string;
  readonly group: string;
  readonly version: string;
  /** Whether this gateway accepts traffic. */
  readonly isReady: () => boolean;
  readonly hub: { readonly viewers: number; readonly rooms: number; readonly hubCounters: HubCounters };
  /** Handover of viewers, and misrouted requests. */
  readonly handover: { readonly isDraining: boolean; readonly moved: number; readonly misrouted: number };
  readonly log: Pick<RoomLog, 'health'>;
  readonly logCalls: LogCalls;
  /** Refused tokens, by reason. */
  readonly tokensRefused: Readonly<Record<string, number>>;
  readonly loopDelay: LoopDelay;
}

export const sumOf = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);
