/** The bench's result as Markdown: a column for each contender, ratios against the last. */
import { type Sample } from '../measure.ts';
import { machine, mebibytes, median, rate } from '../table.ts';
import type { CatchUpSample } from './catch-up.ts';
import type { ManyPartitionsSample } from './many-partitions.ts';

/** What was measured in one row: by run, then by contender. */
export interface Measured<T> {
  readonly name: string;
  readonly runs: readonly (readonly T[])[];
}

/** One of each cluster. */
export interface Footprint {
  readonly name: string;
  readonly startedBytes: number;
  readonly loadedBytes: number;
}

export interface ClusterReport {
  readonly command: string;
  readonly date: string;
  readonly contenders: readonly string[];
  /** Megabytes a second of one file on the same disk, by run. */
  readonly diskRates: readonly number[];
  readonly produce: readonly Measured<Sample>[];
  readonly latency: readonly Measured<Sample>[];
  readonly many: readonly Measured<ManyPartitionsSample>[];
  readonly catchUp: readonly Measured<CatchUpSample>[];
  readonly footprints: readonly Footprint[];
}

export function clusterMarkdown(report: ClusterReport): string {
  const { contenders, command, date, diskRates } = report;
  const rows = [...report.produce, ...report.latency, ...report.many, ...report.catchUp];
  const runs = Math.max(0, ...rows.map((row) => row.runs.length));
  return [
    `# Three nodes of Kappalog against three of ${contenders.at(-1)}, ${date}`,
    '',
    `\`${command}\` on ${machine()}. One cluster runs at a time, its three nodes and the client on these cores and on one`,
    `disk (the other is stopped as a whole, for an idle one takes its share too); replication factor 3, acks=all, idempotent, one client. Medians of ${runs} runs of each, in turn; a ratio is the median of the`,
    'ratios of runs beside each other, against the last column. CPU and memory are sums over three nodes. Kappalog acknowledges what',
    'is synced on the disks of a majority; with `write.caching`, and with Apache Kafka, what is in memory: "on disk" is the ratio with',
    `the time counted until \`sync\` has returned. The disk alone took ${median(diskRates).toFixed(0)} MB/s of one long write synced at its end`,
    `(${Math.min(...diskRates).toFixed(0)} to ${Math.max(...diskRates).toFixed(0)}); three copies share that.`,
    '',
    ...produceTables(report),
    ...latencyTable(report),
    ...catchUpTable(report),
    ...manyTable(report),
    ...footprintTable(report),
  ].join('\n');
}

function produceTables({ produce, contenders, diskRates }: ClusterReport): string[] {
  if (produce.length === 0) return [];
  const subjects = contenders.slice(0, -1);
  const third = median(diskRates) / 3;
  const speeds = table(
    [
      'row',
      ...contenders,
      ...subjects.map((name) => `ratio: ${name}`),
      ...subjects.map((name) => `on disk: ${name}`),
      `${contenders[0]} of a third of the disk`,
    ],
    produce.map(({ name, runs }) => [
      name,
      ...contenders.map((_, place) => rate(runs.map((run) => run[place]!))),
      ...ratios(runs, (sample) => sample.recordsPerSecond).map(bold),
      ...ratios(runs, (sample) => sample.onDiskPerSecond),
      (median(runs.map((run) => run[0]!.megabytesPerSecond)) / third).toFixed(2),
    ]),
  );
  const cpu = table(
    ['CPU seconds per million records', ...contenders, ...subjects.map((name) => `ratio: ${name}`)],
    produce.map(({ name, runs }) => [
      name,
      ...contenders.map((_, place) => median(runs.map((run) => run[place]!.cpuSecondsPerMillion)).toFixed(2)),
      ...ratios(runs, (sample) => sample.cpuSecondsPerMillion).map(bold),
    ]),
  );
  return [...speeds, ...cpu];
}

