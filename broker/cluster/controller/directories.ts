/**
 * In which data directory of its node each replica lies, as the metadata has it (KIP-858). Pure; see `controller.ts`.
 *
 * The controller chooses the directory of each replica when it is made, by what its node has reported to be free, or else by
 * counts: who the members of a group are is known then before any of them exists, and a directory that is missing at a later
 * start is known to hold the replica, which must not begin anew elsewhere. A node notes where it had to put one elsewhere.
 */
import { chooseDirectory } from '../../partition/directory-choice.ts';
import type { DirectoryLoad } from '../../partition/directory-choice.ts';
import type { DirectoryAssignment } from '../../partition/partitions.ts';
import type { ControllerState, Decision } from './controller.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';
import type { NodeReport } from '../nodes/node-reports.ts';
import { unassignedDirectory } from '../metadata/partition-image.ts';

/** The directories of the new replicas of one decision: each choice counts for those after it. */
export class DirectoryChoice {
  readonly #state: Pick<ControllerState, 'image' | 'reports'>;
  /** Of nodes that have been asked for. */
  readonly #loads = new Map<number, DirectoryLoad<string>[]>();

  constructor(state: Pick<ControllerState, 'image' | 'reports'>) {
    this.#state = state;
  }

  /** `unassignedDirectory` only where nothing is known of the node's directories. */
  directoryFor(nodeId: number): string {
    const { image, reports } = this.#state;
    const known = image.brokers.get(nodeId)?.logDirectories ?? [];
    if (known.length <= 1) return known[0] ?? unassignedDirectory;
    let loads = this.#loads.get(nodeId);
    if (loads === undefined) {
      loads = loadsOf(known, reports.get(nodeId)) ?? loadsByImage(image, nodeId, known);
      this.#loads.set(nodeId, loads);
    }
    return chooseDirectory(loads);
  }
}

/** By what the node has said; undefined where it has said nothing of the directories that it is registered with. */
function loadsOf(
  known: readonly string[],
  report: NodeReport | undefined,
): DirectoryLoad<string>[] | undefined {
  const reported = report?.directories.filter(({ id }) => known.includes(id)) ?? [];
  if (reported.length === 0) return undefined;
  const isMeasured = reported.every(({ usableBytes }) => usableBytes !== undefined);
  return reported.map(({ id, usableBytes = 0, replicas }) => ({
    directory: id,
    // Where not all can be told apart by their room, counts decide.
    usableBytes: isMeasured ? usableBytes : 0,
    replicas,
  }));
}

function loadsByImage(
  image: MetadataImage,
  nodeId: number,
  known: readonly string[],
): DirectoryLoad<string>[] {
  const loads = known.map((directory) => ({ directory, usableBytes: 0, replicas: 0 }));
  for (const { partitions } of image.topics()) {
    for (const { replicas, directories } of partitions) {
      const place = replicas.indexOf(nodeId);
      const load = loads.find(({ directory }) => place >= 0 && directory === directories[place]);
      if (load !== undefined) load.replicas++;
    }
  }
  return loads;
}

export interface DirectoriesToAssign {
  readonly nodeId: number;
  readonly assignments: readonly DirectoryAssignment[];
}

/** Notes where replicas of a node lie; those that are gone meanwhile, or known to lie there, are passed over. */
export function decideDirectories(
  image: MetadataImage,
  nodeId: number,
  assignments: readonly DirectoryAssignment[],
): Decision<void> {
  const records = assignments.flatMap(({ topicId, partition, directoryId }): NewMetadataRecord[] => {
    const known = image.topicById(topicId)?.partitions[partition];
    const place = known?.replicas.indexOf(nodeId) ?? -1;
    if (known === undefined || place < 0 || known.directories[place] === directoryId) return [];
    const directories = known.replicas.map((_, at) =>
      at === place ? directoryId : (known.directories[at] ?? unassignedDirectory),
    );
    return [{ type: 'PartitionChangeRecord', value: { topicId, partitionId: partition, directories } }];
  });
  return { records, result: undefined };
}
