/** Moves of replicas between the data directories of a node, as operators ask for them. */
import { ErrorCode, errorName } from '../../../protocol/index.ts';
import type { Random } from '../../../platform/random.ts';
import { SimulationFailure } from '../simulation-failure.ts';
import { isByDisk } from './disk-faults.ts';
import { NoAnswer } from './node-client.ts';
import { asError } from './node-load.ts';
import type { LoadContext } from './node-load.ts';

const callMs = 5_000;

/** The node has no such replica, or does not know of it yet. */
const passing: ReadonlySet<number> = new Set([
  ErrorCode.NONE,
  ErrorCode.REPLICA_NOT_AVAILABLE,
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
]);

/** Asks in the background that a replica of some node be moved to one of its directories, which may be where it is. */
export function beginDirectoryMove(context: LoadContext, random: Random): void {
  const { world, topics, nodeIds } = context;
  const live = [...topics.values()].filter((topic) => topic.isLive);
  const topic = live[random.below(Math.max(1, live.length))];
  if (topic === undefined) return;
  const nodes = nodeIds();
  const nodeId = nodes[random.below(nodes.length)]!;
  const path = world.options.directories[random.below(world.options.directories.length)]!;
  const partition = random.below(topic.partitions.length);
  move(context, { nodeId, path, name: topic.name, partition }).catch((error: unknown) => {
    if (error instanceof NoAnswer) world.tally.count('moves between directories', 'without an answer');
    else world.broken(asError(error));
  });
}

async function move(
  { client, world }: LoadContext,
  { nodeId, path, name, partition }: { nodeId: number; path: string; name: string; partition: number },
): Promise<void> {
  const request = { dirs: [{ path, topics: [{ name, partitions: [partition] }] }] };
  const { results } = await client.call(nodeId, 'AlterReplicaLogDirs', request, callMs);
  const { errorCode } = results[0]!.partitions[0]!;
  const answer = errorName(errorCode) ?? String(errorCode);
  world.say(`${name}-${partition} of node ${nodeId} is to lie in ${path}: ${answer}`);
  world.tally.count('moves between directories', errorCode === 0 ? 'accepted' : answer);
  if (!passing.has(errorCode) && !isByDisk(world.options, errorCode))
    throw new SimulationFailure(`to move ${name}-${partition} to ${path} was refused: ${answer}`);
}
