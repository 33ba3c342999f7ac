/** What viewers of a test share: its clock, and a kernel that cannot be sounded unless the test brings one. */

import type { Clock } from '../../src/clock.ts';
import { StreamCounters } from '../../src/stream/stream-counters.ts';
import type { StreamContext } from '../../src/stream/viewer.ts';

const unknown: StreamContext['sendQueueProbe'] = { ask: () => false, forget: () => undefined };

export const surroundingsOf = (
  clock: Clock,
  {
    sendQueueProbe = unknown,
    viewerBytesMax = 65_536,
    streamCounters = new StreamCounters(),
  }: Partial<StreamContext> = {},
): StreamContext => ({ clock, sendQueueProbe, viewerBytesMax, streamCounters });
