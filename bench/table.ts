/** The bench's result as Markdown. */
import { cpus, release, totalmem } from 'node:os';
import type { Sample } from './measure.ts';
import type { Mode } from './rows.ts';

export interface Row {
  readonly name: string;
  readonly mode: Mode;
  /** One entry for each pair of runs. */
  readonly pairs: readonly { readonly subject: Sample; readonly peer: Sample }[];
}

/** What is measured once for each broker, not for each row. */
export interface Footprint {
  readonly readyMs: readonly number[];
  readonly startedBytes: number;
  readonly loadedBytes: number;
}

export interface Report {
  readonly subject: string;
  readonly peer: string;
  readonly command: string;
  readonly date: string;
  readonly rows: readonly Row[];
  readonly subjectFootprint: Footprint;
  readonly peerFootprint: Footprint;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

export function markdown(report: Report): string {
  const { subject, peer } = report;
  const pairs = Math.max(...report.rows.map((row) => row.pairs.length), 0);
  return [
    `# ${subject} against ${peer}, ${report.date}`,
    '',
    `\`${report.command}\` on ${machine()}. Medians of ${pairs} pairs of runs, in turn in one run; a ratio is the`,
    "median of the pairs' ratios. Every record that was sent was acknowledged and read back. Kappalog acknowledges what is",
    'on disk, Apache Kafka what is in memory: "on disk" is the ratio with the time counted until `sync` has returned.',
    '',
    ...throughput(report),
    ...latency(report),
    ...footprint(report),
  ].join('\n');
}

function throughput({ rows, subject, peer }: Report): string[] {
  const shown = rows.filter(({ mode }) => mode !== 'e2e');
  if (shown.length === 0) return [];
  const head = [
    `| row | ${subject} | ${peer} | ratio | on disk | ${subject} CPU s | ${peer} CPU s | CPU ratio |`,
    '|---|---:|---:|---:|---:|---:|---:|---:|',
  ];
  const lines = shown.map(({ name, mode, pairs }) => {
    const speeds = [rate(pairs.map((pair) => pair.subject)), rate(pairs.map((pair) => pair.peer))];
    const ratio = median(pairs.map((pair) => pair.subject.recordsPerSecond / pair.peer.recordsPerSecond));
    const onDisk = median(pairs.map((pair) => pair.subject.onDiskPerSecond / pair.peer.onDiskPerSecond));
    const ratios = [`**${ratio.toFixed(2)}**`, mode === 'produce' ? onDisk.toFixed(2) : ''];
    return `| ${[name, ...speeds, ...ratios, ...cpuCells(pairs)].join(' | ')} |`;
  });
  return [...head, ...lines, ''];
}

function cpuCells(pairs: Row['pairs']): string[] {
  const subject = median(pairs.map((pair) => pair.subject.cpuSeconds));
  const peer = median(pairs.map((pair) => pair.peer.cpuSeconds));
  // A short run may cost less than the kernel's clock tick of 10 ms.
  const ratio = median(pairs.map((pair) => pair.subject.cpuSeconds / Math.max(pair.peer.cpuSeconds, 0.01)));
  return [subject.toFixed(2), peer.toFixed(2), ratio.toFixed(2)];
}

export function rate(samples: readonly Sample[]): string {
  const records = median(samples.map(({ recordsPerSecond }) => recordsPerSecond));
  const megabytes = median(samples.map(({ megabytesPerSecond }) => megabytesPerSecond));
  const text = records >= 1e6 ? `${(records / 1e6).toFixed(2)} M/s` : `${(records / 1e3).toFixed(0)} k/s`;
  return `${text}, ${megabytes.toFixed(0)} MB/s`;
}

function latency({ rows, subject, peer }: Report): string[] {
  const shown = rows.filter(({ mode }) => mode === 'e2e');
  if (shown.length === 0) return [];
  const head = [
    `| row (1000 records/s) | ${subject} ack p50 / p99 ms | ${peer} ack p50 / p99 ms | ${subject} CPU s | ${peer} CPU s | CPU ratio |`,
    '|---|---:|---:|---:|---:|---:|',
  ];
  const lines = shown.map(({ name, pairs }) => {
    const acks = [pairs.map((pair) => pair.subject), pairs.map((pair) => pair.peer)].map((samples) => {
      const p50 = median(samples.map((sample) => sample.ackP50Ms ?? Number.NaN));
      const p99 = median(samples.map((sample) => sample.ackP99Ms ?? Number.NaN));
      return `${p50.toFixed(2)} / ${p99.toFixed(2)}`;
    });
    return `| ${[name, ...acks, ...cpuCells(pairs)].join(' | ')} |`;
  });
  return [...head, ...lines, ''];
}

function footprint({ subject, peer, subjectFootprint, peerFootprint }: Report): string[] {
  const cells = ({ readyMs, startedBytes, loadedBytes }: Footprint): string =>
    [`${median(readyMs).toFixed(0)} ms`, mebibytes(startedBytes), mebibytes(loadedBytes)].join(' | ');
  return [
    '| broker | time to ready (fresh, median) | resident after start | resident after load |',
    '|---|---:|---:|---:|',
    `| ${subject} | ${cells(subjectFootprint)} |`,
    `| ${peer} | ${cells(peerFootprint)} |`,
    '',
  ];
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

export function machine(): string {
  const model = cpus()[0]?.model ?? 'an unknown processor';
  return `${cpus().length} cores (${model}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}, Node ${process.version}`;
}
