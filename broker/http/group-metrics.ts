/**
 * The metrics of the groups that this node coordinates. Series of groups and partitions are bounded by a setting: those of the groups
 * that are furthest behind are shown, and how many are not is a figure of its own.
 */
import { Gauge } from 'prom-client';
import type { Registry } from 'prom-client';
import type { GroupLag, PartitionLag } from '../groups/lag/group-lag.ts';
import type { GroupsView } from './groups-view.ts';

export interface GroupMetricsOptions {
  readonly view: Pick<GroupsView, 'lags' | 'leftOut'>;
  /** The most groups, and the most partitions, that have series of their own. */
  readonly seriesMax: () => number;
}

type Row<Of> = readonly [name: string, help: string, value: (of: Of) => number | null];

const groupRows: readonly Row<GroupLag>[] = [
  [
    'kappalog_group_lag_records',
    'Records that a group has left to read, in all partitions.',
    (lag) => lag.lagRecords,
  ],
  [
    'kappalog_group_lag_max_records',
    'The same, in the partition where it is most.',
    (lag) => lag.maxLagRecords,
  ],
  [
    'kappalog_group_lag_max_seconds',
    'Age of the first record that a group has left to read, in the partition where it is oldest; 0 where none is left.',
    (lag) => lag.maxLagSeconds,
  ],
  [
    'kappalog_group_catch_up_seconds',
    'Until a group has read all, at the rates of the last minutes; without a value while it never would, or rates are not known.',
    (lag) => lag.catchUpSeconds,
  ],
  [
    'kappalog_group_lost_records',
    'Records that went before a group had read them.',
    (lag) => lag.lostRecords,
  ],
  [
    'kappalog_group_unknown_partitions',
    'Partitions of a group of which nothing is known, as their leaders do not answer.',
    (lag) => lag.unknownPartitions,
  ],
];

const partitionRows: readonly Row<PartitionLag>[] = [
  [
    'kappalog_group_partition_lag_records',
    'Records that a group has left to read in a partition.',
    (lag) => lag.lagRecords,
  ],
  [
    'kappalog_group_partition_lag_seconds',
    'Age of the first record that a group has left to read in a partition.',
    (lag) => lag.lagSeconds,
  ],
];

export function addGroupMetrics(registry: Registry, { view, seriesMax }: GroupMetricsOptions): void {
  /** Of the present answer: the first gauge counts, in the order in which they are registered. */
  let shown: readonly (readonly [string, GroupLag])[] = [];
  const watched: Gauge = new Gauge({
    name: 'kappalog_groups_watched',
    help: 'Groups coordinated by this node whose lag is watched.',
    registers: [registry],
    collect: () => {
      const all = [...view.lags()].sort(([, one], [, other]) => other.lagRecords - one.lagRecords);
      watched.set(all.length);
      shown = all.slice(0, seriesMax());
    },
  });
  const leftOut: Gauge = new Gauge({
    name: 'kappalog_group_partitions_not_watched',
    help: 'Partitions that groups of this node have committed whose lag is not watched, as there are too many.',
    registers: [registry],
    collect: () => leftOut.set(view.leftOut()),
  });
  for (const [name, help, value] of groupRows) {
    const gauge: Gauge<'group'> = new Gauge({
      name,
      help,
      labelNames: ['group'],
      registers: [registry],
      collect: () => {
        gauge.reset();
        for (const [group, lag] of shown) setKnown(gauge, { group }, value(lag));
      },
    });
  }
  for (const [name, help, value] of partitionRows) {
    const gauge: Gauge<'group' | 'topic' | 'partition'> = new Gauge({
      name,
      help,
      labelNames: ['group', 'topic', 'partition'],
      registers: [registry],
      collect: () => {
        gauge.reset();
        for (const [group, lag] of partitionsOf(shown, seriesMax())) {
          setKnown(gauge, { group, topic: lag.topic, partition: lag.partition }, value(lag));
        }
      },
    });
  }
}

function setKnown<Label extends string>(
  gauge: Gauge<Label>,
  labels: Partial<Record<Label, string | number>>,
  value: number | null,
): void {
  if (value !== null) gauge.set(labels, value);
}

function* partitionsOf(
  groups: readonly (readonly [string, GroupLag])[],
  max: number,
): Generator<readonly [string, PartitionLag]> {
  let count = 0;
  for (const [group, { partitions }] of groups) {
    for (const lag of partitions) {
      if (count === max) return;
      count += 1;
      yield [group, lag];
    }
  }
}
