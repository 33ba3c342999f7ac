/** What a room on this node does when an event is taken back: nothing that is kept here holds a word of it any more. */

import { parsePosition } from '../log/position.ts';
import type { Entry } from '../signal.ts';
import type { Pages } from './page.ts';
import type { Stand } from './stand.ts';

/** `entry` is of kind `retract`. What was handed to a socket is on its way; the entry itself tells of it. */
export function takeBack({ body }: Entry, stands: Iterable<Pick<Stand, 'tape'>>, pages: Pick<Pages, 'drop'>): void {
  const { id } = JSON.parse(body) as { id?: string };
  const named = id === undefined ? null : parsePosition(id);
  if (named === null) return;
  for (const { tape } of stands) tape.takeBack(named);
  pages.drop();
}
