/**
 * An open-loop writer: it writes by the times of the trace and never waits for answers, so a server that falls behind
 * cannot slow down the load that it is measured with. Requests are pipelined on a few kept connections. Each text
 * begins with the time at which the request was handed over, so that every viewer can tell its delay.
 */

import { connect, type Socket } from 'node:net';
import { nowTenths } from './event-scan.ts';
import { percentileOf } from './latencies.ts';
import type { TraceItem } from './trace.ts';

/** How a server takes a comment. */
export interface PublishTarget {
  readonly port: number;
  /** Head lines without the blank line and without `Content-Length`, and the body. */
  readonly requestFor: (item: TraceItem, room: string, text: string) => { head: string; body: string };
}

export interface WriterOptions {
  readonly target: PublishTarget;
  readonly items: Iterator<TraceItem, never>;
  /** Rooms are written to in turn. */
  readonly rooms: number;
}

export interface Written {
  /** Requests, and those of them that became events. */
  readonly sent: number;
  readonly accepted: number;
  readonly refused: number;
  /** Whose connection was cut before the answer: kept or not, nobody knows. */
  readonly unanswered: number;
  /** Per room. */
  readonly acceptedIn: readonly number[];
  /** How late the writer itself was at most for 99 of 100, and how long answers took. */
  readonly lateMs: number;
  readonly answerMs: number;
}

const connections = 4;
const reconnectMs = 50;
const statusPattern = /HTTP\/1\.1 (\d{3})/g;
/** Bytes of one answer's beginning that may be cut off from the read before: `HTTP/1.1 202` less one. */
const overlap = 11;

interface Waiting {
  /** Null: likes, which become no event of their own. */
  readonly room: number | null;
  readonly sentAtMs: number;
}

export class Writer {
  readonly #options: WriterOptions;
  readonly #lines: Line[] = [];
  readonly #lateMs: number[] = [];
  readonly #answerMs: number[] = [];
  readonly #acceptedIn: number[];
  #sent = 0;
  #refused = 0;
  #unanswered = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#acceptedIn = Array.from({ length: options.rooms }, () => 0);
    for (let number = 0; number < connections; number += 1) this.#lines.push(new Line(options.target.port, this));
  }

  get accepted(): number {
    return this.#acceptedIn.reduce((sum, count) => sum + count, 0);
  }

  start(): void {
    const { items } = this.#options;
    const startedAtMs = performance.now();
    let item = items.next().value;
    const turn = (): void => {
      const atMs = performance.now() - startedAtMs;
      for (; item.atMs <= atMs; item = items.next().value) {
        this.#lateMs.push(atMs - item.atMs);
        this.#write(item);
      }
      this.#timer = setTimeout(turn, Math.max(1, item.atMs - atMs));
    };
    turn();
  }

  /** Writes no more, and waits until every answer has come or the time is up. */
  async stop(answersWithinMs = 5_000): Promise<Written> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const until = performance.now() + answersWithinMs;
    while (this.#lines.some((line) => line.waiting > 0) && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const line of this.#lines) line.close();
    return {
      sent: this.#sent,
      accepted: this.accepted,
      refused: this.#refused,
      unanswered: this.#unanswered,
      acceptedIn: this.#acceptedIn,
      lateMs: percentileOf(this.#lateMs, 0.99),
      answerMs: percentileOf(this.#answerMs, 0.99),
    };
  }

  /** Called by a line. */
  onAnswer(waiting: Waiting | undefined, status: number): void {
    if (waiting === undefined) return;
    this.#answerMs.push(performance.now() - waiting.sentAtMs);
    if (status >= 300) this.#refused += 1;
    else if (waiting.room !== null) this.#acceptedIn[waiting.room] = (this.#acceptedIn[waiting.room] ?? 0) + 1;
  }

  onLost(count: number): void {
    this.#unanswered += count;
  }

  #write(item: TraceItem): void {
    const room = this.#sent % this.#options.rooms;
    const { target } = this.#options;
    const { head, body } = target.requestFor(item, `room-${room}`, `~${nowTenths()}~ ${item.text}`);
    const length = Buffer.byteLength(body);
    const [first, ...others] = this.#lines;
    const line = others.reduce((least, other) => (least && least.waiting <= other.waiting ? least : other), first);
    line?.send(`${head}\r\nContent-Length: ${length}\r\n\r\n${body}`, {
      room: item.kind === 'like' ? null : room,
      sentAtMs: performance.now(),
    });
    this.#sent += 1;
  }
}

/** One kept connection, opened again when it breaks. */
class Line {
  readonly #port: number;
  readonly #writer: Writer;
  #waiting: Waiting[] = [];
  #socket: Socket;
  #tail = '';
  #isClosed = false;

  constructor(port: number, writer: Writer) {
    this.#port = port;
    this.#writer = writer;
    this.#socket = this.#open();
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  send(request: string, waiting: Waiting): void {
    if (this.#socket.destroyed) {
      this.#writer.onLost(1);
      return;
    }
    this.#waiting.push(waiting);
    this.#socket.write(request);
  }

  close(): void {
    this.#isClosed = true;
    this.#socket.destroy();
  }

  #open(): Socket {
    const socket = connect({ host: '127.0.0.1', port: this.#port, noDelay: true });
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.on('close', () => {
      this.#writer.onLost(this.#waiting.length);
      this.#waiting = [];
      this.#tail = '';
      if (this.#isClosed) return;
      setTimeout(() => {
        if (!this.#isClosed) this.#socket = this.#open();
      }, reconnectMs);
    });
    return socket;
  }

  #read(bytes: Buffer): void {
    const text = this.#tail + bytes.toString('latin1');
    let end = 0;
    for (const match of text.matchAll(statusPattern)) {
      this.#writer.onAnswer(this.#waiting.shift(), Number(match[1]));
      end = match.index + match[0].length;
    }
    this.#tail = text.slice(Math.max(end, text.length - overlap));
  }
}
