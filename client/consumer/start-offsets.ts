/** Looks up where partitions are to start that were told so in other words than an offset. */
import { listOffsets } from '../admin/offsets.ts';
import { fetchCommitted, type OffsetReader } from '../group/committed-offsets.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { KafkaError } from '../errors.ts';
import type { OffsetSpec, StartPlace } from '../options.ts';
import type { PartitionState } from './partition-state.ts';

export interface StartOptions {
  readonly groupId: string | undefined;
  readonly from: (topic: string) => StartPlace;
  readonly isReadCommitted: boolean;
  /** Who asks for the group's offsets. */
  readonly reader: () => OffsetReader;
}

/** Moves every state that has a target to its offset. States that were sent elsewhere meanwhile are left alone. */
export async function resolveTargets(
  cluster: Cluster,
  states: readonly PartitionState[],
  options: StartOptions,
): Promise<void> {
  const waiting = states.filter((state) => state.target !== undefined);
  await resolveCommitted(
    cluster,
    waiting.filter((state) => state.target === 'committed'),
    options,
  );
  const toLookUp = waiting.flatMap((state) => {
    const { target, seekEpoch } = state;
    return target === undefined || target === 'committed' || typeof target === 'number'
      ? []
      : [{ state, target, seekEpoch }];
  });
  if (toLookUp.length === 0) return;
  const ask = (
    items: readonly { state: PartitionState; target: Exclude<OffsetSpec, number> }[],
  ): ReturnType<typeof listOffsets> =>
    listOffsets(
      cluster,
      items.map(({ state, target }) => ({ topic: state.topic, partition: state.partition, at: target })),
      { isReadCommitted: options.isReadCommitted },
    );
  const found = await ask(toLookUp);
  // No record at or after the time: reading starts with what comes next.
  const late = toLookUp
    .filter((_, index) => found[index]!.offset < 0)
    .map(({ state }) => ({ state, target: 'latest' as const }));
  const ends = late.length === 0 ? [] : await ask(late);
  toLookUp.forEach(({ state, seekEpoch }, index) => {
    const result =
      found[index]!.offset >= 0 ? found[index]! : ends[late.findIndex((item) => item.state === state)]!;
    if (state.seekEpoch === seekEpoch && state.target !== undefined) state.moveTo(result.offset);
  });
}

async function resolveCommitted(
  cluster: Cluster,
  states: readonly PartitionState[],
  options: StartOptions,
): Promise<void> {
  if (states.length === 0) return;
  const epochs = states.map((state) => state.seekEpoch);
  const { groupId, reader } = options;
  const committed = groupId === undefined ? [] : await fetchCommitted(cluster, { groupId, reader }, states);
  states.forEach((state, index) => {
    if (state.seekEpoch !== epochs[index] || state.target !== 'committed') return;
    const commit = committed.find(
      ({ topic, partition }) => topic === state.topic && partition === state.partition,
    );
    if (commit !== undefined && commit.offset >= 0) {
      state.moveTo(commit.offset, commit.leaderEpoch);
      state.committed = commit.offset;
      return;
    }
    const from = options.from(state.topic);
    if (from === 'none') throw noOffset(state, options.groupId);
    state.target = from;
  });
}

function noOffset(state: PartitionState, groupId: string | undefined): KafkaError {
  const whose = groupId === undefined ? '' : ` by the group ${groupId}`;
  return new KafkaError(
    'NO_OFFSET',
    `No offset of ${state.name} was committed${whose}: give an offset, or set \`from\` to 'earliest' or 'latest'.`,
  );
}
