/**
 * What a node tells Prometheus. Each node has a registry of its own. Gauges are read when somebody asks; only requests are
 * counted as they go. The README lists every name here, and a test holds the two together.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** What the gauges read. */
export interface NodeGauges {
  connections(): number;
  requestBytesHeld(): number;
  partitions(): number;
  partitionsFailed(): number;
  logBytes(): number;
  logSegments(): number;
  logQueuedBytes(): number;
  fetchSessions(): number;
  producers(): number;
  tailCacheBytes(): number;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<'api'>;
  readonly #requestSeconds: Histogram<'api'>;

  constructor(gauges: NodeGauges) {
    const registers = [this.#registry];
    this.#requests = new Counter({
      name: 'kappalog_requests_total',
      help: 'Requests answered, by API.',
      labelNames: ['api'],
      registers,
    });
    this.#requestSeconds = new Histogram({
      name: 'kappalog_request_seconds',
      help: 'Time from the start of a request to its answer, by API; fetches wait for data.',
      labelNames: ['api'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    const gauge = (name: string, help: string, read: () => number): void => {
      const made = new Gauge({ name, help, registers, collect: () => made.set(read()) });
    };
    gauge('kappalog_connections', 'Open connections on the Kafka port.', gauges.connections);
    gauge(
      'kappalog_request_held_bytes',
      'Bytes of requests that are being answered.',
      gauges.requestBytesHeld,
    );
    gauge('kappalog_partitions', 'Partitions with a replica on this node.', gauges.partitions);
    gauge(
      'kappalog_partitions_failed',
      'Replicas whose log has failed or is damaged.',
      gauges.partitionsFailed,
    );
    gauge('kappalog_log_bytes', 'Bytes of all logs.', gauges.logBytes);
    gauge('kappalog_log_segments', 'Segments of all logs.', gauges.logSegments);
    gauge('kappalog_log_queued_bytes', 'Bytes appended and not yet written.', gauges.logQueuedBytes);
    gauge('kappalog_tail_cache_bytes', 'Bytes of recent batches kept in memory.', gauges.tailCacheBytes);
    gauge('kappalog_fetch_sessions', 'Incremental fetch sessions.', gauges.fetchSessions);
    gauge(
      'kappalog_producers',
      'Idempotent producers whose sequences are kept, over all partitions.',
      gauges.producers,
    );
    gauge('kappalog_resident_memory_bytes', 'Resident memory of the process.', () =>
      process.memoryUsage.rss(),
    );
    gauge('kappalog_cpu_seconds', 'Processor time that the process has used.', () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
  }

  observeRequest(api: string, tookMs: number): void {
    this.#requests.inc({ api });
    this.#requestSeconds.observe({ api }, tookMs / 1000);
  }

  async text(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }
}
