/**
 * What an action is: a kind, the least role, the shape of its body, and one pure decision. An action refuses or names one
 * change to the room. It reads no clock, no log and no request. A new one needs one file here and one line in
 * `actions/index`.
 */

import type { Static, TSchema } from 'typebox';
import type { Refusal } from '../errors.ts';
import type { Appended, Change, Rate } from '../log/room-log.ts';
import type { Role, Speaker } from '../model.ts';

/** The change that an action makes. `rate` null: it can happen only once. */
export interface Decision {
  readonly change: Change;
  readonly rate: Rate | null;
  /** Whether a mute of the speaker refuses it. */
  readonly mutable: boolean;
}

interface Asked<Body> {
  readonly speaker: Speaker;
  readonly body: Body;
  /** The JSON text of a field as sent, so numbers keep every digit; null if it is absent. */
  textOf(field: string): string | null;
}

export interface Action<Schema extends TSchema = TSchema> {
  readonly kind: string;
  /** The least role that may take it. */
  readonly least: Role;
  /** The body's shape; closed, so an unknown field is refused. */
  readonly body: Schema;
  /** Defaults of absent fields. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** Whether the request must carry an Idempotency-Key. */
  readonly needsKey: boolean;
  decide(asked: Asked<Static<Schema>>): Decision | Refusal;
  /** Fields of the answer besides `id` and `at`. */
  answer?(appended: Extract<Appended, { outcome: 'kept' }>): Record<string, unknown>;
}

/** Writes of state, by actions and by the routes of the parts: 100 at once, then 50 a second. */
export const stateRate: Rate = { name: 'state', burst: 100, perSecond: 50, cost: 1 };

/** Keeps the body's type inside an action while the index holds actions of every shape. */
export const defineAction = <Schema extends TSchema>(action: Action<Schema>): Action => action as unknown as Action;

/**
 * The event's data as the log keeps it: one line of JSON without `at`, which the log adds. `data` is the sender's JSON
 * text, and comes last.
 */
export function eventBody(speaker: Speaker, fields: Readonly<Record<string, unknown>>, data?: string): string {
  const body = JSON.stringify({ from: { id: speaker.id, name: speaker.name, role: speaker.role }, ...fields });
  return data === undefined ? body : `${body.slice(0, -1)},"data":${data}}`;
}
