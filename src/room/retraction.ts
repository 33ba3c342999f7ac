/** Applies a retraction to a room on this node: nothing kept here holds a word of the retracted event any more. */

import type { ViewerSet } from '../fanout/viewer-set.ts';
import { parsePosition } from '../log/position.ts';
import type { Entry } from '../model.ts';
import type { Pages } from './page.ts';

/**
 * `entry` is of kind `retract`. Bytes already written to a socket are on their way; the entry notifies their viewers.
 */
export function retractFrom(
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
