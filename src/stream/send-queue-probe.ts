/**
 * Measures unacknowledged bytes per viewer socket. A kernel silently buffers megabytes for a peer that reads nothing, so
 * written bytes say little about sent ones. Linux lists the unacknowledged bytes of each TCP socket (`tx_queue` in
 * /proc/net/tcp and /proc/net/tcp6, see proc_net_tcp.txt); one read serves all callers. Behind nginx on a unix socket this
 * file does nothing: unix sockets are not listed, and `net.core.wmem_default` bounds them at 208 KiB. Without such a list
 * only the kernel's own bounds hold.
 *
 * A line costs the kernel some 5 µs to write, and a read returns 4 KiB of them. So a list is read in slices that yield to
 * the event loop, and the pauses between two reads are many times longer than the reads.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../clock.ts';

/** Who asks. */
export interface Sounded {
  /** Told how many bytes the kernel still holds for it. */
  sounded(queuedBytes: number): void;
}

const lists = ['/proc/net/tcp', '/proc/net/tcp6'];
/** A line whose send queue is not empty: queue in hex, and the socket's inode. */
const queuedLine = /^ *\d+: \S+ \S+ [0-9A-F]{2} (?!0{8})([0-9A-F]{8}):\S+ \S+ \S+ +\d+ +\d+ (\d+)/gm;
const readBytes = 4_096;
/** Reads before the event loop gets its turn: some 3 ms of work. */
const readsPerSlice = 16;
/** The least time between two readings, and how many times longer than its work the time after one is. */
interface Pace {
  readonly leastMs: number;
  readonly perWork: number;
}
/** For a peer that reads: it is to lose no time. */
const urgent: Pace = { leastMs: 10, perWork: 5 };
/** For those of whom it is known that they read nothing. */
const patient: Pace = { leastMs: 1_000, perWork: 50 };

export class SendQueueProbe {
  readonly #clock: Clock;
  readonly #lists: readonly string[];
  readonly #asked = new Map<Sounded, number>();
  #timer: Timer | null = null;
  /** Whether one of those who ask is in a hurry. */
  #isUrgent = false;
  #isReading = false;
  #isClosed = false;
  #endedMs = Number.NEGATIVE_INFINITY;
  #workMs = 0;

  /** `paths` is for tests; elsewhere, it is where Linux keeps the lists. */
  constructor(clock: Clock, paths: readonly string[] = lists) {
    this.#clock = clock;
    this.#lists = paths;
  }

  /**
   * Tells later, once, how much the kernel holds for a socket. `isUrgent`: it is not known to have stopped reading.
   * False: that cannot be known for this one.
   */
  ask(socket: Socket, who: Sounded, { isUrgent }: { readonly isUrgent: boolean }): boolean {
    const inode = this.#isClosed ? null : inodeOf(socket);
    if (inode === null) return false;
    this.#asked.set(who, inode);
    this.#plan({ isUrgent });
    return true;
  }

  /** Who has gone is not told. */
  forget(who: Sounded): void {
    this.#asked.delete(who);
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#asked.clear();
  }

  #plan({ isUrgent }: { readonly isUrgent: boolean }): void {
    const isSooner = isUrgent && !this.#isUrgent;
    this.#isUrgent ||= isUrgent;
    // Who asks during a reading is planned for at its end.
    if (this.#isReading || (this.#timer !== null && !isSooner)) return;
    const { leastMs, perWork } = this.#isUrgent ? urgent : patient;
    const dueMs = this.#endedMs + Math.max(leastMs, this.#workMs * perWork);
    this.#timer?.cancel();
    this.#timer = this.#clock.after(Math.max(0, dueMs - this.#clock.now()), () => void this.#read());
  }

  async #read(): Promise<void> {
    this.#timer = null;
    this.#isReading = true;
    this.#workMs = 0;
    // Who asks from now on may have written since, and waits for the next reading.
    const asked = [...this.#asked];
    this.#asked.clear();
    this.#isUrgent = false;
    const queues = new Map<number, number>();
    for (const path of this.#lists) await this.#readList(path, queues);
    this.#isReading = false;
    this.#endedMs = this.#clock.now();
    if (this.#isClosed) return;
    if (this.#asked.size > 0) this.#plan({ isUrgent: this.#isUrgent });
    for (const [who, inode] of asked) who.sounded(queues.get(inode) ?? 0);
  }

  /** Notes bytes by inode, for sockets that have any. A list that cannot be read is an empty one. */
  async #readList(path: string, queues: Map<number, number>): Promise<void> {
    const file = openOrNull(path);
    if (file === null) return;
    let rest = '';
    for (let isOver = false; !isOver && !this.#isClosed; ) {
      const beganMs = this.#clock.now();
      const text = readSome(file);
      isOver = text === '';
      const end = text.lastIndexOf('\n') + 1;
      noteQueues(rest + text.slice(0, end), queues);
      rest = text.slice(end);
      this.#workMs += this.#clock.now() - beganMs;
      if (!isOver) await new Promise<void>((resolve) => this.#clock.soon(resolve));
    }
    closeSync(file);
  }
}

/** Empty at the end. */
function readSome(file: number): string {
  const parts: string[] = [];
  const buffer = Buffer.allocUnsafe(readBytes);
  for (let reads = 0; reads < readsPerSlice; reads += 1) {
    const count = readSync(file, buffer);
    if (count === 0) break;
    parts.push(buffer.toString('latin1', 0, count));
  }
  return parts.join('');
}

function noteQueues(lines: string, queues: Map<number, number>): void {
  for (const [, queue = '', inode = ''] of lines.matchAll(queuedLine)) queues.set(Number(inode), Number(`0x${queue}`));
}

function openOrNull(path: string): number | null {
  try {
    return openSync(path, 'r');
  } catch {
    return null;
  }
}

/** Null for a socket that is in no list: one that is closed, is no TCP, or of which Node shows no descriptor. */
function inodeOf(socket: Socket): number | null {
  const fd = (socket as Socket & { _handle?: { fd?: number } | null })._handle?.fd ?? -1;
  if (fd < 0 || socket.remoteAddress === undefined) return null;
  try {
    return fstatSync(fd).ino;
  } catch {
    return null;
  }
}
