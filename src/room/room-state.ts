/**
 * A room's state as this node knows it: versioned parts, updated by the entries that pass, and the `state` events made
 * of them. A part's value is opaque JSON text, delivered as it is.
 */

import type { RoomState } from '../log/room-log.ts';
import type { Entry, StatePart } from '../model.ts';
import { eventFrame } from '../stream/frame.ts';

/** `{"part":"x","value":…}`, or without a value if the part was removed. A part's name needs no escapes. */
const changePattern = /^\{"part":"([^"]+)"(?:,"value":(.*))?\}$/s;

export interface StateChange {
  readonly part: string;
  readonly value: string | null;
}

/** Reads the body of a `state` entry. */
export function parseChange(body: string): StateChange | null {
  const match = changePattern.exec(body);
  return match?.[1] === undefined ? null : { part: match[1], value: match[2] ?? null };
}

/** The data of the `state` event that one entry makes; null if its body cannot be parsed. */
export function changeData(entry: Entry, inlineBytes: number): string | null {
  const change = parseChange(entry.body);
  if (change === null) return null;
  const part = { version: entry.offset, value: change.value };
  return stateData(entry.offset, [[change.part, part]], { inlineBytes, isWhole: false });
}

export class StateView {
  readonly #inlineBytes: number;
  #parts = new Map<string, StatePart>();
  #total = 0;
  #asOf = 0;
  #whole: string | null = null;

  constructor(inlineBytes: number) {
    this.#inlineBytes = inlineBytes;
  }

  /** The offset up to which changes are known. */
  get asOf(): number {
    return this.#asOf;
  }

  part(name: string): StatePart | undefined {
    return this.#parts.get(name);
  }

  /** Applies a state that was read from the log as a whole. */
  replace(state: RoomState): void {
    this.#parts = new Map(state.parts);
    this.#total = state.total;
    this.#asOf = state.tail.offset;
    this.#whole = null;
  }

  /** Applies an entry; false if it is known already. */
  apply(entry: Entry): boolean {
    if (entry.offset <= this.#asOf) return false;
    this.#asOf = entry.offset;
    const change = entry.kind === 'state' ? parseChange(entry.body) : null;
    if (change !== null) {
      this.#parts.set(change.part, { version: entry.offset, value: change.value });
      this.#total = entry.offset;
      this.#whole = null;
    }
    return true;
  }

  /** The event of the whole state, which replaces a newcomer's. Made once for all newcomers, until it changes. */
  wholeFrame(): string {
    this.#whole ??= this.#frame(
      [...this.#parts].filter(([, part]) => part.value !== null),
      true,
    );
    return this.#whole;
  }

  /** The event of the changes after an offset, including removals. */
  frameSince(offset: number): string {
    return this.#frame(
      [...this.#parts].filter(([, part]) => part.version > offset),
      false,
    );
  }

  #frame(parts: readonly (readonly [string, StatePart])[], isWhole: boolean): string {
    const data = stateData(this.#total, parts, { inlineBytes: this.#inlineBytes, isWhole });
    return eventFrame({ event: 'state', data });
  }
}

function stateData(
  total: number,
  parts: readonly (readonly [string, StatePart])[],
  { inlineBytes, isWhole }: { inlineBytes: number; isWhole: boolean },
): string {
  const removed = parts.filter(([, part]) => part.value === null).map(([name]) => name);
  const set = parts.flatMap(([name, part]) => (part.value === null ? [] : partText(name, part, inlineBytes)));
  const whole = isWhole ? ',"whole":true' : '';
  return `{"total":${total},"parts":{${set.join(',')}},"removed":${JSON.stringify(removed)}${whole}}`;
}

function partText(name: string, { version, value }: StatePart, inlineBytes: number): string {
  const isInline = value !== null && Buffer.byteLength(value) <= inlineBytes;
  return `"${name}":{"version":${version}${isInline ? `,"value":${value}` : ''}}`;
}
