/** What a seed draws before anything happens: how many nodes, groups and topics there are, how slow all is, what goes wrong how often. */
import type { ConsumerGroupConfig } from '../../../broker/groups/group-config.ts';
import type { Random } from '../../../platform/random.ts';

/** By which protocol the members of a group take part. */
export type GroupKind = 'eager' | 'cooperative' | 'consumer' | 'mixed';

export interface GroupsOptions {
  readonly nodes: number;
  /** Of `__consumer_offsets`. */
  readonly partitions: number;
  readonly groups: readonly GroupKind[];
  readonly steps: number;
  readonly pauseMsMax: number;
  readonly delayMsMax: number;
  readonly commitMsMax: number;
  /** Of a thousand messages. */
  readonly lossPerMille: number;
  readonly initialRebalanceDelayMs: number;
  readonly consumerConfig: Pick<
    ConsumerGroupConfig,
    'sessionTimeoutMs' | 'heartbeatIntervalMs' | 'assignmentIntervalMs' | 'assignors'
  >;
  readonly weights: Readonly<Record<GroupsStep, number>>;
}

/** With the weights that they usually have. */
const usualWeights = {
  wait: 10,
  join: 14,
  commit: 40,
  /** Members. */
  leave: 5,
  crash: 4,
  freeze: 4,
  subscribe: 4,
  restart: 4,
  /** Topics. */
  'make-topic': 2,
  'grow-topic': 2,
  'delete-topic': 1,
  /** Coordinators. */
  elect: 5,
  kill: 3,
  start: 8,
  'cut-off': 3,
  refuse: 3,
  'failed-read': 2,
  'wall-jump': 1,
} as const;

export type GroupsStep = keyof typeof usualWeights;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a literal
export const groupsSteps = Object.keys(usualWeights) as readonly GroupsStep[];

const indispensable: ReadonlySet<GroupsStep> = new Set(['wait', 'join', 'commit', 'start']);

/** What can be left out of a history. */
export const groupsFaults: readonly string[] = [
  ...groupsSteps.filter((step) => !indispensable.has(step)),
  'lost-messages',
];

const kinds: readonly GroupKind[] = ['eager', 'cooperative', 'consumer', 'consumer', 'mixed', 'mixed'];

export function drawGroupsOptions(random: Random, without: ReadonlySet<string>): GroupsOptions {
  const oneOf = <Value>(...values: readonly Value[]): Value => values[random.below(values.length)]!;
  const weights: Record<GroupsStep, number> = { ...usualWeights };
  for (const step of groupsSteps) {
    weights[step] *= indispensable.has(step) ? oneOf(1, 2) : oneOf(0, 1, 1, 3);
  }
  const lossPerMille = oneOf(0, 0, 10, 60);
  return {
    nodes: 3,
    partitions: oneOf(1, 2),
    groups: Array.from({ length: oneOf(1, 1, 2, 3) }, () => oneOf(...kinds)),
    steps: 30 + random.below(60),
    pauseMsMax: oneOf(300, 2_000, 6_000),
    delayMsMax: oneOf(1, 10, 100),
    commitMsMax: oneOf(0.5, 5, 80),
    lossPerMille: without.has('lost-messages') ? 0 : lossPerMille,
    initialRebalanceDelayMs: oneOf(0, 500, 3_000),
    consumerConfig: {
      sessionTimeoutMs: oneOf(10_000, 45_000),
      heartbeatIntervalMs: oneOf(1_000, 3_000),
      assignmentIntervalMs: oneOf(0, 0, 1_000),
      assignors: oneOf(['uniform', 'range'], ['range', 'uniform']),
    },
    weights,
  };
}
