/**
 * What a node tells Prometheus. Each node has a registry of its own. Gauges are read when somebody asks; only requests
 * are counted as they go. The README lists every name here, docs/operations.md those of the cluster, and a test holds them together.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ClusterFigures } from '../cluster-figures.ts';
import type { StorageFigures } from '../node-storage.ts';
import { addClusterMetrics } from './cluster-metrics.ts';
import { addGroupMetrics } from './group-metrics.ts';
import type { GroupMetricsOptions } from './group-metrics.ts';

/** What the gauges read. */
export interface NodeGauges {
  connections(): number;
  requestBytesHeld(): number;
  fetchSessions(): number;
  storage(): Promise<StorageFigures>;
  cluster(): Promise<ClusterFigures>;
  readonly groups: GroupMetricsOptions;
}

type MaintenanceFigures = StorageFigures['maintenance'];

export class Metrics {
  readonly #registry = new Registry();
  readonly #requestSeconds: Histogram<'api'>;
  /** One child for each API, so that counting a request looks up no labels. */
  readonly #byApi = new Map<string, { observe(seconds: number): void }>();

  readonly #gauges: NodeGauges;
  /** As counted for the present answer; there is one at a time. */
  #storage: StorageFigures | undefined;
  #cluster: ClusterFigures | undefined;
  #answering: Promise<{ contentType: string; text: string }> | undefined;

