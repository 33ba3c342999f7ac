/** Every action that the gateway knows, by kind. One line per action. */

import type { Action } from './action.ts';
import { comment } from './comment.ts';
import { direct } from './direct.ts';
import { end } from './end.ts';
import { gift } from './gift.ts';
import { like } from './like.ts';
import { ban, mute, unban, unmute } from './moderate.ts';
import { notice } from './notice.ts';
import { pin } from './pin.ts';
import { retract } from './retract.ts';
import { settings } from './settings.ts';
import { signal } from './signal.ts';

export const actions: ReadonlyMap<string, Action> = new Map([
  [comment.kind, comment],
  [like.kind, like],
  [gift.kind, gift],
  [notice.kind, notice],
  [signal.kind, signal],
  [direct.kind, direct],
  [pin.kind, pin],
  [settings.kind, settings],
  [retract.kind, retract],
  [ban.kind, ban],
  [unban.kind, unban],
  [mute.kind, mute],
  [unmute.kind, unmute],
  [end.kind, end],
]);
