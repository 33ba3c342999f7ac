/**
 * `/metrics`: what operators are told of a gateway, in the text format of Prometheus. This file owns the names, and
 * what each of them means; it reads numbers that are counted elsewhere when somebody asks, and keeps none. No label
 * holds a room or a user, so the number of series is fixed. `docs/operations.md` explains each series; a test compares.
 *
 * The only file that knows prom-client.
 */

import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Distribution } from '../distribution.ts';
import type { Sources } from './sources.ts';

type Read<Value> = () => Value;

export class Metrics {
  readonly #registry = new Registry();

  constructor(sources: Sources) {
    this.#addNode(sources);
    this.#addViewers(sources);
    this.#addDelivery(sources);
    this.#addLog(sources);
    this.#addProcess(sources);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Of the series, without what a histogram adds to them. */
  get names(): readonly string[] {
    return this.#registry.getMetricsAsArray().map(({ name }) => name);
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #addNode({ nodeId, group, version, isReady, handover }: Sources): void {
    const info = new Gauge({
      ...{ name: 'ringside_node_info', help: 'Which node of which group this is, and of which version; always 1.' },
      ...{ labelNames: ['node', 'group', 'version'], registers: [this.#registry] },
    });
    info.set({ node: nodeId, group, version }, 1);
    this.#gauge('ringside_ready', 'Whether this gateway wants traffic.', () => Number(isReady()));
    this.#gauge('ringside_draining', 'Whether it hands all of its viewers over.', () => Number(handover.isDraining));
    this.#counter('ringside_moves_total', 'Viewers that were to be handed over.', () => handover.moved);
    this.#counter('ringside_misrouted_total', 'Requests that were meant for another group.', () => handover.misrouted);
  }

  #addViewers({ hub, tokensRefused }: Sources): void {
    const { hubCounters } = hub;
    this.#gauge('ringside_viewers', 'Open streams.', () => hub.viewers);
    this.#gauge(
      'ringside_viewers_waiting',
      'Open streams that bytes wait for.',
      () => hubCounters.streamCounters.waiting,
    );
    this.#gauge('ringside_rooms', 'Rooms that this node follows.', () => hub.rooms);
    this.#counters(
      'ringside_joins_total',
      'Streams greeted, by what their id was worth.',
      'verdict',
      () => hubCounters.joins,
    );
    this.#counters('ringside_turned_away_total', 'Streams not opened.', 'cause', () => hubCounters.turnedAway);
    this.#counters('ringside_tokens_refused_total', 'Tokens refused.', 'reason', () => tokensRefused);
    this.#counters('ringside_endings_total', 'Streams that are over.', 'cause', () => hubCounters.endings);
    this.#counters('ringside_gaps_total', 'Losses told to viewers.', 'cause', () => hubCounters.gaps);
  }

