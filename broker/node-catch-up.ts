/** How a node copies logs from others and gives them its own, with the limits that hold for it. */
import type { Platform } from '../platform/platform.ts';
import type { Cluster } from './cluster/cluster.ts';
import type { Leaderships } from './cluster/partitions/leaderships.ts';
import { ReplicationThrottles } from './cluster/partitions/replication-throttles.ts';
import type { BrokerConfig } from './config/broker-config.ts';
import { copyKind } from './partition/consensus/catch-up/copy-protocol.ts';
import { LogCopying } from './partition/consensus/catch-up/log-copying.ts';
import type { PeerNetwork } from './peers/peer-network.ts';

export interface CopyingOptions {
  readonly nodeId: number;
  readonly platform: Platform;
  readonly config: BrokerConfig;
  /** Undefined where there are no other nodes: then nothing is copied. */
  readonly network: PeerNetwork | undefined;
  readonly leaderships: Leaderships;
  /** Asked once something is to be sent. */
  readonly cluster: () => Cluster;
}

export function openCopying(options: CopyingOptions): LogCopying | undefined {
  const { nodeId, platform, config, network, leaderships, cluster } = options;
  if (network === undefined) return undefined;
  const { disk, clock, ids } = platform;
  const copying = new LogCopying({
    disk,
    clock,
    requests: network,
    incarnation: ids.uuid(),
    bytesPerSecondMax: () => config.kappalogCatchUpBytesPerSecond,
    throttles: new ReplicationThrottles({
      nodeId,
      clock,
      image: () => cluster().image,
      leaderships,
      topicConfig: (topic) => cluster().topicConfig(topic),
    }),
  });
  network.serve(copyKind, copying.serve);
  return copying;
}
