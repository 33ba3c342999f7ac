/**
 * Many viewers in one process, each a bare socket that behaves as an EventSource does: it keeps the last id, obeys
 * `retry:`, and comes back whenever its stream ends. Each is held to the promise as it reads: every offset of its room
 * once and in order, the same text as everybody else was given, and whatever else it was told is noted. Some keep their
 * raw bytes for the oracle of `watcher.ts`.
 */

import { connect, type Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import { constants, createGunzip, type Gunzip } from 'node:zlib';
import { tokenOf } from './gateway.ts';
import { waitFor } from './wait-for.ts';

/** What everybody in one room was given, by offset. */
type Texts = Map<number, string>;

export interface CrowdRoom {
  readonly room: string;
  readonly epochs: Set<string>;
  readonly texts: Texts;
  /** Offsets of changes of state, as their writers know them. */
  readonly changes: Set<number>;
  /** The greatest offset that anybody had. */
  last: number;
}

/** What may not happen, one count each, and what may. */
export interface CrowdFigures {
  /** Entries that came again. */
  readonly doubled: number;
  /** Gaps and resets that were declared. */
  readonly declared: number;
  /** Texts that were not what others were given under the same number. */
  readonly strange: number;
  /** Answers that are no stream: an EventSource would never come back. */
  readonly closedForGood: number;
  /** Answers that said "not now". */
  readonly turnedAway: number;
  readonly received: number;
}

const retryMsAtFirst = 1000;
/** More at once overflow the queue of a gateway's socket, and nginx takes another group for those. */
const joinsAtATime = 100;
const seatedWithinMs = 20_000;
/** Noted of one viewer: enough to fail a test. */
const skippedMax = 1000;

export class CrowdViewer {
  readonly room: CrowdRoom;
  readonly user: string;
  readonly isGzip: boolean;
  /** The body of each stream, in portions; null for those that keep nothing. */
  readonly streams: Buffer[][] | null;
  readonly #crowd: Crowd;
  readonly #token: string;
  #socket: Socket | null = null;
  #timer: NodeJS.Timeout | null = null;
  #gunzip: Gunzip | null = null;
  #decoder = new StringDecoder('utf8');
  #head: string | null = '';
  #text = '';
  #retryMs = retryMsAtFirst;
  #isOver = false;
  lastId: string | null = null;
  lastOffset = 0;
  /** Offsets that it was not given, and up to where its state was known then. */
  readonly #skipped: { readonly offset: number; readonly stateTotal: number }[] = [];
  #stateTotal = 0;
  /** Has a stream, and was told where it begins. */
  isSeated = false;
  /** Streams that it has had. */
  seats = 0;

  constructor(crowd: Crowd, room: CrowdRoom, traits: { user: string; isGzip: boolean; isKept: boolean }) {
    this.#crowd = crowd;
    this.room = room;
    this.user = traits.user;
    this.isGzip = traits.isGzip;
    this.streams = traits.isKept ? [] : null;
    this.#token = tokenOf(traits.user, 'viewer', { rooms: { [room.room]: 'viewer' } });
  }

  /** Whether it has everything up to an offset. A change of state that it lacks is paid by a state that knows it. */
  hasAll(upTo: number): boolean {
    for (let offset = this.lastOffset + 1; offset <= upTo; offset += 1)
      if (!this.#isPaid(offset, this.#stateTotal)) return false;
    return true;
  }

  /** Entries that were left out without a word. */
  get lost(): number {
    return this.#skipped.filter(({ offset, stateTotal }) => !this.#isPaid(offset, stateTotal)).length;
  }

  #isPaid(offset: number, stateTotal: number): boolean {
    return offset <= stateTotal && this.room.changes.has(offset);
  }

  connect(): void {
    this.#crowd.opens.push(performance.now());
    this.#head = '';
    this.#text = '';
    this.#decoder = new StringDecoder('utf8');
    this.streams?.push([]);
    const socket = connect(this.#crowd.port, '127.0.0.1');
    this.#socket = socket;
    socket.on('connect', () => socket.write(this.#request()));
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#away());
  }

  /** Goes away without a word, as a phone in a tunnel does, and comes back. */
  cut(): void {
    this.isSeated = false;
    this.#socket?.destroy();
  }

  leave(): void {
    this.#isOver = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#gunzip?.destroy();
    this.#socket?.destroy();
  }

  /** In HTTP/1.0, so that the body is the stream and nothing else. */
  #request(): string {
    return [
      `GET /rooms/${this.room.room}/stream HTTP/1.0`,
      `Host: 127.0.0.1:${this.#crowd.port}`,
      `Authorization: Bearer ${this.#token}`,
      ...(this.lastId === null ? [] : [`Last-Event-ID: ${this.lastId}`]),
      ...(this.isGzip ? ['Accept-Encoding: gzip'] : []),
      '\r\n',
    ].join('\r\n');
  }

  #away(): void {
    this.isSeated = false;
    this.#gunzip?.destroy();
    this.#gunzip = null;
    if (!this.#isOver) this.#timer = setTimeout(() => this.connect(), this.#retryMs);
  }

  #read(bytes: Buffer): void {
    if (this.#head === null) {
      this.#readBody(bytes);
      return;
    }
    this.#head += bytes.toString('latin1');
    const end = this.#head.indexOf('\r\n\r\n');
    if (end === -1) return;
    const [head, rest] = [this.#head.slice(0, end), Buffer.from(this.#head.slice(end + 4), 'latin1')];
    this.#head = null;
    if (!/^HTTP\/1\.[01] 200 /.test(head) || !/\r\ncontent-type: text\/event-stream/i.test(head)) {
      this.#crowd.counts.closedForGood += 1;
      this.#crowd.refusals.push(head.split('\r\n', 1)[0] ?? '');
      this.leave();
      return;
    }
    if (/\r\ncontent-encoding: gzip/i.test(head)) {
      this.#gunzip = createGunzip({ flush: constants.Z_SYNC_FLUSH });
      this.#gunzip.on('data', (plain: Buffer) => this.#readText(plain));
      // A stream that was cut has no trailer.
      this.#gunzip.on('error', () => undefined);
    }
    if (rest.length > 0) this.#readBody(rest);
  }

  #readBody(bytes: Buffer): void {
    this.streams?.at(-1)?.push(bytes);
    if (this.#gunzip === null) this.#readText(bytes);
    else this.#gunzip.write(bytes);
  }

  #readText(bytes: Buffer): void {
    const text = this.#text + this.#decoder.write(bytes);
    const end = text.lastIndexOf('\n\n');
    this.#text = end === -1 ? text : text.slice(end + 2);
    if (end !== -1) for (const block of text.slice(0, end).split('\n\n')) this.#take(block);
  }

  #take(block: string): void {
    let [id, event, data]: [string | null, string, string] = [null, '', ''];
    for (const line of block.split('\n')) {
      if (line.startsWith('data: ')) data += line.slice(6);
      else if (line.startsWith('id: ')) id = line.slice(4);
      else if (line.startsWith('event: ')) event = line.slice(7);
      else if (line.startsWith('retry: ')) this.#retryMs = Number(line.slice(7));
    }
    if (event === 'resume') this.#begin(id ?? '', data);
    else if (event === 'gap') this.#crowd.counts.declared += 1;
    else if (event === 'end') this.#crowd.counts.turnedAway += 1;
    if (event === 'state' && id === null) this.#stateTotal = (JSON.parse(data) as { total: number }).total;
    if (id === null) return;
    this.lastId = id;
    if (event !== 'resume') this.#arrive(id, `${event} ${data}`);
  }

  #begin(id: string, data: string): void {
    const { verdict } = JSON.parse(data) as { verdict: string };
    const [epoch = '', offset] = id.split('.');
    this.room.epochs.add(epoch);
    if (this.seats === 0) this.lastOffset = Number(offset);
    // Whatever `exact` leaves out then shows as lost.
    else if (verdict !== 'exact') this.#crowd.counts.declared += 1;
    this.seats += 1;
    this.isSeated = true;
  }

  #arrive(id: string, text: string): void {
    const { counts } = this.#crowd;
    const offset = Number(id.slice(id.indexOf('.') + 1));
    counts.received += 1;
    if (offset <= this.lastOffset) counts.doubled += 1;
    for (let gone = this.lastOffset + 1; gone < offset && this.#skipped.length < skippedMax; gone += 1)
      this.#skipped.push({ offset: gone, stateTotal: this.#stateTotal });
    this.lastOffset = Math.max(this.lastOffset, offset);
    this.room.last = Math.max(this.room.last, offset);
    const others = this.room.texts.get(offset);
    if (others === undefined) this.room.texts.set(offset, text);
    else if (others !== text) counts.strange += 1;
  }
}

