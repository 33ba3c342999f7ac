/** One person who watches, goes and comes back with its last id, and keeps every byte of every stream that it had. */

import assert from 'node:assert/strict';
import { type RunningGateway, room, tokenOf } from './gateway.ts';
import { type Person, splitId } from './ledger.ts';
import { readStream, type StreamReader } from './stream-reader.ts';
import { waitFor } from './wait-for.ts';

export class Viewer {
  readonly person: Person;
  readonly isGzip: boolean;
  readonly room: string;
  /** The bodies of the streams that began with a `resume`, each in portions. */
  readonly streams: (readonly Buffer[])[] = [];
  #stream: StreamReader | null = null;
  #cameWith: string | null = null;

  constructor(person: Person, isGzip: boolean, at = room) {
    this.person = person;
    this.isGzip = isGzip;
    this.room = at;
  }

  get isOpen(): boolean {
    return this.#stream?.isOver === false;
  }

  get lastId(): string | null {
    return this.#stream?.lastId || this.#cameWith;
  }

  get lastOffset(): number {
    return this.lastId === null ? 0 : splitId(this.lastId).offset;
  }

  /** Watches until it has its seat, coming again where it is told to, as a browser would. */
  async come(gateway: Pick<RunningGateway, 'url'>): Promise<void> {
    await waitFor(() => this.#tryToCome(gateway.url), { what: `${this.person.id} to be seated`, timeoutMs: 15_000 });
  }

  leave(): void {
    this.#stream?.close();
  }

  async #tryToCome(url: string): Promise<boolean> {
    const { id, isStaff, tags } = this.person;
    this.#cameWith = this.lastId;
    const stream = await readStream(url, {
      room: this.room,
      token: tokenOf(id, 'viewer', { tags, rooms: { [this.room]: isStaff ? 'moderator' : 'viewer' } }),
      headers: {
        ...(this.#cameWith === null ? {} : { 'last-event-id': this.#cameWith }),
        ...(this.isGzip ? { 'accept-encoding': 'gzip' } : {}),
      },
    });
    const { status, headers } = stream;
    assert.equal(status, 200);
    assert.equal(headers['content-encoding'] === 'gzip', this.isGzip && headers.connection === 'close');
    const isSeated = (): boolean => stream.named('resume').length > 0;
    await waitFor(() => isSeated() || stream.isOver, { what: 'a resume, or the end', timeoutMs: 15_000 });
    this.#stream = stream;
    if (isSeated()) this.streams.push(stream.parts);
    return isSeated();
  }
}
