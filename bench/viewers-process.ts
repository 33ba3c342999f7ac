/** The process behind `viewers.ts`: holds the viewers, keeps the sums, and answers one order after the other. */

import { type Glance, nowTenths, ScanMemory } from './event-scan.ts';
import { Latencies } from './latencies.ts';
import { type Crowd, LoadViewer } from './load-viewer.ts';
import { signToken } from './tokens.ts';
import type { Answer, CutOrder, Figures, JoinOrder, Order } from './viewers.ts';

/** An address has some 28,000 ports, and one that was cut keeps its port for a minute: so few viewers share an address. */
const viewersPerAddress = 1_000;
/** A viewer that has no answer by then counts as refused. */
const answerWithinMs = 10_000;

class LoadCrowd implements Crowd {
  readonly readBuffer = Buffer.allocUnsafe(65_536);
  readonly plainScans = new ScanMemory(false);
  readonly chunkedScans = new ScanMemory(true);
  readonly #viewers: LoadViewer[] = [];
  readonly #requests = new Map<LoadViewer, string>();
  readonly #order: JoinOrder[] = [];
  /** The highest order number that any viewer of a room has seen. */
  readonly #newest = new Map<string, number>();
  readonly #answered = new Map<LoadViewer, (status: number) => void>();
  readonly #cutTimers = new Set<NodeJS.Timeout>();
  readonly #delays = new Latencies();
  readonly #replaysMs: number[] = [];
  readonly #backsMs: number[] = [];
  #joinsMs: number[] = [];
  #joinedInMs = 0;
  #refused = 0;
  #events = 0;
  #reads = 0;
  #bytes = 0;
  #cut: CutOrder | null = null;

  requestFor(viewer: LoadViewer): string {
    const lastId = viewer.lastId === null ? '' : `Last-Event-ID: ${viewer.lastId}\r\n`;
    return `${this.#requests.get(viewer) ?? ''}${lastId}\r\n`;
  }

  onRead(bytes: number): void {
    this.#reads += 1;
    this.#bytes += bytes;
  }