const newRoom = (room: string): CrowdRoom => ({
  room,
  epochs: new Set<string>(),
  texts: new Map(),
  changes: new Set<number>(),
  last: 0,
});

export class Crowd {
  readonly port: number;
  readonly viewers: CrowdViewer[] = [];
  /** When a stream was asked for. */
  readonly opens: number[] = [];
  /** First lines of answers that were no stream. */
  readonly refusals: string[] = [];
  readonly rooms = new Map<string, CrowdRoom>();
  readonly counts: { -readonly [Name in keyof CrowdFigures]: number } = {
    doubled: 0,
    declared: 0,
    strange: 0,
    closedForGood: 0,
    turnedAway: 0,
    received: 0,
  };

  constructor(port: number) {
    this.port = port;
  }

  get away(): number {
    return this.viewers.filter(({ isSeated }) => !isSeated).length;
  }

  /** Seats so many viewers in a room, of which the first ones keep their bytes, every other one of those with gzip. */
  async join(name: string, count: number, kept = 0): Promise<void> {
    const room = this.rooms.get(name) ?? newRoom(name);
    this.rooms.set(name, room);
    for (let at = 0; at < count; at += 1) {
      const isKept = at < kept;
      const user = `${name}-${this.viewers.length}`;
      const viewer = new CrowdViewer(this, room, { user, isGzip: isKept && at % 2 === 1, isKept });
      this.viewers.push(viewer);
      viewer.connect();
      if (at === count - 1 || at % joinsAtATime === joinsAtATime - 1)
        await waitFor(() => this.away === 0, { what: `the crowd of ${name} to be seated`, timeoutMs: seatedWithinMs });
    }
  }

  /** Entries that were left out without a word. To be asked when everybody has everything. */
  get lost(): number {
    return this.viewers.reduce((sum, viewer) => sum + viewer.lost, 0);
  }

  /** The most streams that were asked for within any second since a time. */
  opensPerSecond(since: number): number {
    const times = this.opens.filter((time) => time >= since);
    let [most, from] = [0, 0];
    for (const [at, time] of times.entries()) {
      while ((times[from] ?? time) <= time - 1000) from += 1;
      most = Math.max(most, at - from + 1);
    }
    return most;
  }

  opensSince(since: number): number {
    return this.opens.filter((time) => time >= since).length;
  }

  close(): void {
    for (const viewer of this.viewers) viewer.leave();
  }
}
