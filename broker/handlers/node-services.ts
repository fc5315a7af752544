import type { Address } from '../../platform/network.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Random } from '../../platform/random.ts';
import type { BrokerConfig } from '../config/broker-config.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { LeadershipTransfers } from '../cluster/partitions/leadership-transfers.ts';
import type { Leaderships } from '../cluster/partitions/leaderships.ts';
import type { GroupService } from '../groups/group-service.ts';
import type { ReplicaMoves } from '../partition/moves/replica-moves.ts';
import type { Partitions } from '../partition/partitions.ts';
import type { FetchSessions } from '../partition/fetch-sessions.ts';
import type { AnyHandler } from './handler.ts';

/** The parts of a node that handlers may use; made by the composition root, one set for each node. */
export interface NodeServices {
  readonly nodeId: number;
  readonly clusterId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly config: BrokerConfig;
  readonly cluster: Cluster;
  readonly partitions: Partitions;
  readonly moves: ReplicaMoves;
  readonly leaderships: Leaderships;
  readonly transfers: LeadershipTransfers;
  readonly groups: GroupService;
  readonly fetchSessions: FetchSessions;
  /** All that this node serves, for ApiVersions. */
  readonly handlers: readonly AnyHandler[];
  /** The address that clients are told for this node: the one set, else the one that this client connected to. */
  advertisedAddress(local: Address): Address;
}
