/** What viewers of a test share: its clock, and a kernel that cannot be sounded unless the test brings one. */

import type { Clock } from '../../src/clock.ts';
import type { Surroundings } from '../../src/stream/viewer.ts';

const unknown: Surroundings['sounding'] = { ask: () => false, forget: () => undefined };

export const surroundingsOf = (
  clock: Clock,
  { sounding = unknown, viewerBytesMax = 65_536 }: Partial<Surroundings> = {},
): Surroundings => ({ clock, sounding, viewerBytesMax });
