/**
 * The one gate: who may receive an entry. Live, replay, pull and pages all ask here, and nothing else decides.
 *
 * Viewers for whom it gives the same answers, apart from entries for named users, form a class and share a tape.
 */

import { type Audience, type Entry, type Identity, isAtLeast, type UserId } from '../model.ts';

/** The prefix of an audience of the staff and one user. */
const besideStaff = 'staff:';

/** What the gate looks at. */
export type Receiver = Pick<Identity, 'id' | 'role' | 'tags'>;

export function mayReceive(audience: Audience, receiver: Receiver): boolean {
  if (audience === 'all') return true;
  if (audience === 'staff') return isStaff(receiver);
  if (typeof audience === 'string' && audience.startsWith(besideStaff)) {
    return isStaff(receiver) || receiver.id === audience.slice(besideStaff.length);
  }
  if (typeof audience === 'string') return receiver.tags.includes(audience.slice('tag:'.length));
  return receiver.id !== null && audience.includes(receiver.id);
}

/**
 * Whether a receiver gets an entry: it may, and the entry is not left out for it. Of chat that is more than people can
 * read, staff get all and an author gets its own; everybody else gets the entry that says how much was left out. Of what
 * was retracted nobody gets anything.
 */
export function isFor(entry: Entry, receiver: Receiver): boolean {
  if (entry.status === 'tombstone' || !mayReceive(entry.audience, receiver)) return false;
  if (entry.status === 'sampled-out')
    return isStaff(receiver) || (receiver.id !== null && receiver.id === authorOf(entry));
  return entry.kind !== 'gap' || !isStaff(receiver);
}

/** Whether an entry has a place on the tape of a class: what the class gets, and what it would get but for a retraction. */
export const isOnTapeOf = (entry: Entry, receiver: Receiver): boolean =>
  entry.status === 'tombstone' ? mayReceive(entry.audience, receiver) : isFor(entry, receiver);

/** Whether a class may hold the user whom an entry is for beyond what their class gets. */
export const mayHoldOwn = (audience: Audience, receiver: Receiver): boolean =>
  mayReceive(audience, receiver) || (typeof audience === 'string' && audience.startsWith(besideStaff));

/** The author; null if the entry names none. */
function authorOf({ body }: Entry): UserId | null {
  const { from } = JSON.parse(body) as { from?: { id?: UserId } };
  return from?.id ?? null;
}

const isStaff = ({ role }: Receiver): boolean => isAtLeast(role, 'moderator');

/** Viewers that may receive the same shared entries. `key` is equal for equal classes. */
export interface AudienceClass {
  readonly key: string;
  readonly receiver: Receiver;
}

/** The class of a receiver: itself without its name, so that nothing personal passes the gate for all of its class. */
export function classOf(receiver: Receiver): AudienceClass {
  const isOfStaff = isStaff(receiver);
  const tags = [...new Set(receiver.tags)].sort();
  return {
    key: `${isOfStaff ? 'staff' : 'all'} ${tags.join(' ')}`,
    receiver: { id: null, role: isOfStaff ? 'moderator' : 'viewer', tags },
  };
}

/** Whom an entry is for beyond what their class gets: whom it names, or its author where it was left out for others. */
export function namedIn(entry: Entry): readonly UserId[] {
  const { audience, status } = entry;
  if (typeof audience !== 'string') return audience;
  if (audience.startsWith(besideStaff)) return [audience.slice(besideStaff.length) as UserId];
  const author = status === 'sampled-out' ? authorOf(entry) : null;
  return author === null ? [] : [author];
}

/** Who an entry names, where it is addressed to persons alone. */
export const targetsOf = (audience: Audience): ReadonlySet<UserId> | null =>
  typeof audience === 'string' ? null : new Set(audience);
