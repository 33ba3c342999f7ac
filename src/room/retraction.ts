/** What a room on this node does when an event is taken back: nothing that is kept here holds a word of it any more. */

import type { ViewerSet } from '../fanout/viewer-set.ts';
import { parsePosition } from '../log/position.ts';
import type { Entry } from '../model.ts';
import type { Pages } from './page.ts';

/** `entry` is of kind `retract`. What was handed to a socket is on its way; the entry itself tells of it. */
export function takeBack(
  { body }: Entry,
  viewerSets: Iterable<Pick<ViewerSet, 'tape'>>,
  pages: Pick<Pages, 'drop'>,
): void {
  const { id } = JSON.parse(body) as { id?: string };
  const named = id === undefined ? null : parsePosition(id);
  if (named === null) return;
  for (const { tape } of viewerSets) tape.retract(named);
  pages.drop();
}
