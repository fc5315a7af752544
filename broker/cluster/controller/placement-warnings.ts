/** What the controller's log says of replicas that were just placed, by users or for them. Pure. */
import { replicationWarnings, spreadOver } from '../../config/replication-warnings.ts';
import type { ReplicaSpread } from '../../config/replication-warnings.ts';
import type { MetadataImage } from '../metadata/metadata-image.ts';
import type { NewMetadataRecord } from '../metadata/metadata-record.ts';

/** `image` has these records. Partitions that lose replicas, or get them in another order, are passed over. */
export function placementWarnings(image: MetadataImage, records: readonly NewMetadataRecord[]): string[] {
  const spreads = new Map<string, ReplicaSpread[]>();
  for (const { type, value } of records) {
    if (type !== 'PartitionRecord' && type !== 'PartitionChangeRecord') continue;
    const name = image.topicById(value.topicId ?? '')?.name;
    const placed = type === 'PartitionRecord' || (value.addingReplicas?.length ?? 0) > 0;
    if (name === undefined || !placed) continue;
    const removing = new Set(value.removingReplicas);
    const nodes = (value.replicas ?? []).flatMap((id) => {
      const broker = image.brokers.get(id);
      return broker === undefined || removing.has(id) ? [] : [broker];
    });
    const spread = spreadOver(nodes, nodes.length);
    const ofTopic = spreads.get(name);
    if (ofTopic === undefined) spreads.set(name, [spread]);
    else ofTopic.push(spread);
  }
  return [...spreads].flatMap(([name, ofTopic]) => replicationWarnings(name, ofTopic));
}
