/** What viewers of a test share: its clock, and a kernel that cannot be sounded unless the test brings one. */

import type { Clock } from '../../src/clock.ts';
import { Tally } from '../../src/stream/tally.ts';
import type { Surroundings } from '../../src/stream/viewer.ts';

const unknown: Surroundings['sounding'] = { ask: () => false, forget: () => undefined };

export const surroundingsOf = (
  clock: Clock,
  { sounding = unknown, viewerBytesMax = 65_536, tally = new Tally() }: Partial<Surroundings> = {},
): Surroundings => ({ clock, sounding, viewerBytesMax, tally });
