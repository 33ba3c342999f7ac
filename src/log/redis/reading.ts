/**
 * Turns a page of the stream in Redis into what the contract promises: entries in order and without holes. Entries that
 * another program wrote, corrupted or deleted are left out. The tail then says that everything up to them was trimmed,
 * so every reader detects a gap and declares it, and a room with a broken entry goes on.
 */

import type { Entry } from '../../model.ts';
import { judge, type Position, type Tail } from '../position.ts';
import type { Reading } from '../room-log.ts';
import { decodeEntry, LogTextError } from './entry-text.ts';

/** `onBroken` gets the offsets that were left out. `limit` is how many texts were requested. */
export function toReading(
  { tail, retracted, texts, after, limit }: Page,
  onBroken: (from: number, upTo: number) => void = () => undefined,
): Reading {
  const start = judge(after, tail).to.offset + 1;
  const entries: Entry[] = [];
  for (const text of texts) {
    const entry = decodeOrNull(text);
    if (entry === null) continue;
    const expected = start + entries.length;
    if (entry.offset === expected) entries.push(entry);
    // A later hole is declared by the reading that begins there.
    else if (entries.length > 0) return { tail, retracted, entries };
    else return skipTo(entry.offset);
  }
  const isLost = entries.length === 0 && limit > 0 && start <= tail.offset;
  if (!isLost) return { tail, retracted, entries };
  // A full page of garbage hides at least as many entries; the next page shows what follows.
  return skipTo(texts.length < limit ? tail.offset + 1 : Math.min(start + texts.length, tail.offset + 1));

  function skipTo(first: number): Reading {
    onBroken(start, first - 1);
    const moved = { ...tail, first };
    const rest = texts.flatMap((text) => decodeOrNull(text) ?? []).filter(({ offset }) => offset >= first);
    const hole = rest.findIndex(({ offset }, index) => offset !== first + index);
    return { tail: moved, retracted, entries: hole === -1 ? rest : rest.slice(0, hole) };
  }
}

interface Page {
  readonly tail: Tail;
  readonly retracted: number;
  readonly texts: readonly string[];
  readonly after: Position | null;
  readonly limit: number;
}

function decodeOrNull(text: string): Entry | null {
  try {
    return decodeEntry(text).entry;
  } catch (error) {
    if (error instanceof LogTextError) return null;
    throw error;
  }
}
