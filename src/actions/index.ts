/** Every action that the gateway knows, by kind. One line per action. */

import type { Action } from './action.ts';
import { comment } from './comment.ts';
import { direct } from './direct.ts';
import { end } from './end.ts';
import { like } from './like.ts';
import { ban, mute, unban, unmute } from './moderate.ts';
import { signal } from './signal.ts';

export const actions: ReadonlyMap<string, Action> = new Map([
  [comment.kind, comment],
  [like.kind, like],
  [signal.kind, signal],
  [direct.kind, direct],
  [ban.kind, ban],
  [unban.kind, unban],
  [mute.kind, mute],
  [unmute.kind, unmute],
  [end.kind, end],
]);