  constructor(gauges: NodeGauges) {
    this.#requestSeconds = new Histogram({
      name: 'kappalog_request_seconds',
      help: 'Time from the start of a request to its answer, by API; fetches wait for data.',
      labelNames: ['api'],
      buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers: [this.#registry],
    });
    this.#addGauge('kappalog_connections', 'Open connections on the Kafka port.', () => gauges.connections());
    this.#addGauge('kappalog_request_held_bytes', 'Bytes of requests being answered.', () =>
      gauges.requestBytesHeld(),
    );
    this.#addGauge('kappalog_fetch_sessions', 'Incremental fetch sessions.', () => gauges.fetchSessions());
    this.#gauges = gauges;
    this.#addStorage(() => this.#storage!);
    addClusterMetrics(this.#registry, () => this.#cluster!);
    addGroupMetrics(this.#registry, gauges.groups);
    this.#addGauge('kappalog_resident_memory_bytes', 'Resident memory of the process.', () =>
      process.memoryUsage.rss(),
    );
    this.#addCounter('kappalog_cpu_seconds_total', 'Processor time that the process has used.', () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
  }

  observeRequest(api: string, tookMs: number): void {
    let child = this.#byApi.get(api);
    if (child === undefined) {
      child = this.#requestSeconds.labels(api);
      this.#byApi.set(api, child);
    }
    child.observe(tookMs / 1000);
  }

  /** Who asks while an answer is being made gets the same. */
  text(): Promise<{ contentType: string; text: string }> {
    this.#answering ??= this.#text().finally(() => {
      this.#answering = undefined;
    });
    return this.#answering;
  }

  async #text(): Promise<{ contentType: string; text: string }> {
    // One walk over all replicas for all gauges.
    this.#storage = await this.#gauges.storage();
    this.#cluster = await this.#gauges.cluster();
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #addGauge(name: string, help: string, read: () => number): void {
    const gauge: Gauge = new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect: () => gauge.set(read()),
    });
  }

  /** Of what has grown since the start of the process. */
  #addCounter(name: string, help: string, read: () => number): void {
    const counter: Counter = new Counter({
      name,
      help,
      registers: [this.#registry],
      collect: () => {
        counter.reset();
        counter.inc(read());
      },
    });
  }

  #addStorage(read: () => StorageFigures): void {
    const gauges: readonly [
      keyof Omit<StorageFigures, 'maintenance' | 'dataLosses' | 'syncs'>,
      string,
      string,
    ][] = [
      ['partitions', 'kappalog_partitions', 'Partitions with a replica on this node.'],
      ['partitionsFailed', 'kappalog_partitions_failed', 'Replicas whose log or data directory has failed.'],
      ['partitionsDamaged', 'kappalog_partitions_damaged', 'Replicas whose log is damaged.'],
      ['partitionsOffline', 'kappalog_partitions_offline', 'Replicas that could not be opened at the start.'],
      [
        'partitionsMemoryLost',
        'kappalog_partitions_memory_lost',
        'Replicas that lost what write.caching had not on disk, and wait for their leader to bring it back.',
      ],
      ['directories', 'kappalog_data_directories', 'Data directories.'],
      [
        'directoriesOffline',
        'kappalog_data_directories_offline',
        'Data directories that cannot be used until the node is started again.',
      ],
      ['logBytes', 'kappalog_log_bytes', 'Bytes of all logs.'],
      ['logSegments', 'kappalog_log_segments', 'Segments of all logs.'],
      ['logQueuedBytes', 'kappalog_log_queued_bytes', 'Bytes appended and not yet written.'],
      [
        'producers',
        'kappalog_producers',
        'Idempotent producers whose sequences are kept, over all partitions.',
      ],
      ['tailCacheBytes', 'kappalog_tail_cache_bytes', 'Bytes of recent batches kept in memory.'],
      ['readPoolBytes', 'kappalog_read_pool_bytes', 'Bytes of blocks read from older segments.'],
    ];
    for (const [key, name, help] of gauges) this.#addGauge(name, help, () => read()[key]);
    this.#addCounter(
      'kappalog_data_losses_total',
      'Times since the start that acknowledged records were lost, or may have been, by power failures under write.caching.',
      () => read().dataLosses,
    );
    this.#addCounter('kappalog_syncs_total', 'Syncs of log files since the start.', () => read().syncs);
    this.#addMaintenance(() => read().maintenance);
  }

  #addMaintenance(read: () => MaintenanceFigures): void {
    type Rows = readonly [name: string, help: string, of: (figures: MaintenanceFigures) => number][];
    const counters: Rows = [
      [
        'kappalog_retention_rounds_total',
        'Times that all logs were looked through for what is past retention.',
        ({ retentionRounds }) => retentionRounds,
      ],
      [
        'kappalog_retention_segments_total',
        'Segments deleted by retention since the start.',
        ({ deletedSegments }) => deletedSegments,
      ],
      [
        'kappalog_retention_bytes_total',
        'Bytes deleted by retention since the start.',
        ({ deletedBytes }) => deletedBytes,
      ],
      [
        'kappalog_cleaner_logs_total',
        'Times that a log was compacted since the start.',
        ({ cleaner }) => cleaner.cleanings,
      ],
      [
        'kappalog_cleaner_read_bytes_total',
        'Bytes that compaction has read since the start.',
        ({ cleaner }) => cleaner.bytesRead,
      ],
      [
        'kappalog_cleaner_written_bytes_total',
        'Bytes that compaction has written since the start.',
        ({ cleaner }) => cleaner.bytesWritten,
      ],
      [
        'kappalog_cleaner_throttled_seconds_total',
        'Time that compaction has waited for its limit on bytes.',
        ({ cleaner }) => cleaner.throttledMs / 1000,
      ],
      [
        'kappalog_scrubbed_bytes_total',
        'Bytes of segments that were read again and checked since the start.',
        ({ scrubbedBytes }) => scrubbedBytes,
      ],
      [
        'kappalog_scrubbed_segments_total',
        'Segments that were read again and checked since the start.',
        ({ scrubbedSegments }) => scrubbedSegments,
      ],
      [
        'kappalog_scrubbed_damaged_segments_total',
        'Segments that turned out to be damaged since the start.',
        ({ damagedSegments }) => damagedSegments,
      ],
      [
        'kappalog_scrubbed_repaired_segments_total',
        'Segments whose index files were wrong and have been made again since the start.',
        ({ repairedSegments }) => repairedSegments,
      ],
    ];
    const gauges: Rows = [
      [
        'kappalog_cleaner_dirty_ratio',
        'Dirty share of the log that needs compaction most.',
        ({ cleaner }) => cleaner.dirtyRatioMax,
      ],
      [
        'kappalog_cleaner_map_bytes',
        'Memory that compaction holds for keys.',
        ({ cleanerMapBytes }) => cleanerMapBytes,
      ],
      [
        'kappalog_cleaner_uncleanable_logs',
        'Logs that are not compacted because of damage.',
        ({ uncleanableLogs }) => uncleanableLogs,
      ],
    ];
    for (const [name, help, of] of counters) this.#addCounter(name, help, () => of(read()));
    for (const [name, help, of] of gauges) this.#addGauge(name, help, () => of(read()));
  }
}
