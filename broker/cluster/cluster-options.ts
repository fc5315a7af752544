/** What `Cluster` is made of and tells its node; the composition root gives it. */
import type { Clock } from '../../platform/clock.ts';
import type { Ids } from '../../platform/ids.ts';
import type { BrokerConfig } from '../config/broker-config.ts';
import type { PeerRequests } from '../peers/peer-requests.ts';
import type { JoiningNode } from './nodes/admission.ts';
import type { ControllerLimits } from './controller/controller.ts';
import type { TopicImage } from './metadata/metadata-image.ts';
import type { MetadataLog } from './metadata/metadata-log.ts';
import type { MetadataGroup } from './nodes/metadata-membership.ts';
import type { DirectoryReport } from './nodes/node-reports.ts';
import type { DescribedGroup } from './nodes/quorum.ts';
import type { ExpulsionReason } from './nodes/own-registration.ts';
import type { ReplicaHost } from './partitions/replica-work.ts';

export interface ClusterOptions {
  readonly nodeId: number;
  readonly log: MetadataLog;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly config: BrokerConfig;
  readonly replicas: ReplicaHost;
  /** Replicas of this topic could not be opened or removed: an operator must hear of it. */
  readonly onReplicaFailure: (topic: string, error: unknown) => void;
  readonly limits?: ControllerLimits;
  /** The other nodes; without it there are none. */
  readonly peers?: PeerRequests;
  /** What this node's data directories have free; without it nothing is known of that. */
  readonly directories?: () => Promise<readonly DirectoryReport[]>;
  /** For how long nothing has been heard of another node; without it that is not known. */
  readonly silentMs?: (nodeId: number) => number;
  /** Whether each partition of the topic has a leader that is known here within this time. */
  readonly whenLed?: (topic: TopicImage, timeoutMs: number) => Promise<boolean>;
  /** The metadata group, whose members are then kept what they should be while this node leads it. */
  readonly group?: MetadataGroup & DescribedGroup;
  /** A node that is to join is reached there, until it has registered. */
  readonly onAddress?: (node: JoiningNode) => void;
  /** This node, as the controller, has done something that an operator should know of. */
  readonly onWarning?: (message: string) => void;
  /** The metadata log cannot be followed any more: this node must stop. */
  readonly onFailure?: (error: unknown) => void;
  /** The cluster does not know this start of the node any more; it must stop. */
  readonly onExpelled?: (reason: ExpulsionReason) => void;
}