  onGlance(viewer: LoadViewer, glance: Glance): void {
    const { room } = viewer.traits;
    // An answer that says to come later is no return.
    if (viewer.cutAtMs !== 0 && (glance.hasResume || glance.first > 0)) {
      this.#backsMs.push(Date.now() - viewer.cutAtMs);
      viewer.cutAtMs = 0;
    }
    this.#events += glance.stamps.length;
    if (viewer.goal === null) {
      const now = nowTenths();
      for (const stamp of glance.stamps) this.#delays.note(now - stamp);
    } else if (viewer.lastOrder >= viewer.goal && (glance.hasResume || glance.first > 0)) {
      this.#replaysMs.push(Date.now() - viewer.connectedAtMs);
      viewer.goal = null;
    }
    if (viewer.lastOrder > (this.#newest.get(room) ?? 0)) this.#newest.set(room, viewer.lastOrder);
  }

  onAnswer(viewer: LoadViewer, status: number): void {
    if (status !== 200) this.#refused += 1;
    this.#answered.get(viewer)?.(status);
    this.#answered.delete(viewer);
  }

  onOver(viewer: LoadViewer): void {
    if (this.#order[viewer.traits.number]?.comesBack !== true) return;
    if (viewer.cutAtMs === 0) viewer.cutAtMs = Date.now();
    // The server has randomised the time already.
    this.#later(viewer.retryMs, () => this.#reconnect(viewer));
  }

  async join(order: JoinOrder): Promise<void> {
    const startedAtMs = performance.now();
    const first = this.#viewers.length;
    // Tokens are made before, so that the joins are not slowed by them.
    for (let number = first; number < first + order.viewers; number += 1) this.#add(number, order);
    let next = first;
    this.#joinsMs = [];
    const one = async (): Promise<void> => {
      for (;;) {
        const viewer = this.#viewers[next++];
        if (viewer === undefined) return;
        const beganMs = performance.now();
        const answered = new Promise<number>((resolve) => this.#answered.set(viewer, resolve));
        viewer.connect();
        const patience = setTimeout(() => this.onAnswer(viewer, 0), answerWithinMs);
        const status = await answered;
        clearTimeout(patience);
        if (status === 200) this.#joinsMs.push(performance.now() - beganMs);
      }
    };
    const preparedMs = performance.now() - startedAtMs;
    await Promise.all(Array.from({ length: order.atOnce }, one));
    this.#joinedInMs = performance.now() - startedAtMs - preparedMs;
  }

  cut(cut: CutOrder | null): void {
    this.#cut = cut;
    for (const timer of this.#cutTimers) clearTimeout(timer);
    this.#cutTimers.clear();
    if (cut === null) {
      for (const viewer of this.#viewers) if (!viewer.isOpen) this.#reconnect(viewer);
      return;
    }
    for (const viewer of this.#viewers) this.#later(Math.random() * cut.everyMs, () => this.#cutOne(viewer, cut));
  }

  window(): void {
    this.#events = 0;
    this.#reads = 0;
    this.#bytes = 0;
    this.#delays.clear();
  }

  forget(): void {
    this.#replaysMs.length = 0;
    this.#backsMs.length = 0;
  }

  leave(): void {
    this.cut(null);
    for (const viewer of this.#viewers) viewer.cut();
    this.#viewers.length = 0;
    this.#order.length = 0;
    this.#requests.clear();
    this.#newest.clear();
  }

  figures(): Figures {
    const isChecked = ({ traits }: LoadViewer): boolean => !traits.isStalled && (traits.gzip?.isDecoded ?? true);
    const checked = this.#viewers.filter(isChecked);
    const had = checked.map((viewer) => viewer.received + Math.min(viewer.declared, viewer.jumped));
    const sum = (of: (viewer: LoadViewer) => number): number =>
      checked.reduce((total, viewer) => total + of(viewer), 0);
    const { user, system } = process.cpuUsage();
    return {
      open: this.#viewers.reduce((open, viewer) => open + (viewer.isOpen ? 1 : 0), 0),
      events: this.#events,
      reads: this.#reads,
      bytes: this.#bytes,
      delays: this.#delays.buckets,
      checked: checked.length,
      leastEvents: had.reduce((least, events) => Math.min(least, events), Number.POSITIVE_INFINITY),
      mostEvents: had.reduce((most, events) => Math.max(most, events), 0),
      allEvents: sum(({ received }) => received),
      repeated: sum(({ repeated }) => repeated),
      jumped: sum(({ jumped, declared }) => Math.max(0, jumped - declared)),
      declared: sum(({ declared }) => declared),
      replaysMs: this.#replaysMs,
      backsMs: this.#backsMs,
      stillAway: this.#viewers.reduce((away, viewer) => away + (viewer.isOpen && viewer.goal === null ? 0 : 1), 0),
      refused: this.#refused,
      joinsMs: this.#joinsMs,
      joinedInMs: this.#joinedInMs,
      cpuMs: (user + system) / 1000,
    };
  }

  #add(number: number, order: JoinOrder): void {
    const { target, gzip, decodeEvery } = order;
    const room = `room-${number % order.rooms}`;
    const viewer = new LoadViewer(
      {
        number,
        room,
        port: target.port,
        localAddress: `127.0.0.${1 + Math.floor(number / viewersPerAddress)}`,
        isStalled: order.stalled,
        gzip: gzip ? { isDecoded: number % decodeEvery === 0 } : null,
        isGapless: target.isGapless,
      },
      this,
    );
    const token = target.secret === null ? null : signToken(target.secret, `viewer-${number}`, 'viewer');
    const lines = [
      `GET ${target.path.replace('{room}', room)} HTTP/1.1`,
      'Host: 127.0.0.1',
      'Accept: text/event-stream',
      ...(token === null ? [] : [`Authorization: Bearer ${token}`]),
      ...(gzip ? ['Accept-Encoding: gzip'] : []),
    ];
    this.#requests.set(viewer, `${lines.join('\r\n')}\r\n`);
    this.#viewers.push(viewer);
    this.#order.push(order);
  }

  #reconnect(viewer: LoadViewer): void {
    if (!this.#requests.has(viewer) || viewer.isOpen) return;
    viewer.goal = this.#newest.get(viewer.traits.room) ?? 0;
    viewer.connect();
  }

  #cutOne(viewer: LoadViewer, cut: CutOrder): void {
    viewer.cut();
    this.#later(cut.forMs, () => this.#reconnect(viewer));
    this.#later(cut.everyMs, () => {
      if (this.#cut === cut) this.#cutOne(viewer, cut);
    });
  }

  #later(ms: number, task: () => void): void {
    const timer = setTimeout(() => {
      this.#cutTimers.delete(timer);
      task();
    }, ms);
    this.#cutTimers.add(timer);
  }
}

const crowd = new LoadCrowd();

async function obey(order: Order): Promise<void> {
  if (order.type === 'join') await crowd.join(order.join);
  if (order.type === 'cut') crowd.cut(order.cut);
  if (order.type === 'window') crowd.window();
  if (order.type === 'forget') crowd.forget();
  if (order.type === 'leave') crowd.leave();
  const answer: Answer = { figures: crowd.figures() };
  process.send?.(answer);
}

process.on('message', (order: Order) => void obey(order));
// The bench has ended or was killed; nobody else would end this.
process.on('disconnect', () => process.exit(0));
