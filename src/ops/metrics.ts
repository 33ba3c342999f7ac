/**
 * `/metrics`: what operators are told of a gateway, in the text format of Prometheus. It reads numbers that are counted
 * elsewhere when somebody asks, under names of its own, and registers the histograms. No label holds a room or a user,
 * so the number of series is fixed. `docs/operations.md` explains each series; a test compares.
 */

import { Counter, Gauge, Registry } from 'prom-client';
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

  /** The names of the series, without the suffixes of histograms. */
  get names(): readonly string[] {
    return this.#registry.getMetricsAsArray().map(({ name }) => name);
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #addNode({ nodeId, group, version, isReady, handover }: Sources): void {
    const info = new Gauge({
      name: 'ringside_node_info',
      help: 'Name, group and version of this node; always 1.',
      labelNames: ['node', 'group', 'version'],
      registers: [this.#registry],
    });
    info.set({ node: nodeId, group, version }, 1);
    this.#gauge('ringside_ready', 'Whether this gateway accepts traffic.', () => Number(isReady()));
    this.#gauge('ringside_draining', 'Whether this gateway is handing over all of its viewers.', () =>
      Number(handover.isDraining),
    );
    this.#counter('ringside_moves_total', 'Viewers scheduled to move to another gateway.', () => handover.moved);
    this.#counter(
      'ringside_misrouted_total',
      'Requests routed here that belong to another group.',
      () => handover.misrouted,
    );
  }

  #addViewers({ hub, tokensRefused }: Sources): void {
    const { hubCounters } = hub;
    this.#gauge('ringside_viewers', 'Open streams, including those being opened.', () => hub.viewers);
    this.#gauge(
      'ringside_viewers_waiting',
      'Streams under backpressure: paused until their socket drains.',
      () => hubCounters.streamCounters.waiting,
    );
    this.#gauge('ringside_rooms', 'Rooms that this node follows.', () => hub.rooms);
    this.#counters(
      'ringside_joins_total',
      'Streams opened, by verdict on their id.',
      'verdict',
      () => hubCounters.joins,
    );
    this.#counters('ringside_turned_away_total', 'Streams refused, by cause.', 'cause', () => hubCounters.turnedAway);
    this.#counters('ringside_tokens_refused_total', 'Tokens refused, by reason.', 'reason', () => tokensRefused);
    this.#counters('ringside_endings_total', 'Streams ended, by cause.', 'cause', () => hubCounters.endings);
    this.#counters('ringside_gaps_total', 'Gaps declared to viewers, by cause.', 'cause', () => hubCounters.gaps);
  }

  #addDelivery({ hub: { hubCounters } }: Sources): void {
    const { streamCounters } = hubCounters;
    this.#counter('ringside_deliveries_total', 'Entries written to viewers.', () => streamCounters.deliveries);
    this.#counter('ringside_spans_total', 'Spans added to tapes.', () => hubCounters.spans);
    this.#counter('ringside_socket_writes_total', 'Writes to viewer sockets.', () => streamCounters.writes);
    this.#counter('ringside_written_bytes_total', 'Bytes written to viewers.', () => streamCounters.bytes);
    this.#counter('ringside_gzip_saved_bytes_total', 'Bytes saved by gzip.', () => streamCounters.savedBytes);
    this.#registry.registerMetric(hubCounters.flush);
    this.#registry.registerMetric(hubCounters.publishToWrite);
  }

  #addLog({ log, logCalls }: Sources): void {
    const { seconds, errors } = logCalls;
    this.#registry.registerMetric(seconds);
    this.#counters('ringside_log_errors_total', 'Failed room log calls, by kind.', 'kind', () => errors);
    this.#gauge('ringside_log_risks', 'Risks to the room log while it works.', () => log.health().risks.length);
    this.#gauge(
      'ringside_log_clock_ahead_seconds',
      "Least time by which the room log's clock is ahead of this node's; negative: behind.",
      () => logCalls.clockAheadMs / 1000,
    );
  }

  /** The usual process metrics, but only those that operators use. */
  #addProcess({ loopDelay }: Sources): void {
    this.#registry.registerMetric(loopDelay.seconds);
    const cpuSeconds = (): number => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    };
    const startSeconds = Date.now() / 1000 - process.uptime();
    this.#counter('process_cpu_seconds_total', 'CPU time of the process.', cpuSeconds);
    this.#gauge('process_resident_memory_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss());
    this.#gauge('process_start_time_seconds', 'Start time of the process (Unix time).', () => startSeconds);
    this.#gauge('nodejs_heap_size_used_bytes', 'Bytes of JavaScript objects.', () => process.memoryUsage().heapUsed);
    this.#gauge('nodejs_external_memory_bytes', 'Bytes outside the heap.', () => process.memoryUsage().external);
  }

  #gauge(name: string, help: string, read: Read<number>): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  #counter(name: string, help: string, read: Read<number>): void {
    new Counter({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  }

  #counters(name: string, help: string, label: string, read: Read<Readonly<Record<string, number>>>): void {
    new Counter({
      name,
      help,
      labelNames: [label],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const [value, count] of Object.entries(read())) this.inc({ [label]: value }, count);
      },
    });
  }
}