  #addDelivery({ hub: { hubCounters } }: Sources): void {
    const { streamCounters } = hubCounters;
    this.#counter('ringside_deliveries_total', 'Entries written to viewers.', () => streamCounters.deliveries);
    this.#counter('ringside_spans_total', 'Spans added to tapes.', () => hubCounters.spans);
    this.#counter('ringside_socket_writes_total', 'Writes to sockets of viewers.', () => streamCounters.writes);
    this.#counter('ringside_written_bytes_total', 'Bytes written to viewers.', () => streamCounters.bytes);
    this.#counter('ringside_gzip_saved_bytes_total', 'Bytes that gzip spared.', () => streamCounters.savedBytes);
    this.#histogram('ringside_flush_seconds', 'Work of one sweep over a room.', () => hubCounters.flush);
    this.#histogram(
      'ringside_publish_to_write_seconds',
      'From the oldest entry of a sweep being taken by the log until the last viewer was given it.',
      () => hubCounters.publishToWrite,
    );
  }

  #addLog({ log, logCalls }: Sources): void {
    const { seconds, errors } = logCalls;
    this.#histograms('ringside_log_call_seconds', 'Calls of the room log.', 'function', () => seconds);
    this.#counters('ringside_log_errors_total', 'Calls of the room log that failed.', 'kind', () => errors);
    this.#gauge(
      'ringside_log_risks',
      'What threatens the room log although it works.',
      () => log.health().risks.length,
    );
    this.#gauge(
      'ringside_log_clock_ahead_seconds',
      "By how much the log's clock is surely ahead of this node's.",
      () => logCalls.clockAheadMs / 1000,
    );
  }

  /** Under the names that they have everywhere, but only what somebody looks at. */
  #addProcess({ loopDelay }: Sources): void {
    this.#histogram(
      'ringside_loop_delay_seconds',
      'Of each second, the longest time that the event loop was kept from its turn.',
      () => loopDelay.seconds,
    );
    const cpuSeconds = (): number => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    };
    const startSeconds = Date.now() / 1000 - process.uptime();
    this.#counter('process_cpu_seconds_total', 'CPU time of the process.', cpuSeconds);
    this.#gauge('process_resident_memory_bytes', 'Memory of the process.', () => process.memoryUsage.rss());
    this.#gauge('process_start_time_seconds', 'When the process began (Unix time).', () => startSeconds);
    this.#gauge('nodejs_heap_size_used_bytes', 'JavaScript objects.', () => process.memoryUsage().heapUsed);
    this.#gauge('nodejs_external_memory_bytes', 'Bytes outside of the heap.', () => process.memoryUsage().external);
  }

  #gauge(name: string, help: string, read: Read<number>): void {
    new Gauge({
      ...{ name, help, registers: [this.#registry] },
      collect() {
        this.set(read());
      },
    });
  }

  #counter(name: string, help: string, read: Read<number>): void {
    new Counter({
      ...{ name, help, registers: [this.#registry] },
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }

  #counters(name: string, help: string, label: string, read: Read<Readonly<Record<string, number>>>): void {
    new Counter({
      ...{ name, help, labelNames: [label], registers: [this.#registry] },
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(read())) this.inc({ [label]: value }, count);
      },
    });
  }

  #histogram(name: string, help: string, read: Read<Distribution>): void {
    new KeptElsewhere({ name, help, registers: [this.#registry] }, () => [{ labels: {}, distribution: read() }]);
  }

  #histograms(name: string, help: string, label: string, read: Read<ReadonlyMap<string, Distribution>>): void {
    new KeptElsewhere({ name, help, labelNames: [label], registers: [this.#registry] }, () =>
      Array.from(read(), ([value, distribution]) => ({ labels: { [label]: value }, distribution })),
    );
  }
}

interface Labelled {
  readonly labels: Readonly<Record<string, string>>;
  readonly distribution: Distribution;
}

/** A histogram whose counts are plain numbers of others: prom-client's own would cost each observation a look-up. */
class KeptElsewhere extends Histogram {
  readonly #read: Read<readonly Labelled[]>;
  readonly #about: { readonly name: string; readonly help: string };

  constructor(about: ConstructorParameters<typeof Histogram>[0], read: Read<readonly Labelled[]>) {
    super(about);
    this.#about = about;
    this.#read = read;
  }

  override async get(): ReturnType<Histogram['get']> {
    return { ...(await super.get()), values: this.#values() };
  }

  /** What the registry asks for when it writes text. */
  async getForPromString(): Promise<object> {
    const { name, help } = this.#about;
    return { name, help, type: 'histogram', values: this.#values() };
  }

  #values(): Awaited<ReturnType<Histogram['get']>>['values'] {
    const { name } = this.#about;
    return this.#read().flatMap(({ labels, distribution: { bounds, counts, sum } }) => {
      let count = 0;
      const buckets = counts.map((more, index) => {
        count += more;
        const le = bounds[index] ?? '+Inf';
        return { metricName: `${name}_bucket`, labels: { le, ...labels }, value: count };
      });
      return [
        ...buckets,
        { metricName: `${name}_sum`, labels, value: sum },
        { metricName: `${name}_count`, labels, value: count },
      ];
    });
  }
}
