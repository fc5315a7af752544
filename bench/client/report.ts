/** The result of the bench of clients as Markdown. */
import { kafkaVersion } from '../../test/support/apache-kafka-jars.ts';
import type { BrokerKind } from '../../test/support/broker-process.ts';
import { machine, mebibytes, median } from '../table.ts';
import type { Sample } from './driver.ts';

export interface ClientRow {
  readonly name: string;
  /** In the order in which they were measured; one of each client and broker for each round. */
  readonly samples: { readonly client: string; readonly broker: BrokerKind; readonly sample: Sample }[];
}

export interface ClientsReport {
  readonly command: string;
  readonly date: string;
  readonly rounds: number;
  readonly rows: readonly ClientRow[];
}

/** As the rows' samples name it. */
const own = 'kappalog';

export function clientsMarkdown({ command, date, rounds, rows }: ClientsReport): string {
  return [
    `# Clients for Node against each other, ${date}`,
    '',
    `\`${command}\` on ${machine()}. Medians of ${rounds} rounds, in turn in one run; the ratio is the median over the rounds`,
    "of Kappalog's client to the fastest other client in the same round, and above 1 where Kappalog's is ahead. Records have no keys and go over 6 partitions of one broker",
    "on the same two cores; `acks=all`; Kappalog's producer is idempotent, as it is by default, the others are not, as they are by default.",
    '',
    ...(['kappalog', 'kafka'] as const).flatMap((broker) => [
      `## On ${broker === 'kafka' ? `Apache Kafka ${kafkaVersion()}` : 'Kappalog'}`,
      '',
      '| row | client | records a second | MB/s | CPU s per million | peak MiB | ratio |',
      '|---|---|---:|---:|---:|---:|---:|',
      ...rows.filter(isMoving).flatMap((row) => rateLines(row, broker)),
      '',
      ...roundTrips(rows, broker),
      ...imports(rows, broker),
    ]),
  ].join('\n');
}

const isMoving = ({ name }: ClientRow): boolean => !name.startsWith('round trip') && name !== 'import';

function clientsOf(row: ClientRow): string[] {
  return [...new Set(row.samples.map(({ client }) => client))].sort((a, b) =>
    a === own ? -1 : b === own ? 1 : a.localeCompare(b),
  );
}

function samplesOf(row: ClientRow, broker: BrokerKind, client: string): Sample[] {
  return row.samples
    .filter((item) => item.broker === broker && item.client === client)
    .map(({ sample }) => sample);
}

/** Of what `measure` gives, where more is better, to the best other client of the same round. */
function ratioOf(row: ClientRow, broker: BrokerKind, measure: (sample: Sample) => number): string {
  const others = clientsOf(row)
    .filter((client) => client !== own)
    .map((client) => samplesOf(row, broker, client));
  const ratios = samplesOf(row, broker, own).map(
    (sample, round) => measure(sample) / Math.max(...others.map((samples) => measure(samples[round]!))),
  );
  return `**${median(ratios).toFixed(2)}**`;
}

const rateOf = ({ count, seconds }: Sample): number => count / seconds;

function rateLines(row: ClientRow, broker: BrokerKind): string[] {
  const bytes = sizeOf(row.name);
  return clientsOf(row).map((client) => {
    const samples = samplesOf(row, broker, client);
    const rate = median(samples.map(rateOf));
    const cpu = median(samples.map(({ cpuSeconds, count }) => (cpuSeconds / count) * 1e6));
    const peak = mebibytes(median(samples.map(({ peakBytes }) => peakBytes)));
    const cells = [
      client === own ? row.name : '',
      client,
      rate.toFixed(0),
      ((rate * bytes) / 1e6).toFixed(0),
    ];
    const ratio = client === own ? ratioOf(row, broker, rateOf) : '';
    return `| ${[...cells, cpu.toFixed(2), peak, ratio].join(' | ')} |`;
  });
}

function sizeOf(name: string): number {
  const [, digits, unit] = / (\d+) (B|KiB)/.exec(name)!;
  return Number(digits) * (unit === 'B' ? 1 : 1024);
}

function percentile(sample: Sample, share: number): number {
  const sorted = sample.latenciesMs.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length * share)]!;
}

function roundTrips(rows: readonly ClientRow[], broker: BrokerKind): string[] {
  const row = rows.find(({ name }) => name.startsWith('round trip'));
  if (row === undefined) return [];
  return [
    'One record at a time, from the call that sends it until the consumer has it and the producer its acknowledgement:',
    '',
    '| client | p50 ms | p99 ms | ratio of p50 |',
    '|---|---:|---:|---:|',
    ...clientsOf(row).map((client) => {
      const samples = samplesOf(row, broker, client);
      const [p50, p99] = [0.5, 0.99].map((share) =>
        median(samples.map((sample) => percentile(sample, share))),
      );
      const ratio = client === own ? ratioOf(row, broker, (sample) => 1 / percentile(sample, 0.5)) : '';
      return `| ${client} | ${p50!.toFixed(2)} | ${p99!.toFixed(2)} | ${ratio} |`;
    }),
    '',
  ];
}

function imports(rows: readonly ClientRow[], broker: BrokerKind): string[] {
  const row = rows.find(({ name }) => name === 'import');
  if (row === undefined) return [];
  return [
    'From importing the library until a producer of it is there, connected where the library connects then:',
    '',
    '| client | ms | CPU ms | resident MiB | ratio |',
    '|---|---:|---:|---:|---:|',
    ...clientsOf(row).map((client) => {
      const samples = samplesOf(row, broker, client);
      const milliseconds = median(samples.map(({ seconds }) => seconds * 1000)).toFixed(0);
      const cpu = median(samples.map(({ cpuSeconds }) => cpuSeconds * 1000)).toFixed(0);
      const peak = mebibytes(median(samples.map(({ peakBytes }) => peakBytes)));
      const ratio = client === own ? ratioOf(row, broker, rateOf) : '';
      return `| ${client} | ${milliseconds} | ${cpu} | ${peak} | ${ratio} |`;
    }),
    '',
  ];
}
