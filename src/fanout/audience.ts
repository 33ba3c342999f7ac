/**
 * The one gate: who may receive an entry. Live delivery, replay, pull and pages all ask it; nothing else decides.
 *
 * Viewers for which it gives the same answers, apart from entries for named users, form a class and share a tape.
 */

import { type Audience, type Entry, type Identity, isAtLeast, type UserId } from '../model.ts';

/** The prefix of an audience of the staff and one user. */
const besideStaff = 'staff:';

/** What the gate decides by. */
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
 * Whether a receiver gets an entry: it may receive the entry, and the entry is not left out for it. Only staff and its
 * author get a sampled-out entry. All others get the `gap` that declares how many were left out; staff do not. Nobody
 * gets a retracted entry.
 */
export function isFor(entry: Entry, receiver: Receiver): boolean {
  if (entry.status === 'tombstone' || !mayReceive(entry.audience, receiver)) return false;
  if (entry.status === 'sampled-out')
    return isStaff(receiver) || (receiver.id !== null && receiver.id === authorOf(entry));
  return entry.kind !== 'gap' || !isStaff(receiver);
}

/** Whether an entry has a place on the tape of a class: the class gets it, or would get it without its retraction. */
export const isOnTapeOf = (entry: Entry, receiver: Receiver): boolean =>
  entry.status === 'tombstone' ? mayReceive(entry.audience, receiver) : isFor(entry, receiver);

/** Whether a class may hold a user that gets this entry although the rest of the class does not. */
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

/** The class of a receiver. It has no user id, so an entry for one user never passes the gate for the whole class. */
export function classOf(receiver: Receiver): AudienceClass {
  const isOfStaff = isStaff(receiver);
  const tags = [...new Set(receiver.tags)].sort();
  return {
    key: `${isOfStaff ? 'staff' : 'all'} ${tags.join(' ')}`,
    receiver: { id: null, role: isOfStaff ? 'moderator' : 'viewer', tags },
  };
}

/** The users that get an entry beyond what their class gets: those it names, or the author if it was sampled out. */
export function namedIn(entry: Entry): readonly UserId[] {
  const { audience, status } = entry;
  if (typeof audience !== 'string') return audience;
  if (audience.startsWith(besideStaff)) return [audience.slice(besideStaff.length) as UserId];
  const author = status === 'sampled-out' ? authorOf(entry) : null;
  return author === null ? [] : [author];
}

/** The users that a direct signal is for; null for any other audience. */
export const targetsOf = (audience: Audience): ReadonlySet<UserId> | null =>
  typeof audience === 'string' ? null : new Set(audience);