function latencyTable({ latency, contenders }: ClusterReport): string[] {
  if (latency.length === 0) return [];
  const subjects = contenders.slice(0, -1);
  return table(
    [
      'row (1000 records/s)',
      ...contenders.map((name) => `${name} ack p50 / p99 ms`),
      ...subjects.map((name) => `p50 / p99 ratio: ${name}`),
      ...contenders.map((name) => `CPU s: ${name}`),
    ],
    latency.map(({ name, runs }) => {
      const p50 = (sample: Sample): number => sample.ackP50Ms ?? Number.NaN;
      const p99 = (sample: Sample): number => sample.ackP99Ms ?? Number.NaN;
      const at = (place: number, figure: (sample: Sample) => number): string =>
        median(runs.map((run) => figure(run[place]!))).toFixed(2);
      const [middle, high] = [ratios(runs, p50), ratios(runs, p99)];
      return [
        name,
        ...contenders.map((_, place) => `${at(place, p50)} / ${at(place, p99)}`),
        ...subjects.map((_, place) => bold(`${middle[place]} / ${high[place]}`)),
        ...contenders.map((_, place) => at(place, (sample) => sample.cpuSeconds)),
      ];
    }),
  );
}

function catchUpTable({ catchUp, contenders }: ClusterReport): string[] {
  return catchUp.flatMap(({ runs }) => {
    const row = (what: string, figure: (sample: CatchUpSample) => number): string[] => [
      what,
      ...contenders.map((_, place) => median(runs.map((run) => figure(run[place]!))).toFixed(2)),
    ];
    return table(
      ['a node that has lost its disk copies it anew; acks of 1 KiB at 1000/s meanwhile', ...contenders],
      [
        row('ack p50 before, ms', (sample) => sample.ackBefore.p50),
        row('ack p99 before, ms', (sample) => sample.ackBefore.p99),
        row('ack p50 meanwhile, ms', (sample) => sample.ackMeanwhile.p50),
        row('ack p99 meanwhile, ms', (sample) => sample.ackMeanwhile.p99),
        row('until all is in sync again, s', (sample) => sample.seconds),
      ],
    );
  });
}

function manyTable({ many, contenders }: ClusterReport): string[] {
  const subjects = contenders.slice(0, -1);
  const head = ['row', ...contenders, ...subjects.map((name) => `ratio: ${name}`)];
  return many.flatMap(({ name, runs }) => {
    const row = (
      what: string,
      figure: (sample: ManyPartitionsSample) => number,
      text: (value: number) => string,
    ): string[] => [
      what,
      ...contenders.map((_, place) => text(median(runs.map((run) => figure(run[place]!))))),
      ...ratios(runs, figure).map(bold),
    ];
    return table(
      [`${name}, replication factor 3`, ...head.slice(1)],
      [
        row(
          'created, led and in sync',
          (sample) => sample.createdSeconds,
          (value) => `${value.toFixed(2)} s`,
        ),
        row(
          'CPU at rest, of one core',
          (sample) => sample.cpuShareAtRest,
          (value) => `${(100 * value).toFixed(1)} %`,
        ),
        row('resident at rest', (sample) => sample.residentBytesAtRest, mebibytes),
        row(
          'produce 1 KiB',
          (sample) => sample.produce.recordsPerSecond,
          (value) => `${(value / 1000).toFixed(0)} k/s`,
        ),
        row(
          'CPU s per million',
          (sample) => sample.produce.cpuSecondsPerMillion,
          (value) => value.toFixed(2),
        ),
      ],
    );
  });
}

function footprintTable({ footprints }: ClusterReport): string[] {
  return table(
    ['three nodes', 'resident after start', 'resident after load'],
    footprints.map(({ name, startedBytes, loadedBytes }) => [
      name,
      mebibytes(startedBytes),
      mebibytes(loadedBytes),
    ]),
  );
}

/** Of every contender but the last, against it. */
function ratios<T>(runs: readonly (readonly T[])[], figure: (sample: T) => number): string[] {
  const subjects = runs[0]!.slice(0, -1);
  // A short run may cost less than the kernel's clock tick of 10 ms.
  const peer = (run: readonly T[]): number => Math.max(figure(run.at(-1)!), 0.001);
  return subjects.map((_, place) => median(runs.map((run) => figure(run[place]!) / peer(run))).toFixed(2));
}

function bold(text: string): string {
  return `**${text}**`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = `|---|${head
    .slice(1)
    .map(() => '---:|')
    .join('')}`;
  return [line(head), rule, ...rows.map(line), ''];
}
