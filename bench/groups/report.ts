/** The result of the bench of groups as Markdown. */
import { kafkaVersion } from '../../test/support/apache-kafka-jars.ts';
import { machine, mebibytes, median } from '../table.ts';
import type { IdleSample } from './coordinator-load.ts';
import type { LoadingSample } from './loading.ts';

/** One entry of each for each pair of runs. */
export interface GroupRow<Sample> {
  readonly name: string;
  readonly pairs: readonly { readonly subject: Sample; readonly peer: Sample }[];
}

export interface GroupsReport {
  readonly command: string;
  readonly date: string;
  /** Milliseconds. */
  readonly times: readonly GroupRow<number>[];
  /** Requests a second. */
  readonly rates: readonly GroupRow<number>[];
  readonly idle: readonly GroupRow<IdleSample>[];
  readonly loading: readonly GroupRow<LoadingSample>[];
}

export function groupsMarkdown({ command, date, times, rates, idle, loading }: GroupsReport): string {
  const kafka = `Apache Kafka ${kafkaVersion()}`;
  const pairs = Math.max(0, ...[...times, ...rates, ...loading].map((row) => row.pairs.length));
  return [
    `# Groups: Kappalog against ${kafka}, ${date}`,
    '',
    `\`${command}\` on ${machine()}. Medians of ${pairs} pairs of runs, in turn in one run; a ratio is the median of the`,
    "pairs' ratios, and above 1 where Kappalog is ahead. One node each, defaults but for `group.initial.rebalance.delay.ms=0`; members are as lean",
    'as the protocol allows, with a connection each, all in one process on the same two cores.',
    '',
    ...timeTable(times, kafka),
    ...rateTable(rates, kafka),
    ...idleTable(idle, kafka),
    ...loadingTable(loading, kafka),
  ].join('\n');
}

function timeTable(rows: GroupsReport['times'], kafka: string): string[] {
  if (rows.length === 0) return [];
  return [
    'Time until all members are in one generation (epoch) and each of 100 partitions has one of them:',
    '',
    `| group | Kappalog ms | ${kafka} ms | ratio |`,
    '|---|---:|---:|---:|',
    ...rows.map(({ name, pairs }) => {
      const [own, others] = [pairs.map(({ subject }) => subject), pairs.map(({ peer }) => peer)];
      const ratio = median(pairs.map(({ subject, peer }) => peer / subject));
      return `| ${name} | ${median(own).toFixed(0)} | ${median(others).toFixed(0)} | **${ratio.toFixed(2)}** |`;
    }),
    '',
  ];
}

function rateTable(rows: GroupsReport['rates'], kafka: string): string[] {
  if (rows.length === 0) return [];
  return [
    `| load | Kappalog a second | ${kafka} a second | ratio |`,
    '|---|---:|---:|---:|',
    ...rows.map(({ name, pairs }) => {
      const [own, others] = [pairs.map(({ subject }) => subject), pairs.map(({ peer }) => peer)];
      const ratio = median(pairs.map(({ subject, peer }) => subject / peer));
      return `| ${name} | ${median(own).toFixed(0)} | ${median(others).toFixed(0)} | **${ratio.toFixed(2)}** |`;
    }),
    '',
  ];
}

function idleTable(rows: GroupsReport['idle'], kafka: string): string[] {
  if (rows.length === 0) return [];
  const cells = (samples: readonly IdleSample[]): string[] => [
    median(samples.map((sample) => sample.heartbeatsPerSecond)).toFixed(0),
    `${(100 * median(samples.map((sample) => sample.cpuPart))).toFixed(1)} %`,
    median(samples.map((sample) => sample.p99Ms)).toFixed(1),
    mebibytes(median(samples.map((sample) => sample.residentBytes))),
  ];
  return [
    '| idle members | broker | heartbeats/s | CPU, of one core | p99 ms | resident | CPU ratio |',
    '|---|---|---:|---:|---:|---:|---:|',
    ...rows.flatMap(({ name, pairs }) => {
      const ratio = median(pairs.map(({ subject, peer }) => peer.cpuPart / subject.cpuPart));
      return [
        `| ${name} | Kappalog | ${cells(pairs.map(({ subject }) => subject)).join(' | ')} | **${ratio.toFixed(2)}** |`,
        `| | ${kafka} | ${cells(pairs.map(({ peer }) => peer)).join(' | ')} | |`,
      ];
    }),
    '',
  ];
}

function loadingTable(rows: GroupsReport['loading'], kafka: string): string[] {
  if (rows.length === 0) return [];
  const medianOf = (samples: readonly LoadingSample[], key: keyof LoadingSample): string =>
    median(samples.map((sample) => sample[key])).toFixed(0);
  return [
    'A broker that is started again, from its first answer until the coordinator has answered what was committed, and the longest that a',
    'record which was written meanwhile waited:',
    '',
    '| in one partition | broker | ms until it answers | longest write, ms | ratio |',
    '|---|---|---:|---:|---:|',
    ...rows.flatMap(({ name, pairs }) => {
      const ratio = median(pairs.map(({ subject, peer }) => peer.loadedMs / subject.loadedMs));
      const [own, others] = [pairs.map(({ subject }) => subject), pairs.map(({ peer }) => peer)];
      const cells = (samples: readonly LoadingSample[]): string =>
        `${medianOf(samples, 'loadedMs')} | ${medianOf(samples, 'longestWriteMs')}`;
      return [
        `| ${name} | Kappalog | ${cells(own)} | **${ratio.toFixed(2)}** |`,
        `| | ${kafka} | ${cells(others)} | |`,
      ];
    }),
    '',
  ];
}
